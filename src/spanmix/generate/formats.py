"""Describe how a model is asked to infill, as data: `InfillFormat`.

Infill, evaluation and serving read only this description, so they work for every model whose
sentinels are known, whatever engine runs it.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.errors import InputError


@dataclass(frozen=True)
class InfillFormat:
    """The token ids around prefix and suffix.

    The prompt is ``start``, then the parts in `order`, each behind its own tokens; the model answers
    with the middle and then one of `end`.

    Args:
        start: ids in front of everything.
        prefix: ids in front of the prefix.
        suffix: ids in front of the suffix.
        middle: ids behind prefix and suffix, after which the middle follows.
        end: ids any one of which ends the middle.
        order: ``"psm"`` (prefix, suffix, middle) or ``"spm"`` (suffix first).

    CodeGen2's ``prefix <mask_1> suffix <|endoftext|> <sep> <mask_1>`` is
    ``start=(), prefix=(), suffix=(mask_1,), middle=(eot, sep, mask_1), end=(eom, eot), order="psm"``.
    """

    start: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    middle: tuple[int, ...]
    end: tuple[int, ...]
    order: str = "psm"

    def __post_init__(self) -> None:
        if self.order not in ("psm", "spm"):
            raise InputError(f"InfillFormat.order is {self.order!r}; use 'psm' or 'spm'")
        if not self.end:
            raise InputError("InfillFormat.end is empty; the infill could never stop")

    @property
    def num_control_tokens(self) -> int:
        """Tokens of the prompt that are neither prefix nor suffix."""
        return len(self.start) + len(self.prefix) + len(self.suffix) + len(self.middle)

    def prompt(self, prefix_ids: list[int], suffix_ids: list[int]) -> list[int]:
        """Return the prompt that asks for what stands between prefix and suffix.

        >>> InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0)).prompt([10], [12])
        [0, 10, 3, 12, 0, 1, 3]
        """
        before = [*self.prefix, *prefix_ids]
        after = [*self.suffix, *suffix_ids]
        parts = before + after if self.order == "psm" else after + before
        return [*self.start, *parts, *self.middle]
