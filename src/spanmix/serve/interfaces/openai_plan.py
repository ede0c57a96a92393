"""Check a request for completions, and decide how each of its answers is made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spanmix.generate.infill import Gaps
from spanmix.generate.text import Sampling
from spanmix.serve.front.errors import refused
from spanmix.serve.interfaces.openai_schema import CompletionRequest
from spanmix.serve.prompts import Prompt
from spanmix.serve.served_model import ServedModel, seeds

_DEFAULT_MAX_TOKENS = 16


@dataclass(frozen=True)
class Plan:
    """A request, checked: its prompts, and how each of its answers is made.

    Args:
        body: the request.
        prompts: as they are given to the model.
        texts: what is echoed of each.
        samplings: of each answer: those of the first prompt, then those of the second, …
        num_kept: answers a prompt that are told.
        gaps: of a text with several cursors, one answer each.
    """

    body: CompletionRequest
    prompts: list[Prompt]
    texts: list[str]
    samplings: list[Sampling]
    num_kept: int
    gaps: Gaps | None = None

    @property
    def num_each(self) -> int:
        """Answers a prompt that are made."""
        return len(self.samplings) // len(self.prompts)

    @property
    def all_prompts(self) -> list[Prompt]:
        """The prompt of each answer."""
        return [prompt for prompt in self.prompts for _ in range(self.num_each)]


class Planner:
    """Plans the answers of one served model."""

    def __init__(self, server: ServedModel) -> None:
        self._server = server

    def plan(self, body: CompletionRequest) -> Plan:
        """Return what a request asks for.

        Raises:
            ApiError: it cannot be answered so, or asks for too much.
        """
        num_kept = body.n or 1
        num_each = body.best_of or num_kept
        texts = _prompts(body.prompt)
        self._check(body, len(texts), num_kept, num_each)
        server = self._server
        wanted = _DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
        if body.input_parts is not None:
            return self._gaps_plan(body, body.input_parts, wanted)
        ends = self._ends(body.stop_token_ids or [])
        written = [server.prompts.write(text, body.suffix, wanted, body.token_healing) for text in texts]
        prompts = [replace(prompt, end_ids=prompt.end_ids | ends) for prompt in written]
        samplings = [
            self._sampling(body, max(1, prompt.max_tokens), seed)
            for prompt in prompts
            for seed in seeds(body.seed, num_each)
        ]
        echoed = [text if isinstance(text, str) else server.tokenizer.decode(text) for text in texts]
        return Plan(body, prompts, echoed, samplings, num_kept)

    def _gaps_plan(self, body: CompletionRequest, parts: list[str], max_tokens: int) -> Plan:
        """Return the plan for a text with several cursors."""
        num_gaps, most = len(parts) - 1, self._server.settings.max_choices
        others = (body.prompt, body.suffix, (body.n or 1) > 1, body.best_of, body.echo, body.stop_token_ids)
        if any(others):
            raise refused(
                "input_parts is the whole text, and has one answer a cursor; leave out prompt, suffix, n, "
                "best_of, echo and stop_token_ids",
                "input_parts",
            )
        if num_gaps > most:
            raise refused(f"{num_gaps} cursors are more than this server's {most}; give fewer", "input_parts")
        gaps, room = self._server.prompts.gaps(parts, max_tokens, body.token_healing)
        samplings = [self._sampling(body, room, seed) for seed in seeds(body.seed, num_gaps)]
        return Plan(body, [self._server.prompts.of_gap(gaps, room)], [""], samplings, num_gaps, gaps)

    def _check(self, body: CompletionRequest, num_prompts: int, num_kept: int, num_each: int) -> None:
        """Refuse what is asked for in a way that cannot be answered, or too much of it."""
        settings = self._server.settings
        if num_prompts * num_each > settings.max_choices:
            raise refused(
                f"{num_prompts} prompts x {num_each} choices are more than this server's "
                f"{settings.max_choices}; ask for fewer",
                "best_of" if body.best_of else "n",
            )
        if num_each < num_kept:
            raise refused(f"best_of {num_each} is below n {num_kept}; raise it", "best_of")
        if body.stream and num_each > num_kept:
            raise refused("best_of cannot be streamed; leave out one of them", "best_of")
        if body.echo and body.suffix is not None:
            raise refused("Echo is unsupported with suffix.", "echo")
        if body.echo and body.token_healing:
            raise refused("echo tells the prompt's own tokens; leave out token_healing", "echo")
        if body.max_tokens == 0 and not body.echo:
            raise refused(
                "max_tokens is 0, which asks for nothing unless echo is true; use 1 or more", "max_tokens"
            )
        if (body.logprobs or 0) > settings.max_logprobs:
            raise refused(
                f"logprobs is {body.logprobs}; this server reports up to {settings.max_logprobs}", "logprobs"
            )

    def _sampling(self, body: CompletionRequest, max_tokens: int, seed: int) -> Sampling:
        return self._server.sampling(
            max_tokens,
            seed,
            body.temperature,
            body.top_p,
            top_k=max(0, body.top_k or 0),
            stop=self._server.stops([body.stop] if isinstance(body.stop, str) else body.stop or []),
            min_p=body.min_p or 0.0,
            min_tokens=max_tokens if body.ignore_eos else min(body.min_tokens or 0, max_tokens),
            logit_bias=self._biases(body.logit_bias),
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
            repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
            num_top_logprobs=body.logprobs or 0,
        )

    def _ends(self, ids: list[int]) -> frozenset[int]:
        size = self._server.model.engine.info.vocab_size
        if any(not 0 <= token < size for token in ids):
            raise refused(
                f"stop_token_ids holds an id outside the vocabulary, 0 to {size - 1}", "stop_token_ids"
            )
        return frozenset(ids)

    def _biases(self, logit_bias: dict[str, float] | None) -> tuple[tuple[int, float], ...]:
        size = self._server.model.engine.info.vocab_size
        biases: dict[int, float] = {}
        for name, bias in (logit_bias or {}).items():
            if not name.isascii() or not name.isdigit() or len(name) > 9 or int(name) >= size:
                raise refused(f"logit_bias names {name!r}; token ids run from 0 to {size - 1}", "logit_bias")
            biases[int(name)] = min(100.0, max(-100.0, bias))
        return tuple(biases.items())


def _prompts(prompt: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    """Return the prompts of a request, each a text or token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise refused("prompt is an empty list; give a text, token ids, or a list of either", "prompt")
    if isinstance(prompt[0], int):
        return [list(prompt)]
    return list(prompt)
