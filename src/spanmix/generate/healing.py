"""Let an answer go on inside a word: the prompt's last tokens are taken back, and written again.

A prefix that ends inside a word ends in tokens that the model hardly ever saw there: in training ``compute``
was one token, and what follows ``compu`` never began with ``te``. So the tokens at the end that could be
others once more text follows are taken back, and the answer has to begin with their bytes::

    prefix        def␣compu|            tokens      def  ␣comp  u
    kept          def                   taken back       ␣comp  u
    may begin     ␣compute   ␣computer   ␣comp u   ␣comp ul…   ␣comp ut…   …
    answer        ␣compute (              its text is te(

Known as token healing, from guidance (https://github.com/guidance-ai/guidance, "The Art of Prompt Design:
Prompt Boundaries and Token Healing"). There the longest end of the prompt is taken back with which a longer
token begins (``chop_tokens`` in llguidance's toktrie), and every token may come that agrees with its bytes.
Here only those beginnings may come that the tokenizer itself writes for *some* text that goes on so: ``␣c``
``ompute`` agrees with the bytes too, and the model never saw it. Up to some token all of these are the same;
exactly the tokens behind that are taken back, and none where the last token can only be itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from spanmix.text.text_tokenizer import TextTokenizer

_LOOKED_AT = 8
"""Tokens at the end of a prompt that may be taken back; words of more are rare, and healed in part."""
_A_WORD = "a"
_CACHED = 512
"""How many pairs of a token and the bytes behind it are remembered."""


@dataclass(frozen=True)
class Opening:
    """What an answer begins with that is no part of its text.

    Args:
        data: the bytes that were taken back; they are whole characters.
        next_ids: behind each beginning of an answer the ids that may come, until all of `data` is spent.
        most_tokens: of the longest such beginning.
    """

    data: bytes
    next_ids: Mapping[tuple[int, ...], frozenset[int]]
    most_tokens: int


NO_OPENING = Opening(b"", {}, 0)


class Healer:
    """Takes back the tokens at a prompt's end that could be others.

    Args:
        tokenizer: the model's.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._token_bytes = tokenizer.token_bytes
        plain = [i for i, data in enumerate(tokenizer.token_bytes) if data and not tokenizer.is_control[i]]
        self._ids = sorted(
            set(plain) - tokenizer.suppressed_ids, key=lambda token: (self._token_bytes[token], token)
        )
        self._sorted = [self._token_bytes[token] for token in self._ids]
        self._longest = max(map(len, self._sorted), default=0)
        # Behind other tokens a text is the same as alone, but to tokenizers that put a blank in front.
        same = tokenizer.encode("a") == tokenizer.encode_inside("a")
        self._encode_all: Callable[[list[str]], list[list[int]]] = (
            tokenizer.encode_batch if same else lambda texts: [tokenizer.encode_inside(t) for t in texts]
        )
        self._word_ids = tokenizer.encode_inside(_A_WORD)
        self._crossing = lru_cache(_CACHED)(self._find_crossing)

    def heal(self, ids: Sequence[int], least_kept: int = 0) -> tuple[list[int], Opening]:
        """Return the tokens that are kept, and what the answer has to begin with.

        Args:
            ids: of the text in front of a cursor.
            least_kept: how many first tokens stay in any case.
        """
        start = self._start(ids, least_kept)
        tail = list(ids[start:])
        if not tail:
            return list(ids), NO_OPENING
        nexts = self._nexts(ids[start - 1] if start else None, tail)
        num_same = 0
        while num_same < len(tail) and len(nexts[tuple(tail[:num_same])]) == 1:
            num_same += 1
        if num_same == len(tail):
            return list(ids), NO_OPENING
        while _text(self._bytes_of(tail[num_same:])) is None:
            num_same -= 1
        kept = tuple(tail[:num_same])
        behind = {key[num_same:]: frozenset(found) for key, found in nexts.items() if key[:num_same] == kept}
        most = 1 + max(map(len, behind))
        return list(ids[: start + num_same]), Opening(self._bytes_of(tail[num_same:]), behind, most)

    def _start(self, ids: Sequence[int], least_kept: int) -> int:
        """Return where the tokens begin that are looked at: those that their own text alone gives, too."""
        for start in range(max(least_kept, len(ids) - _LOOKED_AT), len(ids)):
            text = _text(self._bytes_of(ids[start:]))
            if text and self._tokenizer.encode_inside(text) == list(ids[start:]):
                return start
        return len(ids)

    def _nexts(self, before: int | None, tail: Sequence[int]) -> dict[tuple[int, ...], set[int]]:
        """Return what may follow each beginning of the token sequences that spell the tail and go on."""
        nexts: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

        def add(path: Sequence[int], last_ids: Iterable[int]) -> None:
            for place, token in enumerate(path):
                nexts[tuple(path[:place])].add(token)
            nexts[tuple(path)].update(last_ids)

        data = self._bytes_of(tail)
        for path in self._spelled(data.decode()):
            add(path[:-1], path[-1:])
        for cut in range(len(data)):
            head = _text(data[:cut])
            if head is None or not self._longer(data[cut:]):
                continue
            for path in self._spelled(head):
                if crossing := self._crossing(path[-1] if path else before, data[cut:]):
                    add(path, crossing)
        return nexts

    def _spelled(self, text: str) -> list[list[int]]:
        """Return the tokens of a text that more may follow: blanks are cut in another way before a word."""
        ids = self._tokenizer.encode_inside(text) if text else []
        if not text[-1:].isspace():
            return [ids]
        *others, last = self._tokenizer.encode_inside(text + _A_WORD)
        return [ids, others] if [last] == self._word_ids and others != ids else [ids]

    def _longer(self, data: bytes) -> Sequence[int]:
        """Return the tokens that begin with some bytes and go on behind them."""
        first = bisect_left(self._sorted, data + b"\0")
        return self._ids[first : bisect_left(self._sorted, data + b"\xff" * self._longest)]

    def _find_crossing(self, last: int | None, data: bytes) -> tuple[int, ...]:
        """Return the tokens that go on behind some bytes, as the tokenizer writes them behind a token.

        Of byte pairs, tokens are those of a text exactly if every two neighbors are (Antwerpen and Neubeck,
        https://github.blog/ai-and-ml/llms/so-many-tokens-so-little-time-introducing-a-faster-more-flexible-byte-pair-tokenizer/).
        """
        tokens = self._longer(data)
        front = b"" if last is None else self._token_bytes[last]
        if not front or _text(front) is None:  # a control or a part of a character: nothing joins with it
            return tuple(tokens)
        alike: defaultdict[object, list[int]] = defaultdict(list)
        for token in tokens:
            alike[self._kind(token)].append(token)
        texts = {kind: _text(front + self._token_bytes[some[0]]) for kind, some in alike.items()}
        whole = {kind: text for kind, text in texts.items() if text is not None}
        found = dict(zip(whole, self._encode_all(list(whole.values())), strict=True))
        return tuple(
            token
            for kind, some in alike.items()
            # What ends within a character has no text of its own to try.
            if kind not in found or found[kind] == [last, some[0]]
            for token in some
        )

    def _kind(self, token: int) -> object:
        """Return what decides whether a token stands behind another: of words with a blank in front only the
        kind of their first character does, as they start a word there or nowhere."""
        text = _text(self._token_bytes[token])
        if not text or text[0] != " " or not text[1:].strip():
            return token
        return (text[1].isspace(), text[1].isalpha(), text[1].isnumeric())

    def _bytes_of(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of tokens; a control among them leaves bytes that give other tokens."""
        return b"".join(self._token_bytes[token] for token in ids)


def _text(data: bytes) -> str | None:
    """Return the text of some bytes; None if a character of it is not whole."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
