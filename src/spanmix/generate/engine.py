"""The interface of everything that runs a model: `Engine`.

Requests are token ids. Stop strings, text and stitching live above. A capability that is asked for
and missing is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from spanmix.errors import InputError

FinishReason = Literal["stop", "length"]
CAPABILITIES = frozenset(
    {"seed", "top_logprobs", "min_p", "min_tokens", "logit_bias", "penalties", "opening"}
)
MOST_BIAS, MOST_PENALTY = 100.0, 2.0
"""Of a logit's bias and of a presence or frequency penalty, either way; what OpenAI's interface allows."""
LEAST_REPETITION_PENALTY, MOST_REPETITION_PENALTY = 0.01, 100.0
"""So that what it divides and multiplies stays a number."""
LEAST_TEMPERATURE, MOST_TEMPERATURE = 1e-6, 1e6
"""Far outside what makes a difference, and far inside what float64 can divide logits by."""


@dataclass(frozen=True)
class EngineInfo:
    """What an engine can do.

    Args:
        context_tokens: longest prompt plus completion.
        vocab_size: ids run from 0 to vocab_size - 1.
        dtype: what it computes in, for example ``fp32``.
        capabilities: a subset of `CAPABILITIES`.
        keeps_prompts: whether what a prompt has in common with earlier ones is not read again.
    """

    context_tokens: int
    vocab_size: int
    dtype: str
    capabilities: frozenset[str]
    keeps_prompts: bool = False

    def check_generate(self, request: GenerateRequest) -> None:
        """Raise `InputError` unless the request fits the context and the vocabulary, and leaves a choice."""
        self._check_tokens(request.prompt_ids, "prompt_ids")
        if not request.prompt_ids:
            raise InputError("the prompt is empty; give at least one token, such as <|endoftext|>")
        hidden_ids = request.suppress_ids | (request.stop_ids if request.min_tokens else frozenset())
        if len(hidden_ids) >= self.vocab_size:
            raise InputError("every token is suppressed; nothing could be generated")
        self._check_tokens(tuple(request.suppress_ids), "suppress_ids")
        self._check_tokens([token_id for token_id, _ in request.logit_bias], "logit_bias")
        for ids in request.opening.values():
            self._check_tokens(tuple(ids), "opening")
            if ids <= hidden_ids:
                raise InputError("every token that may open the answer is suppressed")
        for name in sorted(request.needs - self.capabilities):
            raise InputError(
                f"{name} is asked for, which this engine cannot do; leave it out, or use another"
            )
        self._check_context("prompt", len(request.prompt_ids), "max_tokens", request.max_tokens)

    def check_score(self, request: ScoreRequest) -> None:
        """Raise `InputError` unless the request fits the context and the vocabulary."""
        self._check_tokens(request.context_ids, "context_ids")
        self._check_tokens(request.target_ids, "target_ids")
        if request.num_top_logprobs > 0 and "top_logprobs" not in self.capabilities:
            raise InputError("top_logprobs is asked for, which this engine cannot do; use another")
        if not request.context_ids:
            raise InputError("context_ids is empty; give at least one token, such as <|endoftext|>")
        self._check_context("context", len(request.context_ids), "targets", len(request.target_ids))

    def _check_tokens(self, token_ids: Sequence[int], name: str) -> None:
        if len(token_ids) and (min(token_ids) < 0 or max(token_ids) >= self.vocab_size):
            wrong = next(token for token in token_ids if not 0 <= token < self.vocab_size)
            raise InputError(
                f"{name} holds {wrong}; the vocabulary's ids run from 0 to {self.vocab_size - 1}"
            )

    def _check_context(self, what: str, num_given: int, wanted_name: str, num_wanted: int) -> None:
        context = self.context_tokens
        if num_given + num_wanted > context:
            raise InputError(
                f"this model's maximum context length is {context} tokens; {what} {num_given} + "
                f"{wanted_name} {num_wanted} = {num_given + num_wanted}: shorten one of them"
            )


@dataclass(frozen=True)
class ScoreRequest:
    """Score `target_ids` after `context_ids` (which may not be empty).

    Args:
        context_ids: what the targets stand behind.
        target_ids: what is scored.
        num_top_logprobs: how many of the most likely tokens to report at each target.
    """

    context_ids: Sequence[int]
    target_ids: Sequence[int]
    num_top_logprobs: int = 0


@dataclass(frozen=True)
class Score:
    """What a model thinks of given tokens.

    Args:
        logprobs: natural-log probability of each target.
        is_greedy: whether it was the most likely token.
        top: (token id, log-probability) of the most likely tokens in its place, best first; the same floats.
    """

    logprobs: list[float]
    is_greedy: list[bool]
    top: list[tuple[tuple[int, float], ...]] = field(default_factory=list)


@dataclass(frozen=True)
class GenerateRequest:
    """Ask for tokens after a prompt.

    Args:
        prompt_ids: at least one token.
        max_tokens: most tokens to generate.
        temperature: 0 is greedy; anything else is from `LEAST_TEMPERATURE` to `MOST_TEMPERATURE`.
        top_p: keep the smallest set of tokens whose probability reaches this; 1 keeps all.
        top_k: keep the k most likely tokens; 0 keeps all.
        min_p: keep tokens at least this share as likely as the most likely one; 0 keeps all. It goes first.
        seed: any whole number; makes sampling reproducible, whatever else is in the batch.
        stop_ids: ids any one of which ends the completion (it is reported, with reason ``stop``).
        suppress_ids: ids that are never generated.
        min_tokens: how many tokens there are at least: before that no stop id is generated.
        logit_bias: (token id, what is added to its logit), each id once.
        presence_penalty: taken off the logit of every token that the answer holds.
        frequency_penalty: taken off it as often as the answer holds it.
        repetition_penalty: what logits of tokens in prompt or answer are divided by where they are
            positive, and multiplied by where not (Keskar et al., CTRL, arXiv 1909.05858); 1 is none.
        num_top_logprobs: how many of the most likely tokens to report at each position.
        opening: behind each of these beginnings of an answer, the ids one of which comes next; the answer is
            free behind every other. See `spanmix.generate.healing`.

    Raises:
        InputError: a number is out of its range.
    """

    prompt_ids: Sequence[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int = 0
    stop_ids: frozenset[int] = frozenset()
    suppress_ids: frozenset[int] = frozenset()
    min_tokens: int = 0
    logit_bias: tuple[tuple[int, float], ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    num_top_logprobs: int = 0
    opening: Mapping[tuple[int, ...], frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError(f"max_tokens is {self.max_tokens}; use at least 1")
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature <= MOST_TEMPERATURE:
            raise InputError(
                f"temperature is {self.temperature}; use 0 (greedy), or a number "
                f"from {LEAST_TEMPERATURE:f} to {MOST_TEMPERATURE:,.0f}"
            )
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p is {self.top_p}; use a share above 0 and up to 1")
        if self.top_k < 0:
            raise InputError(f"top_k is {self.top_k}; use 0 (all tokens) or more")
        if not 0 <= self.min_p <= 1:
            raise InputError(f"min_p is {self.min_p}; use a share from 0 (all tokens) to 1")
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise InputError(f"min_tokens is {self.min_tokens}; use 0 to max_tokens {self.max_tokens}")
        if self.num_top_logprobs < 0:
            raise InputError(f"num_top_logprobs is {self.num_top_logprobs}; use 0 (none) or more")
        self._check_adjustments()

    def _check_adjustments(self) -> None:
        for token_id, bias in self.logit_bias:
            if not -MOST_BIAS <= bias <= MOST_BIAS:
                raise InputError(
                    f"logit_bias of {token_id} is {bias}; use a number from -{MOST_BIAS:g} to {MOST_BIAS:g}"
                )
        if len({token_id for token_id, _ in self.logit_bias}) < len(self.logit_bias):
            raise InputError("logit_bias names a token twice; name each once")
        for name in ("presence_penalty", "frequency_penalty"):
            if not -MOST_PENALTY <= (value := getattr(self, name)) <= MOST_PENALTY:
                raise InputError(
                    f"{name} is {value}; use a number from -{MOST_PENALTY:g} to {MOST_PENALTY:g}"
                )
        if not LEAST_REPETITION_PENALTY <= self.repetition_penalty <= MOST_REPETITION_PENALTY:
            raise InputError(
                f"repetition_penalty is {self.repetition_penalty}; use a number from "
                f"{LEAST_REPETITION_PENALTY:g} to {MOST_REPETITION_PENALTY:g}"
            )

    @property
    def has_penalties(self) -> bool:
        """Whether tokens that came before change what comes next."""
        return bool(self.presence_penalty or self.frequency_penalty) or self.repetition_penalty != 1

    def allowed_ids(self, answer_ids: Sequence[int]) -> frozenset[int] | None:
        """Return the ids one of which comes next behind what was generated; None if any may."""
        return self.opening.get(tuple(answer_ids)) if self.opening else None

    @property
    def needs(self) -> frozenset[str]:
        """Which capabilities it takes, those aside that every engine checks for itself."""
        asked = {
            "min_p": self.min_p > 0,
            "min_tokens": self.min_tokens > 0,
            "logit_bias": bool(self.logit_bias),
            "penalties": self.has_penalties,
            "opening": bool(self.opening),
        }
        return frozenset(name for name, is_asked in asked.items() if is_asked)


@dataclass(frozen=True)
class TokenEvent:
    """One generated token.

    Args:
        id: what `submit` returned.
        token_id: the token.
        logprob: its natural-log probability before temperature and truncation.
        top: (token id, log-probability) of the most likely tokens, best first.
        finish_reason: ``None`` while more will come, else ``"stop"`` or ``"length"``.
    """

    id: int
    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    finish_reason: FinishReason | None


class Engine(Protocol):
    """Runs a model: scores token sequences and generates many requests at once."""

    @property
    def info(self) -> EngineInfo:
        """What this engine can do."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request; the order of the answers is that of the requests."""
        ...

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id. Raises `InputError` if it does not fit the context."""
        ...

    def step(self) -> list[TokenEvent]:
        """Advance every running request, by one token or several; empty when nothing is left to do."""
        ...

    def cancel(self, request_id: int) -> None:
        """Forget a request; unknown ids are ignored."""
        ...
