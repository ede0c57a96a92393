"""Write a file as it stands: next-token prediction, with or without a part that is only read."""

from __future__ import annotations

import math

import numpy as np

from spanmix.errors import InputError
from spanmix.objective_configs import CausalConfig, PrefixLMConfig, PromptResponseConfig
from spanmix.objectives.objective import Alphabet, TokenizedDocument, cut_at_line_end
from spanmix.seeding import below
from spanmix.types import DocumentRef, Example, IntArray


class Causal:
    """``<|endoftext|> t…`` for a piece inside a file, ``<|endoftext|> t… <|endoftext|>`` at its end.

    Args:
        index: place of this objective in the recipe.
        config: its mode token.
        alphabet: the tokenizer's control ids and line ends.

    >>> from spanmix.objectives.objective import DocumentKey, write_all
    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 4, (3,)), np.zeros(32, dtype=bool))
    >>> causal = Causal(0, CausalConfig(weight=1), alphabet)
    >>> document = TokenizedDocument(np.arange(10, 16, dtype=np.int32))
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=0, corruption_epoch=0)
    >>> [example.token_ids.tolist() for example in write_all(causal, document, key, row_tokens=4)]
    [[0, 10, 11, 12, 13], [0, 14, 15, 0]]
    """

    max_sentinels = 0
    needs_language = False
    words_per_piece = 0

    def __init__(
        self, index: int, config: CausalConfig | PrefixLMConfig | PromptResponseConfig, alphabet: Alphabet
    ) -> None:
        self.index = index
        self.alphabet = alphabet
        self.start_ids = alphabet.start_ids(config.mode_token)
        self.sees_both_ways = False
        self.loss_on_all = len(self.start_ids) == 1
        self.smallest_room = self.wanted_room = len(self.start_ids) + 1

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Write a piece that fills the room, or the file's last one with its end token."""
        token_ids, weights, taken = self._text(document, start, room)
        return Example(token_ids, weights, 0, self.index, ref), taken

    def safe_tokens(self, room: int) -> int:
        """Return how long a file can be that fits the room whole."""
        return room - len(self.start_ids)

    def _text(
        self, document: TokenizedDocument, start: int, room: int
    ) -> tuple[IntArray, np.ndarray[tuple[int], np.dtype[np.float32]], int]:
        """Return token ids and loss weights of a piece, and how many tokens of the file it holds."""
        rest = document.tokens[start:]
        length = len(rest)
        num_start = len(self.start_ids)
        ends = num_start + length <= room
        if not ends:
            # Leave a token for the last piece, so that the file's end is always written.
            limit = min(room + 1 - num_start, length - 1)
            length = cut_at_line_end(rest, limit, min(room // 100, limit - 1), self.alphabet.ends_line)
        token_ids = np.full(num_start + length + ends, self.alphabet.control.eot, dtype=np.int32)
        token_ids[:num_start] = self.start_ids
        token_ids[num_start : num_start + length] = rest[:length]
        weights = np.ones(len(token_ids), dtype=np.float32)
        weights[:num_start] = 0
        return token_ids, weights, length

    def restore(self, example: Example) -> IntArray:
        """Drop the start and, if it is there, the end."""
        tokens = example.token_ids[len(self.start_ids) :]
        return tokens[:-1] if tokens[-1] == self.alphabet.control.eot else tokens


class PrefixLM(Causal):
    """The text of `Causal` behind a prefix of p of its tokens, which are seen and not predicted.

    p is uniform between the configured shares of the example, in 1..n-1. The paper does not say how
    its prefix was drawn; uniform is our own choice.

    >>> from spanmix.objectives.objective import DocumentKey, write_all
    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 4, (3,)), np.zeros(32, dtype=bool))
    >>> prefix_lm = PrefixLM(0, PrefixLMConfig(weight=1), alphabet)
    >>> document = TokenizedDocument(np.arange(10, 16, dtype=np.int32))
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=0, corruption_epoch=0)
    >>> [example] = write_all(prefix_lm, document, key, row_tokens=9)
    >>> example.token_ids.tolist(), example.prefix_length, example.loss_weights.tolist()
    ([0, 10, 11, 12, 13, 14, 15, 0], 2, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """

    words_per_piece = 1

    def __init__(self, index: int, config: PrefixLMConfig, alphabet: Alphabet) -> None:
        super().__init__(index, config, alphabet)
        self.config = config
        self.sees_both_ways = config.bidirectional
        self.loss_on_all = False

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Write a piece as `Causal` does, and draw how much of it is the prefix."""
        token_ids, weights, taken = self._text(document, start, room)
        n = len(token_ids)
        shortest = min(n - 1, max(1, math.ceil(self.config.min_share * n)))
        longest = max(shortest, min(n - 1, math.floor(self.config.max_share * n)))
        prefix_length = shortest + below(words[0], longest - shortest + 1)
        weights[:prefix_length] = 0
        seen_both_ways = prefix_length if self.config.bidirectional else 0
        return Example(token_ids, weights, seen_both_ways, self.index, ref), taken


class PromptResponse(Causal):
    """The text of `Causal`, prompt and response in one, with loss on the response only.

    >>> from spanmix.objectives.objective import DocumentKey, write_all
    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 4, (3,)), np.zeros(32, dtype=bool))
    >>> objective = PromptResponse(0, PromptResponseConfig(weight=1), alphabet)
    >>> document = TokenizedDocument(np.arange(10, 16, dtype=np.int32), prompt_tokens=4)
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=0, corruption_epoch=0)
    >>> [example] = write_all(objective, document, key, row_tokens=9)
    >>> example.token_ids.tolist(), example.loss_weights.tolist()
    ([0, 10, 11, 12, 13, 14, 15, 0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    """

    def __init__(self, index: int, config: PromptResponseConfig, alphabet: Alphabet) -> None:
        super().__init__(index, config, alphabet)
        self.loss_on_all = False

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Write a piece as `Causal` does; a piece of the prompt alone carries no loss at all.

        Raises:
            InputError: the document has no prompt.
        """
        if not document.prompt_tokens:
            raise InputError(
                f"objective prompt_response met document {ref.document} of source {ref.source}, which has no "
                "prompt; name the sources that have prompts in objectives.sources"
            )
        token_ids, weights, taken = self._text(document, start, room)
        weights[: len(self.start_ids) + max(0, document.prompt_tokens - start)] = 0
        return Example(token_ids, weights, 0, self.index, ref), taken
