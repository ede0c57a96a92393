"""Write tokens and their log-probabilities in the form of OpenAI's completions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spanmix.generate.engine import Score, TokenEvent
from spanmix.serve.interfaces.openai_schema import Logprobs
from spanmix.text.text_tokenizer import TextTokenizer

LEAST_LOGPROB = -9999.0
"""JSON has no minus infinity; what vLLM writes."""


@dataclass(frozen=True)
class TokenFacts:
    """A token, its log-probability (None of the first of a prompt), and the likeliest in its place."""

    token_id: int
    logprob: float | None
    top: Sequence[tuple[int, float]] = ()


def of_answer(events: Iterable[TokenEvent]) -> list[TokenFacts]:
    """Return what is told of an answer's tokens."""
    return [TokenFacts(event.token_id, event.logprob, event.top) for event in events]


def of_prompt(ids: Sequence[int], score: Score) -> list[TokenFacts]:
    """Return what is told of a prompt's tokens, of which all but the first were scored."""
    scored = zip(ids[1:], score.logprobs, score.top, strict=True)
    return [TokenFacts(ids[0], None), *(TokenFacts(*facts) for facts in scored)]


class TokenNames:
    """Names tokens so that two of them are never named alike.

    A token is named by its text. Part of a character is ``bytes:`` with what it is made of, as OpenAI writes
    it, a control is its name.

    Args:
        tokenizer: the model's.
        as_ids: name each ``token_id:N`` instead.
    """

    def __init__(self, tokenizer: TextTokenizer, as_ids: bool = False) -> None:
        self._tokenizer = tokenizer
        self._as_ids = as_ids

    def name(self, token_id: int) -> str:
        """Return a token's name."""
        if self._as_ids:
            return f"token_id:{token_id}"
        if self._tokenizer.is_control[token_id]:
            return self._tokenizer.decode([token_id])
        data = self._tokenizer.token_bytes[token_id]
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


class LogprobsWriter:
    """Writes the tokens of one text down, some after the others.

    Offsets are those of the text in which each sequence of bytes that is no character stands as one
    U+FFFD, as it does in answers.

    Args:
        tokenizer: the model's.
        names: of its tokens.
    """

    def __init__(self, tokenizer: TextTokenizer, names: TokenNames) -> None:
        self._token_bytes = tokenizer.token_bytes
        self._names = names
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._num_characters = 0

    def write(self, tokens: Sequence[TokenFacts], num_split: int = 0) -> Logprobs:
        """Write the tokens that come next.

        Args:
            tokens: neighbors.
            num_split: bytes of the first that stand in front of the text.
        """
        made = Logprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token in tokens:
            made.tokens.append(self._names.name(token.token_id))
            made.text_offset.append(self._push(self._token_bytes[token.token_id][num_split:]))
            num_split = 0
            if token.logprob is None:
                made.token_logprobs.append(None)
                made.top_logprobs.append(None)
                continue
            told = dict(token.top) | {token.token_id: token.logprob}
            made.token_logprobs.append(max(token.logprob, LEAST_LOGPROB))
            made.top_logprobs.append(
                {self._names.name(token_id): max(value, LEAST_LOGPROB) for token_id, value in told.items()}
            )
        return made

    def _push(self, data: bytes) -> int:
        """Append bytes to the text; return the place of the character that the first of them belongs to."""
        self._num_characters += len(self._decoder.decode(data[:1]))
        # It is part of the last character there is, or of one that is not finished.
        is_unfinished = not data or bool(self._decoder.getstate()[0])
        place = self._num_characters - (0 if is_unfinished else 1)
        self._num_characters += len(self._decoder.decode(data[1:]))
        return place
