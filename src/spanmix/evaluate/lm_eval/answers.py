"""Answer lm-eval's requests with an engine, as lm-eval's own ``hf`` model would with the same folder.

Names of controls in a text, such as ``<mask_1>``, become the controls, as there: that is how a task asks for
an infill. Generation ends at ``<|endoftext|>`` and ``<eom>``, which ``generation_config.json`` names there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from spanmix import __version__, seeding
from spanmix.errors import InputError
from spanmix.evaluate.choice.score import encode_pairs, score_pairs
from spanmix.evaluate.scoring import score_all
from spanmix.generate.answer import TextAssembler
from spanmix.generate.engine import Engine, GenerateRequest, ScoreRequest
from spanmix.generate.opening import OpenModel, Served, is_url, open_model, open_served
from spanmix.text.text_tokenizer import TextTokenizer

Progress = Callable[[int, int], None]

_AT_ONCE = 256
_MAX_TOKENS = 256
_MAX_TOKENS_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_KNOWN = frozenset({*_MAX_TOKENS_NAMES, "until", "do_sample", "temperature", "top_p", "top_k"})


class EngineAnswers:
    """What lm-eval asks of a model; `spanmix.evaluate.lm_eval.register` makes one of lm-eval's models of it.

    Args:
        model: a model folder, a run, a hub model, or the http address of a server.
        start: put the model's own start, as its ``config.json`` has it, in front of every prompt; ``hf`` does
            not, unless it is told ``add_bos_token``.
        seed: of samples, where a task samples.
        device: where the model computes.
        tokenizer: of a server's model, a folder.
        served_name: what the server calls its model; the first that it lists if not given.
        api_key_env: the variable of the environment that holds the server's API key.
        batch_size, max_batch_size: not needed; the engine makes its own batches.

    Raises:
        InputError: there is no such model, or it cannot be opened.
    """

    def __init__(
        self,
        model: str,
        start: bool = False,
        seed: int = 0,
        device: str | None = None,
        tokenizer: str | None = None,
        served_name: str | None = None,
        api_key_env: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        opened = _open(model, device, tokenizer, served_name, api_key_env)
        self.engine: Engine = opened.engine
        self.spanmix_tokenizer: TextTokenizer = opened.tokenizer
        self._model, self._seed = model, seed
        self._start_ids = opened.asked.start_ids if start else ()
        infill = opened.asked.infill
        self._end_ids = opened.tokenizer.end_ids | frozenset(infill.end if infill else ())
        names = "|".join(map(re.escape, sorted(self.spanmix_tokenizer.special_ids, key=len, reverse=True)))
        self._control_pattern = re.compile(f"({names})")

    @property
    def max_length(self) -> int:
        """Longest context: one token less than the model's, whose last is the one that is predicted."""
        return self.engine.info.context_tokens - 1

    @property
    def tokenizer_name(self) -> str:
        """A name that differs for every tokenizer."""
        return f"spanmix-{self.spanmix_tokenizer.fingerprint[:16]}"

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes down beside the results."""
        return {"model": self._model, "spanmix": __version__, "dtype": self.engine.info.dtype}

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return of each (context, continuation) the log-probability, and whether greedy gives it."""
        texts = [request.args for request in requests]
        pairs = encode_pairs(self.spanmix_tokenizer, texts, self._start_ids, self._encode_batch)
        for (_, continuation), pair in zip(texts, pairs, strict=True):
            if not 0 < len(pair.target_ids) <= self.max_length - len(self._start_ids):
                raise InputError(
                    f"the continuation {continuation[:60]!r} has {len(pair.target_ids)} tokens of its own; "
                    f"the model's context has room for 1 to {self.max_length - len(self._start_ids)}"
                )
        with _bar("log-likelihoods", disable_tqdm) as progress:
            scores, _ = score_pairs(self.engine, pairs, len(self._start_ids), progress)
        answers = [(math.fsum(score.logprobs), all(score.is_greedy)) for score in scores]
        for request, answer in zip(requests, answers, strict=True):
            self._remember("loglikelihood", request.args, answer)
        return answers

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the log-probability of each text, in windows that are as long as possible."""
        eot = self.spanmix_tokenizer.control.eot
        windows, owners = [], []
        for owner, token_ids in enumerate(self._encode_batch([request.args[0] for request in requests])):
            for window in rolling_windows(token_ids, eot, self.max_length):
                windows.append(window)
                owners.append(owner)
        with _bar("rolling log-likelihoods", disable_tqdm) as progress:
            scores = score_all(self.engine, windows, progress)
        answers = [0.0] * len(requests)
        for owner, score in zip(owners, scores, strict=True):
            answers[owner] += math.fsum(score.logprobs)
        for request, answer in zip(requests, answers, strict=True):
            self._remember("loglikelihood_rolling", request.args, answer)
        return answers

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Return of each (context, options) what the model writes, up to one of the options' ``until``."""
        contexts = self._encode_batch([request.args[0] for request in requests])
        answers: list[str] = []
        with _bar("texts", disable_tqdm) as progress:
            for start in range(0, len(requests), _AT_ONCE):
                part = range(start, min(start + _AT_ONCE, len(requests)))
                answers += self._write([self._writing(i, contexts[i], requests[i].args[1]) for i in part])
                progress(len(answers), len(requests))
        for request, answer in zip(requests, answers, strict=True):
            self._remember("generate_until", request.args, answer)
        return answers

    def _encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts in which names of controls stand for the controls."""
        tokenizer = self.spanmix_tokenizer
        pieces = [self._control_pattern.split(text) for text in texts]
        plain = iter(tokenizer.encode_batch([piece for parts in pieces for piece in parts[::2]]))
        special = tokenizer.special_ids
        return [
            [
                token_id
                for place, piece in enumerate(parts)
                for token_id in (next(plain) if place % 2 == 0 else [special[piece]])
            ]
            for parts in pieces
        ]

    def _writing(self, index: int, context_ids: list[int], options: Mapping[str, Any]) -> _Writing:
        tokenizer = self.spanmix_tokenizer
        if unknown := set(options) - _KNOWN:
            raise InputError(
                f"the generation option {min(unknown)} is not known; use {', '.join(sorted(_KNOWN))}"
            )
        until = options.get("until") or []
        until = [until] if isinstance(until, str) else list(until)
        max_tokens = next((int(options[n]) for n in _MAX_TOKENS_NAMES if options.get(n)), _MAX_TOKENS)
        temperature = float(options.get("temperature") or 0.0)
        start_ids = self._start_ids or (() if context_ids else (tokenizer.control.eot,))
        room = self.engine.info.context_tokens - max_tokens - len(start_ids)
        if room < 1:
            raise InputError(
                f"max_gen_toks is {max_tokens}, and the model's context has "
                f"{self.engine.info.context_tokens} tokens; lower it (--gen_kwargs max_gen_toks=N)"
            )
        ends = {tokenizer.special_ids[stop] for stop in until if stop in tokenizer.special_ids}
        stop_ids = self._end_ids | ends
        context_key = seeding.name_key(str(context_ids))
        request = GenerateRequest(
            prompt_ids=[*start_ids, *context_ids[-room:]],
            max_tokens=max_tokens,
            temperature=0.0 if options.get("do_sample") is False else temperature,
            top_p=float(options.get("top_p") or 1.0),
            top_k=int(options.get("top_k") or 0),
            seed=seeding.draw_one(self._seed, "lm-eval samples", context_key, 0, index, 1)[0] >> 11,
            stop_ids=stop_ids,
            suppress_ids=tokenizer.suppressed_ids - stop_ids,
        )
        return _Writing(request, [stop for stop in until if stop and stop not in tokenizer.special_ids])

    def _write(self, part: Sequence[_Writing]) -> list[str]:
        running: dict[int, _Writing] = {}
        try:
            for writing in part:
                running[self.engine.submit(writing.request)] = writing
            while running:
                for event in self.engine.step():
                    if event.id not in running:
                        continue
                    writing = running[event.id]
                    if event.token_id not in writing.request.stop_ids:
                        writing.push(self.spanmix_tokenizer.token_bytes[event.token_id])
                    if event.finish_reason is not None or writing.is_over:
                        self.engine.cancel(event.id)
                        del running[event.id]
        finally:
            for request_id in running:
                self.engine.cancel(request_id)
        return [writing.text() for writing in part]

    def _remember(self, kind: str, args: Sequence[Any], answer: Any) -> None:
        """Give an answer to lm-eval's cache."""
        hook = getattr(self, "cache_hook", None)
        if hook is not None:
            hook.add_partial(kind, args, answer)


