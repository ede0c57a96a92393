"""Write the prompts of a served model: text becomes token ids, cut around the cursor to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanmix.errors import InputError
from spanmix.generate.healing import NO_OPENING, Healer, Opening
from spanmix.generate.infill import Gaps
from spanmix.generate.opening import OpenModel
from spanmix.serve.dialects import dialect_of
from spanmix.serve.front.errors import refused

DIALECT_HEADER = "x-fim-dialect"
"""Tells a client in whose form its prompt was understood."""
_CHARACTERS_PER_TOKEN = 64
"""A text is first cut to so many characters a token of the context; hardly any token is longer."""
_CUT_STEPS = 16
"""A prefix that does not fit is cut by multiples of the room over this: while somebody types, prompts go on
to begin alike, and what they share is not read again."""


@dataclass(frozen=True)
class Prompt:
    """What a model is given.

    Args:
        ids: its tokens.
        end_ids: what ends the answer.
        num_start: tokens in front that stand for no text of the request.
        num_cut: tokens of the request's text that did not fit.
        dialect: the other model's form that the request was written in, if it was.
        opening: what the answer has to begin with, of the tokens that were taken back.
    """

    ids: list[int]
    end_ids: frozenset[int]
    num_start: int = 0
    num_cut: int = 0
    dialect: str | None = None
    opening: Opening = NO_OPENING

    @property
    def num_tokens(self) -> int:
        """Of the prompt, and of what its answer repeats of the text."""
        return len(self.ids) + self.opening.most_tokens


class PromptWriter:
    """Writes prompts for one model.

    Args:
        model: who is asked.
        context_tokens: most tokens of prompt and answer.
        suffix_share: of the room for a prompt that does not fit whole, how much its suffix may take.
    """

    def __init__(self, model: OpenModel, context_tokens: int, suffix_share: float) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._suffix_share = suffix_share
        self.context_tokens = context_tokens
        self._longest_token = max(map(len, model.tokenizer.token_bytes))
        can_heal = "opening" in model.engine.info.capabilities
        self._healer = Healer(model.tokenizer) if can_heal else None

    def write(
        self, text: str | Sequence[int], suffix: str | None, max_tokens: int, heal: bool | None = None
    ) -> Prompt:
        """Return the prompt that a request asks for: to infill where it has a suffix, or is written so.

        Args:
            text: what stands in front of the cursor, or the ids of a whole prompt.
            suffix: what stands behind it.
            max_tokens: of the answer; what infills is cut so that there is room for it.
            heal: let the answer go on inside a word (see `spanmix.generate.healing`); if not said, that of a
                prompt that infills, and no other.

        Raises:
            ApiError: the model cannot infill, leaves no room, or there are ids that do not exist.
        """
        if suffix is not None:
            if not isinstance(text, str):
                raise refused("suffix goes with a prompt of text, not of token ids", "suffix")
            return self.infill([text, suffix], max_tokens, heal)
        found = dialect_of(text) if isinstance(text, str) and self._model.asked.infill else None
        if found is None:
            return self.text(text, bool(heal))
        dialect, parts = found
        return replace(self.infill(parts, max_tokens, heal), dialect=dialect.name)

    def text(self, text: str | Sequence[int], heal: bool = False) -> Prompt:
        """Return the prompt that continues a text; ids are taken as they are, unless they are to be healed.

        Raises:
            ApiError: it does not fit the context, or holds ids that do not exist.
        """
        end_ids = self._tokenizer.end_ids
        if not isinstance(text, str):
            if any(not 0 <= token < self._model.engine.info.vocab_size for token in text):
                size = self._model.engine.info.vocab_size
                raise refused(f"prompt holds ids outside the vocabulary, 0 to {size - 1}", "prompt")
            ids, num_start = list(text), 0
        else:
            start_ids = self._model.asked.start_ids
            self.room(len(text) // self._longest_token, None, clamp=True)  # or it is not worth reading
            ids = [*start_ids, *self.encode(text)]
            num_start = len(start_ids)
        healer = self._healer_for(heal)
        ids, opening = (ids, NO_OPENING) if healer is None else healer.heal(ids)
        if not ids:
            ids, num_start = [self._tokenizer.control.eot], 1
        return Prompt(ids, end_ids, num_start, opening=opening)

    def infill(
        self,
        parts: Sequence[str],
        max_tokens: int,
        heal: bool | None = None,
        most_prompt: int | None = None,
    ) -> Prompt:
        """Return the prompt that asks for what stands between two parts, cut around the cursor to fit.

        Args:
            parts: what stands in front of the cursor and behind it.
            max_tokens: room for the answer.
            heal: whether it may go on inside a word; it may if that is not said.
            most_prompt: most tokens of the prompt, if they are to be fewer than there is room for.

        Raises:
            ApiError: the model was not trained to infill, or leaves no room.
        """
        return self.of_gap(self.gaps(parts, max_tokens, heal, most_prompt))

    def of_gap(self, gaps: Gaps) -> Prompt:
        """Return the prompt that asks for the next gap."""
        num_cut = gaps.prompt.num_prefix_cut + gaps.prompt.num_suffix_cut
        return Prompt(gaps.prompt_ids, gaps.end_ids, 0, num_cut, opening=gaps.opening)

    def gaps(
        self,
        parts: Sequence[str],
        max_tokens: int,
        heal: bool | None = None,
        most_prompt: int | None = None,
    ) -> Gaps:
        """Return the gaps between the parts of a text, to be asked for one after the other; see `infill`."""
        format = self._model.asked.infill
        if format is None:
            raise refused("this model was not trained to infill: leave out suffix", "suffix")
        most = _CHARACTERS_PER_TOKEN * self.context_tokens
        first, last = parts[0][-most:], parts[-1][:most]
        ids = [self.encode(first), *(self.encode_inside(part) for part in (*parts[1:-1], last))]
        try:
            room = min(self.context_tokens - max_tokens, most_prompt or self.context_tokens)
            return Gaps(
                self._tokenizer,
                format,
                ids,
                room + max_tokens,
                max_tokens,
                self._suffix_share,
                cut_step=max(1, room // _CUT_STEPS),
                healer=self._healer_for(heal is not False),
            )
        except InputError as error:
            raise refused(str(error), "max_tokens") from None

    def _healer_for(self, heal: bool) -> Healer | None:
        return self._healer if heal else None

    def room(self, num_prompt: int, max_tokens: int | None, clamp: bool) -> int:
        """Return how many tokens an answer may have.

        Args:
            num_prompt: tokens of the prompt.
            max_tokens: as the request says; all that is left if it does not.
            clamp: lower it if it does not fit.

        Raises:
            ApiError: the prompt leaves no room for it.
        """
        left = self.context_tokens - num_prompt
        wanted = max(1, left) if max_tokens is None else max_tokens
        if wanted <= left:
            return wanted
        if clamp and left >= 1:
            return left
        raise refused(
            f"This model's maximum context length is {self.context_tokens} tokens. However, you requested "
            f"{num_prompt + wanted} tokens ({num_prompt} in the prompt, {wanted} in the completion). Please "
            "reduce the length of the prompt or of the completion.",
            "prompt" if left < 1 else "max_tokens",
            "context_length_exceeded",
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; names of controls in it are ordinary text."""
        try:
            return self._tokenizer.encode(text)
        except InputError as error:
            raise refused(str(error), "prompt") from None

    def encode_inside(self, text: str) -> list[int]:
        """Return the ids of a text that stands inside another."""
        try:
            return self._tokenizer.encode_inside(text)
        except InputError as error:
            raise refused(str(error), "suffix") from None
