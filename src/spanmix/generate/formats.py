"""Describe how a model is asked to infill, as data: `InfillFormat`.

Infill, evaluation and serving read only this description, so they work for every model whose
sentinels are known, whatever engine runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.errors import InputError
from spanmix.types import ControlIds


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
        sentinels: the ids that mark the first, second, … cursor, if the format can ask for several;
            `middle` then ends with the first of them, and each of the others asks for the next middle.

    `codegen2_format` writes CodeGen2's ``prefix <mask_1> suffix <|endoftext|> <sep> <mask_1>`` this way.
    """

    start: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    middle: tuple[int, ...]
    end: tuple[int, ...]
    order: str = "psm"
    sentinels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.order not in ("psm", "spm"):
            raise InputError(f"InfillFormat.order is {self.order!r}; use 'psm' or 'spm'")
        if self.sentinels and (self.order != "psm" or self.middle[-1:] != self.sentinels[:1]):
            raise InputError("InfillFormat.middle has to end with the first sentinel, and order to be 'psm'")
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

    def prompt_many(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Return the prompt that asks for what stands between the parts, first for the first gap.

        Raises:
            InputError: there are more gaps than the format can ask for.

        >>> InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0), sentinels=(3, 4)).prompt_many([[10], [11], [12]])
        [0, 10, 3, 11, 4, 12, 0, 1, 3]
        """
        num_gaps = len(parts) - 1
        if num_gaps == 1:
            return self.prompt(list(parts[0]), list(parts[1]))
        if num_gaps > len(self.sentinels):
            most = max(1, len(self.sentinels))
            raise InputError(f"{num_gaps} cursors were given; this model can fill {most} at once")
        shown = list(parts[0])
        for sentinel, part in zip(self.sentinels, parts[1:], strict=False):
            shown += [sentinel, *part]
        return [*self.start, *self.prefix, *shown, *self.middle]


def codegen2_format(control: ControlIds) -> InfillFormat:
    """Return the format of our models: CodeGen2's, behind the ``<|endoftext|>`` that starts every example.

    >>> format = codegen2_format(ControlIds(eot=0, sep=1, eom=2, pad=9, masks=(3, 4)))
    >>> format.prompt([10], [12])
    [0, 10, 3, 12, 0, 1, 3]
    """
    return InfillFormat(
        start=(control.eot,),
        prefix=(),
        suffix=control.masks[:1],
        middle=(control.eot, control.sep, control.masks[0]),
        end=(control.eom, control.eot),
        sentinels=control.masks,
    )
