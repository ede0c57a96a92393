"""An engine that fails: one request's fault is its own, and a thread that has ended says so."""

import asyncio
import logging
import threading

import httpx
import pytest

from spanmix.errors import SpanmixError
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.engine_thread import EndedError, EngineThread

POISON = 200


def asked(first, max_tokens=12):
    return GenerateRequest((first, 7, 8, 9), max_tokens, temperature=1.0, seed=first)


class PoisonedEngine(TorchEngine):
    """Fails at the third step, and later ones, of a batch that has the poisoned request in it."""

    steps = 0

    def step(self):
        self.steps += 1
        events = super().step()
        if self.steps > 2 and any(one.request.prompt_ids[0] == POISON for one in self._running):
            raise RuntimeError("poison")
        return events


async def tokens(thread, request):
    return [event.token_id async for events in thread.generate(request) for event in events]


def all_tokens(engine, requests):
    """Ask an engine for several answers at once; give their tokens or errors."""

    async def ask():
        return await asyncio.gather(*(tokens(thread, one) for one in requests), return_exceptions=True)

    thread = EngineThread(engine, 99)
    try:
        return asyncio.run(ask()), thread
    finally:
        thread.close()


def test_a_request_that_the_engine_fails_with_takes_no_other_down(decoder):
    firsts = [1, 2, 3, POISON, 4, 5, 6]
    expected = {first: all_tokens(TorchEngine(decoder), [asked(first)])[0][0] for first in firsts}
    assert len({tuple(one) for one in expected.values()}) == len(firsts)
    engine = PoisonedEngine(decoder)
    answers, thread = all_tokens(engine, [asked(first) for first in firsts])
    for first, answer in zip(firsts, answers, strict=True):
        if first == POISON:
            assert isinstance(answer, SpanmixError) and "RuntimeError: poison" in str(answer)
        else:
            assert answer == expected[first]
    assert thread.num_faults > 1 and thread.num_running == thread.num_requests == 0
    assert not engine._running and not engine._waiting


def test_an_answer_that_would_go_on_otherwise_than_it_began_ends(decoder):
    """As of an engine whose samples cannot be made again."""

    class Unseeded(TorchEngine):
        num_asked = 0

        def submit(self, request):
            self.num_asked += 1
            return super().submit(asked(self.num_asked))

        def step(self):
            if self.num_asked == len([one for one in self._running if one.answer_ids]) == 2:
                raise RuntimeError("once")
            return super().step()

    answers, thread = all_tokens(Unseeded(decoder), [asked(1), asked(2)])
    assert all("cannot go on as it began" in str(answer) for answer in answers)
    assert thread.num_running == 0


def test_a_request_that_comes_while_others_are_tried_again_waits_for_its_turn(decoder):
    class Arrival(PoisonedEngine):
        """Fails, and at that moment a request comes."""

        later = None

        def step(self):
            try:
                return super().step()
            except RuntimeError:
                if self.later is None:
                    self.later = asyncio.run_coroutine_threadsafe(tokens(thread, asked(9)), loop)
                    while thread._orders.empty():
                        pass
                raise

    async def ask():
        answers = await asyncio.gather(
            tokens(thread, asked(1)), tokens(thread, asked(POISON)), return_exceptions=True
        )
        return [*answers, await asyncio.wrap_future(engine.later)]

    engine = Arrival(decoder)
    thread = EngineThread(engine, 99)
    loop = asyncio.new_event_loop()
    first, poisoned, later = loop.run_until_complete(ask())
    thread.close()
    loop.close()
    assert isinstance(poisoned, SpanmixError)
    assert (len(first), len(later)) == (12, 12)


def test_what_is_given_up_while_a_prompt_is_read_is_forgotten_before_the_next_step(decoder):
    """The prompt takes dozens of steps; no more than one goes on after its reader is gone."""
    engine = TorchEngine(decoder, read_tokens=4, part_seconds=60)
    begun, left = threading.Event(), threading.Event()
    step, steps = engine.step, []

    def slow():
        steps.append(len(engine._running) + len(engine._waiting))
        begun.set()
        left.wait()
        return step()

    engine.step = slow

    async def ask():
        task = asyncio.create_task(tokens(thread, GenerateRequest(tuple(range(200)), 9)))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.wait([task])
        left.set()
        return await tokens(thread, asked(1))

    thread = EngineThread(engine, 9)
    answer = asyncio.run(ask())
    thread.close()
    assert len(answer) == 12 and len(steps) < 20
    assert set(steps) == {1}


class Ending(TorchEngine):
    """Ends its thread: it cannot forget a request."""

    def cancel(self, request_id):
        raise RuntimeError("broken")

    def step(self):
        if self.fails:
            raise RuntimeError("out of memory")
        return super().step()

    fails = True


def test_when_the_thread_has_ended_everything_says_so_and_nothing_hangs(serve, decoder, caplog):
    with caplog.at_level(logging.ERROR), serve(Ending(decoder)) as url, httpx.Client(base_url=url) as http:
        assert http.get("/ready").status_code == http.get("/health").status_code == 200
        running = http.post("/v1/completions", json={"prompt": "x", "n": 3})
        assert running.status_code == 503 and "broken" in running.json()["error"]["message"]
        assert "the engine's thread has ended" in caplog.text
        assert http.get("/ready").status_code == http.get("/health").status_code == 503
        for path, body in (
            ("/v1/completions", {"prompt": "x"}),
            ("/v1/completions", {"prompt": "x", "stream": True}),
            ("/v1/completions", {"prompt": "x", "echo": True, "logprobs": 1, "max_tokens": 0}),
            ("/infill", {"input_prefix": "x"}),
            ("/api/generate", {"prompt": "x"}),
            ("/generate_stream", {"inputs": "x"}),
        ):
            refused = http.post(path, json=body)
            assert refused.status_code == 503 and "the engine has ended" in refused.text
        assert http.get("/metrics").status_code == 200


def test_what_was_on_its_way_when_the_thread_ended_gets_an_error(decoder):
    thread = EngineThread(Ending(decoder), 99)

    async def ask():
        return await asyncio.gather(
            tokens(thread, asked(1)),
            tokens(thread, asked(2)),
            thread.score(ScoreRequest([1], [2])),
            return_exceptions=True,
        )

    answers = asyncio.run(ask())
    again = asyncio.run(ask())
    thread.close()
    assert all(isinstance(answer, EndedError) for answer in [*answers[:2], *again])
    with pytest.raises(EndedError):
        thread.check_room(1)
