"""Say how a model is asked, in the strings of its tokens, as ``config.json`` keeps it.

Its key ``spanmix`` holds, beside the version of the folder::

    "start": ["<|endoftext|>"],
    "infill": {"prefix": [], "suffix": ["<mask_1>"], "middle": ["<|endoftext|>", "<sep>", "<mask_1>"],
               "end": ["<eom>", "<|endoftext|>"], "order": "psm", "lead_tokens": 32}

`spanmix.generate.asked` turns the strings into ids.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from spanmix.config import MODEL_FOLDER_VERSION

Strings = tuple[str, ...]


@dataclass(frozen=True)
class InfillPrompting:
    """An infill prompt; see `spanmix.generate.formats.InfillFormat` for what each field does."""

    prefix: Strings
    suffix: Strings
    middle: Strings
    end: Strings
    order: str
    lead_tokens: int


@dataclass(frozen=True)
class Prompting:
    """How a model is asked.

    Args:
        start: tokens in front of every prompt.
        infill: how it is asked to infill; None if it was not trained to.
    """

    start: Strings
    infill: InfillPrompting | None

    def section(self) -> dict[str, Any]:
        """Return what ``config.json`` holds under ``spanmix``."""
        return {"format_version": MODEL_FOLDER_VERSION, **asdict(self)}


LEAD_TOKENS = 32
"""Our own choice, measured in ``docs/demo.md``. CodeGen2's own prompt has no lead."""

_CODEGEN2 = InfillPrompting(
    prefix=(),
    suffix=("<mask_1>",),
    middle=("<|endoftext|>", "<sep>", "<mask_1>"),
    end=("<eom>", "<|endoftext|>"),
    order="psm",
    lead_tokens=0,
)

OURS = Prompting(("<|endoftext|>",), replace(_CODEGEN2, lead_tokens=LEAD_TOKENS))
"""Models that we train: every example starts with ``<|endoftext|>``."""

CODEGEN2_CARD = Prompting((), _CODEGEN2)
"""The prompts of CodeGen2's and CodeGen2.5's model cards."""

NO_INFILL = Prompting((), None)
"""Models that only continue a text, such as CodeGen's."""