def _open(
    model: str,
    device: str | None,
    tokenizer: str | None,
    served_name: str | None,
    api_key_env: str | None,
) -> OpenModel:
    if is_url(model):
        if tokenizer is None:
            raise InputError(
                f"{model} is a server; name its model's folder too, for the tokenizer: tokenizer=FOLDER"
            )
        return open_served(model, Served(tokenizer, served_name, api_key_env))
    if tokenizer or served_name or api_key_env:
        raise InputError(
            f"tokenizer, served_name and api_key_env are for servers, and {model} is not an http address"
        )
    return open_model(model, device=device)


class _Writing:
    """A text that is being written, up to any of some strings."""

    def __init__(self, request: GenerateRequest, until: Sequence[str]) -> None:
        self.request = request
        self._until = until
        self._assembler = TextAssembler(until)
        self._data = b""

    @property
    def is_over(self) -> bool:
        return self._assembler.stopped_by is not None

    def push(self, data: bytes) -> None:
        self._data += data
        self._assembler.push(data)

    def text(self) -> str:
        text = self._data.decode("utf-8", errors="replace")
        return min((text.partition(stop)[0] for stop in self._until), key=len, default=text)


def rolling_windows(token_ids: Sequence[int], start_id: int, most_targets: int) -> Iterator[ScoreRequest]:
    """Cut a text into windows of at most `most_targets` + 1 tokens that predict every token once.

    The last window is as long as the others and predicts what is left.

    >>> [(list(w.context_ids), list(w.target_ids)) for w in rolling_windows(range(1, 9), 0, 3)]
    [([0], [1, 2, 3]), ([3], [4, 5, 6]), ([5, 6], [7, 8])]
    """
    ids = [start_id, *token_ids]
    done = 1
    while done < len(ids):
        stop = min(done + most_targets, len(ids))
        start = max(0, stop - most_targets - 1)
        yield ScoreRequest(ids[start:done], ids[done:stop])
        done = stop


@contextmanager
def _bar(label: str, hidden: bool) -> Iterator[Progress]:
    """Show how far the work is, on the error stream; lm-eval prints its results to the other."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), disable=hidden, transient=True) as bar:
        task = bar.add_task(label)
        yield lambda done, total: bar.update(task, completed=done, total=total)
