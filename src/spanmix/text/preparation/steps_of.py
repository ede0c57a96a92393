"""Which steps a recipe asks for, in their order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.decontamination.step import DecontaminationStep
from spanmix.text.dropped import Dropped
from spanmix.text.filters.step import FilterStep
from spanmix.text.licences.step import LicenceStep
from spanmix.text.readers.files import local_path
from spanmix.text.redaction.step import RedactionStep
from spanmix.text.steps import Note, Step
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import Document


@dataclass(frozen=True)
class NamedStep:
    """A step, and what it is called in reports."""

    name: str
    do: Step


class BelowRoots:
    """Shows a step the path of a document as it lies below the source's folder: where that is says nothing.

    Args:
        step: the step.
        roots: the folders of the source.
    """

    def __init__(self, step: Step, roots: Sequence[str]) -> None:
        self._step = step
        self._roots = sorted((root.rstrip("/") + "/" for root in roots), key=len, reverse=True)

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Do the step."""
        root = next((root for root in self._roots if document.path.startswith(root)), "")
        inside = replace(document, path=document.path[len(root) :])
        return replace(self._step(inside, note), path=document.path)


def build_steps(config: CorpusConfig, source: SourceFilesConfig, tokenizer: str | None) -> list[NamedStep]:
    """Return the steps of a source, those that drop documents before the one that changes them.

    Args:
        config: the corpus's recipe.
        source: one of its sources.
        tokenizer: the folder of the corpus's tokenizer, if there is one already; some filters count tokens.

    Raises:
        InputError: a file that a step needs cannot be used.
    """
    steps = []
    if source.licences is not None:
        steps.append(NamedStep("licences", LicenceStep(source.licences)))
    if source.filters is not None:
        roots = [str(path) for path in map(local_path, source.paths) if path.is_dir()]
        filters = FilterStep(source.filters, _counter(tokenizer))
        steps.append(NamedStep("filters", BelowRoots(filters, roots)))
    if config.decontamination is not None:
        steps.append(NamedStep("decontamination", DecontaminationStep(config.decontamination)))
    if config.redaction is not None:
        steps.append(NamedStep("redaction", RedactionStep(config.redaction)))
    return steps


def files_of_steps(config: CorpusConfig) -> dict[str, str]:
    """Return a hash of the contents of each file that a step reads: a changed one makes another corpus.

    Raises:
        InputError: one cannot be read.
    """
    found = {}
    if config.decontamination is not None:
        found["benchmarks"] = DecontaminationStep(config.decontamination).fingerprint
    for source in config.sources:
        if source.licences is not None and source.licences.opt_out is not None:
            path = source.licences.opt_out
            try:
                found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"the opt-out list {path} cannot be read: {error.strerror}") from None
    return found


def _counter(tokenizer: str | None) -> Callable[[str], int] | None:
    if tokenizer is None:
        return None
    loaded = Tokenizer.load(tokenizer)
    return lambda text: len(loaded.encode_arrays([text])[0])
