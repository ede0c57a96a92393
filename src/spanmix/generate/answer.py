"""Turn a request's tokens into text as they come: whole characters, and stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from spanmix.errors import InputError
from spanmix.generate.engine import FinishReason, TokenEvent
from spanmix.generate.healing import NO_OPENING, Opening


class TextAssembler:
    """Make text of bytes that come in pieces, and end it at the first stop string.

    What is given out is never taken back: bytes of an unfinished character are held back, and so is
    the longest end of the text that could be the start of a stop string.

    >>> assembler = TextAssembler(("\\ndef",))
    >>> [assembler.push(piece) for piece in (b"x = 1", b"\\nd", b"ot", b"\\nde", b"f f")]
    ['x = 1', '', '\\ndot', '', '']
    >>> assembler.stopped_by
    '\\ndef'

    Args:
        stop: strings that end the text; of several the one that is complete first.

    Raises:
        InputError: a stop string is empty.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        if "" in stop:
            raise InputError("a stop string is empty; every text would end at once")
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped_by: str | None = None

    def push(self, data: bytes) -> str:
        """Take more bytes; return the text that is certain now."""
        if self.stopped_by is not None:
            return ""
        text = self._held + self._decoder.decode(data)
        found = [(text.find(stop) + len(stop), text.find(stop), stop) for stop in self._stop if stop in text]
        if found:
            _, start, self.stopped_by = min(found)
            self._held = ""
            return text[:start]
        num_held = self._num_held(text)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]

    def flush(self) -> str:
        """Return what was held back, at the end of the text; an unfinished character is dropped."""
        held, self._held = self._held, ""
        return held

    def _num_held(self, text: str) -> int:
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0


class Answer:
    """The text and the tokens of one request, which an engine gives one by one.

    Args:
        token_bytes: the bytes that each id stands for.
        stop_ids: ids that end the text and are no part of it.
        stop: strings that end the text.
        opening: what the tokens begin with that is no part of the text.
        max_tokens: most tokens that bring more than that, where there is any; without, the engine counts.

    Raises:
        InputError: a stop string is empty.
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes],
        stop_ids: frozenset[int] = frozenset(),
        stop: Sequence[str] = (),
        opening: Opening = NO_OPENING,
        max_tokens: int | None = None,
    ) -> None:
        self._token_bytes = token_bytes
        self._stop_ids = stop_ids
        self._given = opening.data
        self._max_tokens = max_tokens if opening.data else None
        self._assembler = TextAssembler(stop)
        self._pieces: list[str] = []
        self.events: list[TokenEvent] = []
        """All tokens, those of the end included."""
        self.num_repeated = 0
        """How many of them, at the beginning, bring nothing that was not given."""
        self.num_split = 0
        """How many bytes of the first that brings more were given."""
        self.finish_reason: FinishReason | None = None
        """``"stop"`` or ``"length"`` once no more will come."""

    @property
    def text(self) -> str:
        """What was given out so far."""
        return "".join(self._pieces)

    @property
    def stopped_by(self) -> str | None:
        """The stop string that ended the text, if one did."""
        return self._assembler.stopped_by

    def take(self, event: TokenEvent) -> str:
        """Take the next token; return the text that is certain now.

        Once `finish_reason` is there, all text has been given out, and what else comes is passed over.
        """
        if self.finish_reason is not None:
            return ""
        self.events.append(event)
        self.finish_reason = event.finish_reason
        piece = ""
        if event.token_id not in self._stop_ids:
            piece = self._assembler.push(self._new_bytes(event.token_id))
        if self.finish_reason is None and len(self.events) - self.num_repeated == self._max_tokens:
            self.finish_reason = "length"
        if self._assembler.stopped_by is not None:
            self.finish_reason = "stop"
        elif self.finish_reason is not None:
            piece += self._assembler.flush()
        self._pieces.append(piece)
        return piece

    def _new_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token behind those that were given."""
        data = self._token_bytes[token_id]
        if not self._given:
            return data
        num_given = min(len(data), len(self._given))
        assert data[:num_given] == self._given[:num_given], "the tokens begin with what was given"
        self._given = self._given[num_given:]
        if num_given == len(data):
            self.num_repeated += 1
        else:
            self.num_split = num_given
        return data[num_given:]
