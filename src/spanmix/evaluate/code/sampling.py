"""Let a model answer programming problems, many at once, into a samples file.

A sample is a pure function of the model, the settings, the problem and its number: whatever else is made
beside it, and whether in one go or in ten, it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from spanmix import seeding
from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.evaluate.code.samples import Sample, SamplesFile
from spanmix.evaluate.code.truncation import AUTO, Truncation, rule_for, rule_named
from spanmix.generate.answer import TextAssembler
from spanmix.generate.asked import Asked
from spanmix.generate.engine import Engine, GenerateRequest, TokenEvent
from spanmix.generate.infill import infill_prompt
from spanmix.generate.text import Sampling, completion_request, controls_but
from spanmix.text.text_tokenizer import TextTokenizer

PAPER_TEMPERATURES = {1: 0.2, 10: 0.6, 100: 0.8}
"""By the k of pass@k, of the CodeGen2 paper (the caption of its figure of HumanEval)."""

PAPER_TOP_P = 0.95
"""Of CodeGen's own sampling script (``jaxformer/hf/sample.py``); CodeGen2's paper names none."""

_AT_ONCE = 256
"""Requests that the engine has at a time; it runs as many of them as fit its memory. When half of them are
finished it gets new ones: some engines begin those together that come together."""

_SEED_BITS = 53
"""JSON readers keep so many exactly."""


@dataclass(frozen=True)
class SampleSettings:
    """How samples are made.

    Args:
        num_samples: of each problem.
        temperature: 0 is greedy; for the paper's see `PAPER_TEMPERATURES`.
        top_p: keep the smallest set of tokens whose probability reaches this; 1 keeps all.
        max_tokens: most tokens of an answer.
        seed: of all samples.
        truncation: name of the rule that cuts an answer; ``auto`` is the one that suits each problem.

    Raises:
        InputError: a number is out of its range, the rule is unknown, or several greedy samples were asked
            for, which are all the same.
    """

    num_samples: int = 1
    temperature: float = 0.2
    top_p: float = PAPER_TOP_P
    max_tokens: int = 512
    seed: int = 0
    truncation: str = AUTO

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise InputError(f"num_samples is {self.num_samples}; use at least 1")
        if self.temperature == 0 and self.num_samples > 1:
            raise InputError(
                f"temperature 0 gives {self.num_samples} times the same sample; ask for 1, or raise it"
            )
        if self.truncation != AUTO:
            rule_named(self.truncation)
        self.sampling(0)  # which checks itself

    def sampling(self, seed: int) -> Sampling:
        """Return how the tokens of a sample are chosen."""
        return Sampling(self.max_tokens, self.temperature, self.top_p, seed=seed)

    def facts(self) -> dict[str, Any]:
        """Return what decides a sample: all but how many there are."""
        return {name: value for name, value in asdict(self).items() if name != "num_samples"}


@dataclass
class Made:
    """What `make_samples` did.

    Args:
        num_samples: samples that were made.
        num_there: samples that the file had already.
        num_tokens: tokens that the model wrote.
        finish_reasons: of the samples that were made, how many have which.
        cut_problems: ids of problems that did not fit the context, with the tokens that were left out.
    """

    num_samples: int = 0
    num_there: int = 0
    num_tokens: int = 0
    finish_reasons: dict[str, int] = field(default_factory=dict)
    cut_problems: dict[str, int] = field(default_factory=dict)


def make_samples(
    engine: Engine,
    tokenizer: TextTokenizer,
    asked: Asked,
    problems: Sequence[CodeProblem],
    settings: SampleSettings,
    file: SamplesFile,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Make the samples of each problem that the file does not have yet.

    A problem with a suffix is asked as the model infills, one without as it continues a text; what does not
    fit the context is left out, far from the answer, and counted. An answer ends where the model ends it, or
    once its rule has cut it for good.

    Args:
        engine: what runs the model, idle.
        tokenizer: the model's.
        asked: how the model is asked.
        problems: with ids of their own.
        settings: how the samples are made; `SampleSettings.facts` belongs to what the file was opened with.
        file: gets each sample as soon as it is finished.
        progress: called with (samples there, samples in all).

    Raises:
        InputError: a problem is an infill and the model was not trained to, or `max_tokens` leaves no room.
        SpanmixError: the file could not be written.
    """
    prompts = {problem.task_id: _prompt(engine, tokenizer, asked, problem, settings) for problem in problems}
    assert len(prompts) == len(problems), "two problems have the same id"
    made = Made(cut_problems={name: prompt.num_cut for name, prompt in prompts.items() if prompt.num_cut})
    missing = [
        (problem, number)
        for problem in problems
        for number in range(settings.num_samples)
        if not file.has(problem.task_id, number)
    ]
    total = len(problems) * settings.num_samples
    made.num_there = total - len(missing)
    waiting = (_Writing(problem, number, prompts[problem.task_id], settings) for problem, number in missing)
    with closing(_run(engine, tokenizer, waiting)) as finished:
        for written in finished:
            file.append(written.sample())
            made.num_samples += 1
            made.num_tokens += written.num_tokens
            made.finish_reasons[written.reason] = made.finish_reasons.get(written.reason, 0) + 1
            if progress is not None:
                progress(made.num_there + made.num_samples, total)
    return made


