"""Guess a request's next tokens: what followed the same few tokens when they came last."""

from __future__ import annotations

from collections.abc import Sequence

_LOOKED_UP = 3
"""Tokens that have to be the same."""


class Drafter:
    """Proposes tokens out of the text so far, prompt included, for a model to confirm.

    Code repeats itself, and an infilled middle repeats names of its prefix and suffix, so a few tokens that
    came before are often followed by what followed then (prompt lookup decoding,
    https://github.com/apoorvumang/prompt-lookup-decoding). How many are proposed doubles while all are
    confirmed, and falls back to one more than were.

    >>> drafter = Drafter([5, 6, 7, 8, 9, 5, 6, 7])
    >>> drafter.propose(4), drafter.propose(2)
    ([8, 9, 5, 6], [8, 9])
    >>> drafter.add(1)
    >>> drafter.propose(4)
    []

    Args:
        token_ids: the prompt.
        most: most tokens of a proposal.
    """

    def __init__(self, token_ids: Sequence[int], most: int = 8) -> None:
        self._ids = list(token_ids)
        self._most = self._wanted = most
        self._behind: dict[tuple[int, ...], int] = {}
        for place in range(_LOOKED_UP, len(self._ids)):
            self._behind[tuple(self._ids[place - _LOOKED_UP : place])] = place

    def add(self, token_id: int) -> None:
        """Append a token to the text."""
        if len(self._ids) >= _LOOKED_UP:
            self._behind[tuple(self._ids[-_LOOKED_UP:])] = len(self._ids)
        self._ids.append(token_id)

    def propose(self, most: int) -> list[int]:
        """Return up to so many tokens that may come next."""
        place = self._behind.get(tuple(self._ids[-_LOOKED_UP:]))
        return [] if place is None else self._ids[place : place + max(0, min(most, self._wanted))]

    def learn(self, num_proposed: int, num_confirmed: int) -> None:
        """Take note of how a proposal did."""
        confirmed_all = num_confirmed == num_proposed
        self._wanted = min(self._most, 2 * num_proposed if confirmed_all else num_confirmed + 1)
