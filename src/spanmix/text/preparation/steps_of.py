"""Which steps a recipe asks for, in their order.

A step is imported where it is asked for: some compile patterns for a tenth of a second, in every process.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.dropped import Dropped
from spanmix.text.steps import Note, Step
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import Document

if TYPE_CHECKING:
    from spanmix.text.decontamination.step import DecontaminationStep


@dataclass(frozen=True)
class NamedStep:
    """A step, and what it is called in reports."""

    name: str
    do: Step


class BelowRoot:
    """Shows a step the path of a document without the name of the source's folder, which says nothing of it.

    Args:
        step: the step.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Do the step."""
        inside = replace(document, path=document.path.removeprefix(document.root))
        return replace(self._step(inside, note), path=document.path)


def build_steps(config: CorpusConfig, source: SourceFilesConfig, tokenizer: str | None) -> list[NamedStep]:
    """Return the steps of a source, those that drop documents before the one that changes them.

    Args:
        config: the corpus's recipe.
        source: one of its sources.
        tokenizer: the folder of the corpus's tokenizer, if there is one already; some filters count tokens.

    Raises:
        InputError: a name in the recipe is unknown, or a file that a step needs cannot be used.
    """
    steps = _steps_of_source(source, _counter(tokenizer))
    if config.decontamination is not None:
        steps.append(NamedStep("decontamination", _decontamination(config.decontamination)))
    if config.redaction is not None:
        from spanmix.text.redaction.step import RedactionStep

        steps.append(NamedStep("redaction", RedactionStep(config.redaction)))
    return steps


def check_steps(config: CorpusConfig) -> dict[str, str]:
    """Build all steps once, so that a fault of one is met before anything is read.

    Returns:
        A hash of the contents of each file that a step reads, by what it is: a changed one makes another
        corpus.

    Raises:
        InputError: see `build_steps`.
    """
    found = {}
    for source in config.sources:
        if source.filters is not None:
            from spanmix.text.filters.names import check_names

            check_names(source.filters)
        _steps_of_source(source, None)
        if source.licences is not None and source.licences.opt_out is not None:
            path = source.licences.opt_out
            found[f"the opt-out list {path}"] = _hash(path)
    if config.decontamination is not None:
        names = config.decontamination.benchmarks
        found["the table of benchmarks"] = _decontamination(config.decontamination).fingerprint
        found |= {f"the benchmark {name}": _hash(name) for name in names if Path(name).is_file()}
    return found


def libraries(config: CorpusConfig) -> dict[str, str]:
    """Return the versions of what decides what becomes of a recipe's documents, by name."""
    names = ["daft", "tokenizers"]
    if any(source.prose for source in config.sources):
        names.append("selectolax")
    if any(source.filters is not None for source in config.sources):
        names.append("py3langid")
    if any(source.licences is not None for source in config.sources):
        names += ["google-re2", "license-expression"]
    if config.redaction is not None:
        names += ["detect-secrets", "google-re2"]
    own = {"Spanmix": metadata.version("spanmix"), "Python": platform.python_version()}
    return own | {name: metadata.version(name) for name in names}


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _decontamination(config: DecontaminationConfig) -> DecontaminationStep:
    from spanmix.text.decontamination.step import DecontaminationStep

    return DecontaminationStep(config)


def _steps_of_source(source: SourceFilesConfig, num_tokens: Callable[[str], int] | None) -> list[NamedStep]:
    steps = []
    if source.licences is not None:
        from spanmix.text.licences.step import LicenceStep

        steps.append(NamedStep("licences", LicenceStep(source.licences, source.follow_links)))
    if source.filters is not None:
        from spanmix.text.filters.step import FilterStep

        steps.append(NamedStep("filters", BelowRoot(FilterStep(source.filters, num_tokens))))
    return steps


def _counter(tokenizer: str | None) -> Callable[[str], int] | None:
    if tokenizer is None:
        return None
    loaded = Tokenizer.load(tokenizer)
    return lambda text: len(loaded.encode_arrays([text])[0])
