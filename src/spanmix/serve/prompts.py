"""Write the prompts of a served model: text becomes token ids, cut around the cursor to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanmix.errors import InputError
from spanmix.generate.healing import NO_OPENING, Healer, Opening
from spanmix.generate.infill import Gaps
from spanmix.generate.opening import OpenModel
from spanmix.serve.dialects import dialect_of
from spanmix.serve.extra_files import CHARACTERS_PER_TOKEN, ExtraFile, with_files
from spanmix.serve.front.errors import refused

DIALECT_HEADER = "x-fim-dialect"
"""Tells a client in whose form its prompt was understood."""
_CUT_STEPS = 16
"""A prefix that does not fit is cut by multiples of the room over this: while somebody types, prompts go on
to begin alike, and what they share is not read again."""
_ANSWER_SHARE = 4
"""An answer is lowered to the context over this before a text around a cursor is cut for it."""
_MOST_UNASKED = 4096
"""Tokens of an answer whose length nobody said."""
_CANNOT_INFILL = (
    "this model was not trained to infill; it can only continue a text: ask /v1/completions, /completion or "
    "/api/generate, with nothing behind the cursor"
)


@dataclass(frozen=True)
class Prompt:
    """What a model is given.

    Args:
        ids: its tokens.
        end_ids: what ends the answer.
        max_tokens: most tokens of the answer: as many as were asked for, or as there is room for.
        num_start: tokens in front that stand for no text of the request.
        is_cut: some of the request's text or files did not fit.
        dialect: the other model's form that the request was written in, if it was.
        opening: what the answer has to begin with, of the tokens that were taken back.
    """

    ids: list[int]
    end_ids: frozenset[int]
    max_tokens: int
    num_start: int = 0
    is_cut: bool = False
    dialect: str | None = None
    opening: Opening = NO_OPENING

    @property
    def headers(self) -> dict[str, str]:
        """What an answer to it says in its head."""
        return {DIALECT_HEADER: self.dialect} if self.dialect else {}


class PromptWriter:
    """Writes prompts for one model.

    Args:
        model: who is asked.
        context_tokens: most tokens of prompt and answer.
        suffix_share: of the room for a prompt that does not fit whole, how much its suffix may take.
        clamp: lower the number of tokens of an answer that does not fit; else refuse it.
    """

    def __init__(
        self, model: OpenModel, context_tokens: int, suffix_share: float, clamp: bool = True
    ) -> None:
        self._model = model
        self._tokenizer = model.tokenizer
        self._suffix_share = suffix_share
        self._clamp = clamp
        self.context_tokens = context_tokens
        self._longest_token = max(map(len, model.tokenizer.token_bytes))
        self._healer = model.healer()

    def write(
        self, text: str | Sequence[int], suffix: str | None, max_tokens: int | None, heal: bool | None = None
    ) -> Prompt:
        """Return the prompt that a request asks for: to infill where it has a suffix, or is written so.

        Args:
            text: what stands in front of the cursor, or the ids of a whole prompt.
            suffix: what stands behind it; a model that cannot infill goes on where that is nothing.
            max_tokens: of the answer; as many as there is room for if nobody said.
            heal: let the answer go on inside a word (see `spanmix.generate.healing`); if not said, that of a
                prompt that infills, and no other.

        Raises:
            ApiError: the model cannot infill, there is no room, or there are ids that do not exist.
        """
        can_infill = self._model.asked.infill is not None
        if suffix is not None:
            if not isinstance(text, str):
                raise refused("suffix goes with a prompt of text, not of token ids", "suffix")
            if suffix or can_infill:
                return self.infill([text, suffix], max_tokens, heal)
        found = dialect_of(text) if isinstance(text, str) else None
        if found is None:
            return self.text(text, max_tokens, bool(heal))
        dialect, parts = found
        if not can_infill:
            said = f"the prompt has {dialect.name}'s sentinels around a cursor, but {_CANNOT_INFILL}"
            raise refused(said, "prompt")
        return replace(self.infill(parts, max_tokens, heal), dialect=dialect.name)

    def text(self, text: str | Sequence[int], max_tokens: int | None, heal: bool = False) -> Prompt:
        """Return the prompt that continues a text; ids are taken as they are, unless they are to be healed.

        Raises:
            ApiError: it leaves no room for the answer, or holds ids that do not exist.
        """
        end_ids = self._tokenizer.end_ids
        if not isinstance(text, str):
            if any(not 0 <= token < self._model.engine.info.vocab_size for token in text):
                size = self._model.engine.info.vocab_size
                raise refused(f"prompt holds ids outside the vocabulary, 0 to {size - 1}", "prompt")
            ids, num_start = list(text), 0
        else:
            start_ids = self._model.asked.start_ids
            self.check_length(len(text) // self._longest_token, max_tokens)
            ids = [*start_ids, *self.encode(text)]
            num_start = len(start_ids)
        healer = self._healer_for(heal)
        ids, opening = (ids, NO_OPENING) if healer is None else healer.heal(ids)
        if not ids:
            ids, num_start = [self._tokenizer.control.eot], 1
        room = self._room(len(ids) + opening.most_tokens, max_tokens)
        return Prompt(ids, end_ids, room, num_start, opening=opening)

    def infill(
        self,
        parts: Sequence[str],
        max_tokens: int | None,
        heal: bool | None = None,
        most_prompt: int | None = None,
        files: Sequence[ExtraFile] = (),
    ) -> Prompt:
        """Return the prompt that asks for what stands between two parts, cut around the cursor to fit.

        Args:
            parts: what stands in front of the cursor and behind it.
            max_tokens: of the answer; as many as there is room for if nobody said.
            heal: whether it may go on inside a word; it may if that is not said.
            most_prompt: most tokens of the prompt, if they are to be fewer than there is room for.
            files: shown in front of the text, as many of the last as there is room for.

        Raises:
            ApiError: the model was not trained to infill, or there is no room.
        """
        gaps, room = self.gaps(parts, max_tokens, heal, most_prompt)
        alone = self.of_gap(gaps, room)
        if not files or alone.is_cut:
            return replace(alone, is_cut=alone.is_cut or bool(files))
        is_fixed = max_tokens is not None and not self._clamp
        most = self.context_tokens - (room if is_fixed else self._least_answer(max_tokens, 1))
        left = min(most, most_prompt or most) - gaps.num_tokens
        prefix, num_out = with_files(files, parts[0], lambda text: len(self.encode(text)), left)
        shown = self.of_gap(*self.gaps([prefix, parts[1]], max_tokens, heal, most_prompt))
        return replace(shown, is_cut=shown.is_cut or num_out > 0)

    def of_gap(self, gaps: Gaps, max_tokens: int) -> Prompt:
        """Return the prompt that asks for the next gap."""
        is_cut = gaps.prompt.num_prefix_cut + gaps.prompt.num_suffix_cut > 0
        return Prompt(gaps.prompt_ids, gaps.end_ids, max_tokens, is_cut=is_cut, opening=gaps.opening)

    def gaps(
        self,
        parts: Sequence[str],
        max_tokens: int | None,
        heal: bool | None = None,
        most_prompt: int | None = None,
    ) -> tuple[Gaps, int]:
        """Return the gaps between the parts of a text, and most tokens of each answer; see `infill`."""
        format = self._model.asked.infill
        if format is None:
            raise refused(_CANNOT_INFILL, "suffix")
        most = CHARACTERS_PER_TOKEN * self.context_tokens
        if (inside := sum(map(len, parts[1:-1]))) > most:
            raise refused(
                f"{inside:,} characters between the cursors do not fit the model's context of "
                f"{self.context_tokens:,} tokens; give cursors that are nearer to each other",
                "input_parts",
            )
        first, last = parts[0][-most:], parts[-1][:most]
        ids = [self.encode(first), *(self.encode_inside(part) for part in (*parts[1:-1], last))]
        num_answers = len(parts) - 1
        kept_free = self._least_answer(max_tokens, num_answers)
        if most_prompt is not None:
            kept_free = max(kept_free, self.context_tokens - most_prompt)
        try:
            gaps = Gaps(
                self._tokenizer,
                format,
                ids,
                self.context_tokens,
                kept_free,
                self._suffix_share,
                cut_step=max(1, (self.context_tokens - kept_free) // _CUT_STEPS),
                healer=self._healer_for(heal is not False),
            )
        except InputError as error:
            raise refused(str(error), "max_tokens") from None
        is_cut = gaps.prompt.num_prefix_cut + gaps.prompt.num_suffix_cut > 0
        return gaps, self._room(gaps.num_tokens, max_tokens, num_answers, is_least=is_cut)

    def _healer_for(self, heal: bool) -> Healer | None:
        return self._healer if heal else None

    def _least_answer(self, max_tokens: int | None, num_answers: int) -> int:
        """Return to how many tokens each answer is lowered before the text around a cursor is cut."""
        share = max(1, self.context_tokens // _ANSWER_SHARE // num_answers)
        return share if max_tokens is None else min(max_tokens, share)

    def check_length(self, num_least: int, max_tokens: int | None) -> None:
        """Refuse a prompt of so many tokens or more that cannot fit, before it is read.

        Raises:
            ApiError: it leaves no room for an answer.
        """
        if num_least >= self.context_tokens:
            self._room(num_least, max_tokens, is_least=True)

    def _room(
        self, num_prompt: int, max_tokens: int | None, num_answers: int = 1, is_least: bool = False
    ) -> int:
        """Return how many tokens each answer may have.

        Args:
            num_prompt: tokens of the prompt.
            max_tokens: as the request says, if it does.
            num_answers: behind each other.
            is_least: the prompt has more tokens than that, which were not counted.

        Raises:
            ApiError: the prompt leaves no room for it.
        """
        left = (self.context_tokens - num_prompt) // num_answers
        wanted = min(_MOST_UNASKED, max(1, left)) if max_tokens is None else max_tokens
        if wanted <= left:
            return wanted
        if self._clamp and left >= 1:
            return left
        least, num_asked = "at least " if is_least else "", wanted * num_answers
        raise refused(
            f"This model's maximum context length is {self.context_tokens} tokens. However, you requested "
            f"{least}{num_prompt + num_asked} tokens ({least}{num_prompt} in the prompt, {num_asked} in the "
            "completion). Please reduce the length of the prompt or of the completion.",
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
