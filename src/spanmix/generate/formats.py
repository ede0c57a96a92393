"""Describe how a model is asked to infill, as data: `InfillFormat`.

Infill, evaluation and serving read only this description, so they work for every model whose
sentinels are known, whatever engine runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanmix.errors import InputError
from spanmix.model.prompting import LEAD_TOKENS

if TYPE_CHECKING:
    from spanmix.types import ControlIds


@dataclass(frozen=True)
class InfillFormat:
    """The token ids around prefix and suffix.

    The prompt is ``start``, then the parts in `order`, each behind its own tokens; the model answers
    with the middle and then one of `end`.

    With `lead_tokens` the last tokens of the prefix, the *lead*, are hidden with the middle and then given
    as the first tokens of the answer, which the model goes on with. To the model that is an ordinary gap
    that begins a little earlier, so it asks nothing that training does not teach; but the place it has
    to go on from stands right behind the prompt, where even a small or briefly trained model finds it.

    Args:
        start: ids in front of everything.
        prefix: ids in front of the prefix.
        suffix: ids in front of the suffix.
        middle: ids behind prefix and suffix, after which the middle follows.
        end: ids any one of which ends the middle.
        order: ``"psm"`` (prefix, suffix, middle) or ``"spm"`` (suffix first).
        sentinels: the ids that mark the first, second, … cursor, if the format can ask for several;
            `middle` then ends with the first of them, and each of the others asks for the next middle.
        lead_tokens: longest lead.

    `codegen2_format` writes CodeGen2's ``prefix <mask_1> suffix <|endoftext|> <sep> <mask_1>`` this way.
    """

    start: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    middle: tuple[int, ...]
    end: tuple[int, ...]
    order: str = "psm"
    sentinels: tuple[int, ...] = ()
    lead_tokens: int = 0

    def __post_init__(self) -> None:
        if self.order not in ("psm", "spm"):
            raise InputError(f"InfillFormat.order is {self.order!r}; use 'psm' or 'spm'")
        if self.sentinels and (self.order != "psm" or self.middle[-1:] != self.sentinels[:1]):
            raise InputError("InfillFormat.middle has to end with the first sentinel, and order to be 'psm'")
        if not self.end:
            raise InputError("InfillFormat.end is empty; the infill could never stop")
        if self.lead_tokens < 0:
            raise InputError(f"InfillFormat.lead_tokens is {self.lead_tokens}; use 0 or more")

    @property
    def num_control_tokens(self) -> int:
        """Tokens of the prompt that are neither prefix nor suffix."""
        return len(self.start) + len(self.prefix) + len(self.suffix) + len(self.middle)

    def prompt(self, prefix_ids: Sequence[int], suffix_ids: Sequence[int]) -> list[int]:
        """Return the prompt that asks for what stands between prefix and suffix.

        >>> InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0)).prompt([10, 11], [12])
        [0, 10, 11, 3, 12, 0, 1, 3]
        >>> InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0), lead_tokens=1).prompt([10, 11], [12])
        [0, 10, 3, 12, 0, 1, 3, 11]
        """
        shown_ids, lead_ids = self._cut(prefix_ids)
        before = [*self.prefix, *shown_ids]
        after = [*self.suffix, *suffix_ids]
        parts = before + after if self.order == "psm" else after + before
        return [*self.start, *parts, *self.middle, *lead_ids]

    def prompt_many(self, parts: Sequence[Sequence[int]]) -> list[int]:
        """Return the prompt that asks for what stands between the parts, first for the first gap.

        Raises:
            InputError: there are more gaps than the format can ask for.

        >>> InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0), sentinels=(3, 4)).prompt_many([[10], [11], [12]])
        [0, 10, 3, 11, 4, 12, 0, 1, 3]
        """
        num_gaps = len(parts) - 1
        if num_gaps == 1:
            return self.prompt(parts[0], parts[1])
        if num_gaps > len(self.sentinels):
            most = max(1, len(self.sentinels))
            raise InputError(f"{num_gaps} cursors were given; this model can fill {most} at once")
        shown, first_lead_ids = self._cut(parts[0])
        for sentinel, part in zip(self.sentinels, parts[1:-1], strict=False):
            shown = [*shown, sentinel, *self._cut(part, least_shown=1)[0]]
        shown = [*shown, self.sentinels[num_gaps - 1], *parts[-1]]
        return [*self.start, *self.prefix, *shown, *self.middle, *first_lead_ids]

    def next_gap(self, gap: int, part_ids: Sequence[int]) -> list[int]:
        """Return what asks for a later gap, behind the closed answer to the one in front of it.

        Args:
            gap: its number, from 0; at least 1.
            part_ids: the part between that gap and the one in front of it, as `prompt_many` got it.

        >>> format = InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0), sentinels=(3, 4), lead_tokens=8)
        >>> format.prompt_many([[10], [11, 12], [13]]), format.next_gap(1, [11, 12])
        ([0, 3, 11, 4, 13, 0, 1, 3, 10], [4, 12])
        """
        return [self.sentinels[gap], *self._cut(part_ids, least_shown=1)[1]]

    def _cut(self, part_ids: Sequence[int], least_shown: int = 0) -> tuple[list[int], list[int]]:
        """Split a part in front of a gap into what is shown and its lead.

        Two spans of a training example have at least one token between them; so have two gaps here.
        """
        num_shown = min(len(part_ids), max(least_shown, len(part_ids) - self.lead_tokens))
        return list(part_ids[:num_shown]), list(part_ids[num_shown:])


def codegen2_format(control: ControlIds, lead_tokens: int = LEAD_TOKENS) -> InfillFormat:
    """Return the format of our models: CodeGen2's, behind the ``<|endoftext|>`` that starts every example.

    >>> from spanmix.types import ControlIds
    >>> control = ControlIds(eot=0, sep=1, eom=2, pad=9, masks=(3, 4))
    >>> codegen2_format(control).prompt([10], [12])
    [0, 3, 12, 0, 1, 3, 10]
    >>> codegen2_format(control, lead_tokens=0).prompt([10], [12])
    [0, 10, 3, 12, 0, 1, 3]
    """
    return InfillFormat(
        start=(control.eot,),
        prefix=(),
        suffix=control.masks[:1],
        middle=(control.eot, control.sep, control.masks[0]),
        end=(control.eom, control.eot),
        sentinels=control.masks,
        lead_tokens=lead_tokens,
    )
