"""Leave out the documents that hold a benchmark's problem, or report them, with what matched where."""

from __future__ import annotations

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.decontamination.search import Match, find_problems
from spanmix.text.decontamination.table import ProblemTable
from spanmix.text.dropped import Dropped
from spanmix.text.problems.benchmarks import load_problems
from spanmix.text.steps import Note
from spanmix.types import Document

CONTAMINATION = "contamination"
"""Kind of the audit file; a row for each program and method that a document matched."""
HOLDS_PROBLEM = "holds a benchmark's problem"


class DecontaminationStep:
    """A step of the corpus; see `spanmix.text.steps`.

    Every match is noted as ``contamination``: path, repository, source, benchmark, task_id, method, kind,
    matched, line, share and action. The rows are written whatever the action is.
    """

    def __init__(self, config: DecontaminationConfig) -> None:
        """Load the problems.

        Raises:
            InputError: a benchmark cannot be loaded; see `load_problems`.
        """
        self.config = config
        self.table = ProblemTable(load_problems(config.benchmarks), config)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of the problems: other problems make another corpus of the same recipe."""
        return self.table.fingerprint

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Return the document, or why it was dropped."""
        matches = find_problems(document.text, self.table, self.config)
        for match in matches:
            note(CONTAMINATION, _row(document, match, self.config.action))
        if not matches or self.config.action == "report":
            return document
        first = matches[0]
        value = f"{first.program.benchmark}: {first.program.task_id}, {first.method} {first.kind}"
        return Dropped.by_step(document, HOLDS_PROBLEM, value, first.matched)


def _row(document: Document, match: Match, action: str) -> dict[str, str | int | float | bool | None]:
    return {
        "path": document.path,
        "repository": document.repository,
        "source": document.source,
        "benchmark": match.program.benchmark,
        "task_id": match.program.task_id,
        "method": match.method,
        "kind": match.kind,
        "matched": match.matched,
        "line": match.line,
        "share": match.share,
        "action": action,
    }