def require_askable(
    engine: Engine, tokenizer: TextTokenizer, asked: Asked, problem: CodeProblem, settings: SampleSettings
) -> None:
    """Raise `InputError` if `make_samples` would refuse a problem. To be asked before long work."""
    _prompt(engine, tokenizer, asked, problem, settings)


@dataclass(frozen=True)
class _Prompt:
    """A problem as the model is asked it; `num_cut` tokens of it did not fit."""

    ids: list[int]
    stop_ids: frozenset[int]
    suppress_ids: frozenset[int]
    rule: Truncation
    num_cut: int


def _prompt(
    engine: Engine, tokenizer: TextTokenizer, asked: Asked, problem: CodeProblem, settings: SampleSettings
) -> _Prompt:
    rule = rule_for(problem, settings.truncation)
    if problem.suffix is None:
        request, num_cut = completion_request(
            engine, tokenizer, problem.prompt, settings.sampling(0), asked.start_ids
        )
        return _Prompt(list(request.prompt_ids), request.stop_ids, request.suppress_ids, rule, num_cut)
    if asked.infill is None:
        raise InputError(
            f"{problem.task_id} asks for what stands in front of a suffix, and this model was not trained to "
            "infill; choose problems that are continued, such as HumanEval's"
        )
    parts_ids = [tokenizer.encode(problem.prompt), tokenizer.encode_inside(problem.suffix)]
    prompt = infill_prompt(asked.infill, parts_ids, engine.info.context_tokens, settings.max_tokens)
    end_ids = frozenset(asked.infill.end)
    num_cut = prompt.num_prefix_cut + prompt.num_suffix_cut
    return _Prompt(prompt.prompt_ids, end_ids, controls_but(tokenizer, end_ids), rule, num_cut)


class _Writing:
    """A sample that is being written."""

    def __init__(self, problem: CodeProblem, number: int, prompt: _Prompt, settings: SampleSettings) -> None:
        self._task_id = problem.task_id
        self._number = number
        self._prompt = prompt
        self._settings = settings
        task_key = seeding.name_key(problem.task_id)
        word = seeding.draw_one(settings.seed, "code samples", task_key, 0, number, 1)[0]
        self._seed = word >> (64 - _SEED_BITS)
        self._assembler = TextAssembler()
        self._raw = ""
        self.num_tokens = 0
        self.reason = ""

    def request(self) -> GenerateRequest:
        """What the engine is asked."""
        prompt = self._prompt
        return self._settings.sampling(self._seed).request(prompt.ids, prompt.stop_ids, prompt.suppress_ids)

    def take(self, event: TokenEvent, tokenizer: TextTokenizer) -> bool:
        """Take the next token; return whether the sample is finished."""
        self.num_tokens += 1
        self.reason = event.finish_reason or ""
        if event.token_id not in self._prompt.stop_ids:
            self._raw += self._assembler.push(tokenizer.token_bytes[event.token_id])
            if not self.reason and self._prompt.rule.is_final(self._raw):
                self.reason = "truncated"
        return self.reason != ""

    def sample(self) -> Sample:
        """Return the finished sample."""
        settings = self._settings
        return Sample(
            self._task_id,
            self._prompt.rule.cut(self._raw),
            self._raw,
            self._number,
            self.reason,
            self._prompt.rule.name,
            float(settings.temperature),
            float(settings.top_p),
            settings.max_tokens,
            self._seed,
            len(self._prompt.ids),
            self._prompt.num_cut,
        )


def _run(engine: Engine, tokenizer: TextTokenizer, waiting: Iterator[_Writing]) -> Generator[_Writing]:
    """Write all that wait, `_AT_ONCE` of them at a time; yield each as it is finished."""
    running: dict[int, _Writing] = {}
    try:
        while True:
            if len(running) <= _AT_ONCE // 2:
                for writing in islice(waiting, _AT_ONCE - len(running)):
                    running[engine.submit(writing.request())] = writing
            if not running:
                return
            finished = []
            events = engine.step()
            assert events, "the engine has forgotten requests"
            for event in events:
                # What was cancelled may have had its last token on the way.
                if event.id in running and running[event.id].take(event, tokenizer):
                    engine.cancel(event.id)
                    finished.append(running.pop(event.id))
            yield from finished
    finally:
        for request_id in running:
            engine.cancel(request_id)
