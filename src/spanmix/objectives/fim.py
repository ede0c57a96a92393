"""Write a file as prefix, suffix and middle: fill-in-the-middle (Bavarian et al., 2022, arXiv 2207.14255).

    <|endoftext|> <fim_prefix> prefix <fim_suffix> suffix <fim_middle> middle <|endoftext|>     PSM
    <|endoftext|> <fim_prefix> <fim_suffix> suffix <fim_middle> prefix middle <|endoftext|>     SPM

The tokens and both layouts are StarCoder's (Li et al., 2023, arXiv 2305.06161), so a model trained here
is asked like one of that family. The two ends of the middle are uniform among all places of the piece;
any part may be empty.
"""

from __future__ import annotations

import numpy as np

from spanmix.objective_configs import FimConfig
from spanmix.objectives.characters import CharacterCutter, character_starts
from spanmix.objectives.objective import GROWTH, Alphabet, TokenizedDocument, cut_at_line_end
from spanmix.seeding import below
from spanmix.types import DocumentRef, Example, IntArray

FIM_TOKENS = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_FIXED_POINT = 1 << 32
_TRIES = 6


class Fim:
    """Fill-in-the-middle.

    Args:
        index: place of this objective in the recipe.
        config: how often suffix-prefix-middle, and where to cut.
        alphabet: the tokenizer's control ids, its ``<fim_…>`` tokens and line ends.
        cutter: cuts at characters; needed unless the config cuts at tokens.

    Raises:
        InputError: the tokenizer lacks one of the ``<fim_…>`` tokens.

    >>> from spanmix.objectives.objective import DocumentKey, write_all
    >>> from spanmix.types import ControlIds
    >>> names = {"<fim_prefix>": 5, "<fim_suffix>": 6, "<fim_middle>": 7}
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 4, (3,)), np.zeros(32, dtype=bool), names)
    >>> document = TokenizedDocument(np.arange(10, 16, dtype=np.int32))
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=3, epoch=0, corruption_epoch=0)
    >>> for spm_share in (0, 1):
    ...     fim = Fim(0, FimConfig(weight=1, spm_share=spm_share, cut="token"), alphabet)
    ...     [example] = write_all(fim, document, key, row_tokens=32)
    ...     example.token_ids.tolist(), fim.restore(example).tolist()
    ([0, 5, 10, 6, 14, 15, 7, 11, 12, 13, 0], [10, 11, 12, 13, 14, 15])
    ([0, 5, 6, 14, 15, 7, 10, 11, 12, 13, 0], [10, 11, 12, 13, 14, 15])
    """

    max_sentinels = 0
    needs_language = False
    words_per_piece = 3

    def __init__(
        self, index: int, config: FimConfig, alphabet: Alphabet, cutter: CharacterCutter | None = None
    ) -> None:
        assert cutter is not None or config.cut == "token", "cuts inside tokens need a cutter"
        self.index = index
        self.alphabet = alphabet
        self.start_ids = alphabet.start_ids(config.mode_token)
        tokens = alphabet.ids_of(FIM_TOKENS, "objective fim")
        self._prefix, self._suffix, self._middle = (np.array([i], dtype=np.int32) for i in tokens)
        self.sees_both_ways = False
        self.loss_on_all = len(self.start_ids) == 1
        self._spm = round(config.spm_share * _FIXED_POINT)
        self._cutter = cutter if config.cut == "character" else None
        self._overhead = len(self.start_ids) + 3
        self.smallest_room = self.wanted_room = self._overhead + 1

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Cut the piece that fills the room, or the rest of the file, into three."""
        rest = document.tokens[start:]
        length = min(len(rest), room - self._overhead)
        if length < len(rest):
            length = cut_at_line_end(rest, length, min(room // 100, length - 1), self.alphabet.ends_line)
        parts = self._parts(rest[:length], words, self._cutter)
        for _ in range(_TRIES):
            over = sum(map(len, parts)) + self._overhead - room
            if over <= 0:
                break
            length = max(1, length - over)
            parts = self._parts(rest[:length], words, self._cutter)
        else:
            parts = self._parts(rest[:length], words, None)
        return self._write(parts, below(words[2], _FIXED_POINT) < self._spm, ref), length

    def safe_tokens(self, room: int) -> int:
        """Return how long a file can be that fits the room whole."""
        return room - self._overhead - (2 * GROWTH if self._cutter else 0)

    def _parts(
        self, piece: IntArray, words: list[int], cutter: CharacterCutter | None
    ) -> tuple[IntArray, IntArray, IntArray]:
        """Cut a piece at two places."""
        if cutter is None:
            first, second = sorted(below(word, len(piece) + 1) for word in words[:2])
            return piece[:first], piece[first:second], piece[second:]
        text = cutter.text(piece)
        places = np.flatnonzero(character_starts(text))
        cuts = sorted(int(places[below(word, len(places))]) for word in words[:2])
        prefix, middle, suffix = cutter.cut(piece, text, cuts)
        return prefix, middle, suffix

    def _write(self, parts: tuple[IntArray, IntArray, IntArray], spm: bool, ref: DocumentRef) -> Example:
        prefix, middle, suffix = parts
        if spm:
            body = [self._prefix, self._suffix, suffix, self._middle, prefix, middle]
        else:
            body = [self._prefix, prefix, self._suffix, suffix, self._middle, middle]
        end = np.array([self.alphabet.control.eot], dtype=np.int32)
        token_ids = np.concatenate([self.start_ids, *body, end])
        weights = np.ones(len(token_ids), dtype=np.float32)
        weights[: len(self.start_ids)] = 0
        return Example(token_ids, weights, 0, self.index, ref)

    def restore(self, example: Example) -> IntArray:
        """Put the parts back in order."""
        ids = example.token_ids[len(self.start_ids) : -1]
        suffix_at = int(np.flatnonzero(ids == self._suffix[0])[0])
        middle_at = int(np.flatnonzero(ids == self._middle[0])[0])
        # SPM has nothing between the first two marks; so has PSM with an empty prefix: then they are alike.
        return np.concatenate([ids[1:suffix_at], ids[middle_at + 1 :], ids[suffix_at + 1 : middle_at]])
