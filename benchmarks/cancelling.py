"""How long does the server work on for a client that has gone?

    python benchmarks/cancelling.py [--clients 1 4] [--each 10]

A random model of the `125m` preset is served as `spanmix serve` serves it. A client asks with a prompt of
some 700 tokens, for a stream or for a plain answer, and closes its connection while the prompt is read or
while tokens come; so many clients less one meanwhile ask on. What is told is the time from there until the
engine has forgotten the request. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from spanmix.cli.serve import _PART_SECONDS, _READ_TOKENS, _RESTING_ROWS
from spanmix.generate.asked import Asked
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.formats import codegen2_format
from spanmix.generate.opening import OpenModel, TorchTuning
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.tokenizers import codegen2_tokenizer
from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.serve.app import make_app
from spanmix.serve.run import configuration, listen
from spanmix.serve.settings import ServeSettings

SOURCE = "\n".join(path.read_text() for path in sorted(Path(__file__).parents[1].glob("src/**/*.py")))
PREFIX, SUFFIX = 1500, 500
SEEN_TOKENS = 4
PATH = "/v1/completions"


class WatchedEngine(TorchEngine):
    """Says when it forgot the request that is to be left, and how far that was."""

    left_tokens = 200
    """So many are asked for by the one that will leave, and by no other."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.left_id: int | None = None
        self.has_begun = threading.Event()
        self.num_seen = 0
        self.forgotten_at = 0.0
        self.is_forgotten = threading.Event()

    def submit(self, request: GenerateRequest) -> int:
        """Note the one that will leave."""
        request_id = super().submit(request)
        if request.max_tokens >= self.left_tokens:  # a cursor inside a word adds some
            self.left_id, self.num_seen = request_id, 0
            self.has_begun.set()
        return request_id

    def step(self) -> list[Any]:
        """Count its tokens."""
        events = super().step()
        self.num_seen += sum(event.id == self.left_id for event in events)
        return events

    def cancel(self, request_id: int) -> None:
        """Note the time."""
        super().cancel(request_id)
        if request_id == self.left_id:
            self.forgotten_at = time.perf_counter()
            self.is_forgotten.set()


@contextmanager
def served() -> Iterator[tuple[str, WatchedEngine]]:
    """Serve the model in a thread; give its address and its engine."""
    tokenizer = codegen2_tokenizer()
    engine = WatchedEngine(
        Decoder(preset("125m"), seed=0),
        TorchTuning("auto").dtype_on("cpu"),
        pack=True,
        read_tokens=_READ_TOKENS,
        resting_rows=_RESTING_ROWS,
        part_seconds=_PART_SECONDS,
    )
    asked = Asked((), codegen2_format(tokenizer.control))
    model = OpenModel("m", engine, tokenizer, asked, None)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configuration(make_app(model, ServeSettings("m"), None)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", engine
        server.should_exit = True
        thread.join()


def body(choose: random.Random, max_tokens: int, stream: bool) -> dict[str, Any]:
    """Return a request between a prefix and a suffix that no other has."""
    cut = choose.randrange(PREFIX, len(SOURCE) - SUFFIX)
    prefix, suffix = SOURCE[cut - PREFIX : cut], SOURCE[cut : cut + SUFFIX]
    told = {"max_tokens": max_tokens, "temperature": 0, "ignore_eos": True, "stream": stream, "model": "m"}
    return told | {"prompt": prefix, "suffix": suffix}


async def ask_on(url: str, seed: int) -> None:
    """Ask again and again."""
    choose = random.Random(seed)
    async with httpx.AsyncClient(base_url=url, timeout=1200) as client:
        while True:
            (await client.post(PATH, json=body(choose, 32, False))).raise_for_status()


async def leave(url: str, engine: WatchedEngine, choose: random.Random, stream: bool, reading: bool) -> float:
    """Ask, and go away; return the seconds until the engine forgot it."""
    engine.has_begun.clear()
    engine.is_forgotten.clear()
    async with httpx.AsyncClient(base_url=url, timeout=1200) as client:
        asking = asyncio.create_task(
            client.post(PATH, json=body(choose, engine.left_tokens, stream))  # closed before it is read
        )
        while not engine.has_begun.is_set() or (not reading and engine.num_seen < SEEN_TOKENS):
            assert not asking.done(), asking.result().text  # it came to its end
            await asyncio.sleep(0.002)
        await asyncio.sleep(choose.uniform(0, 0.2))
        left_at = time.perf_counter()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
    while not engine.is_forgotten.is_set():
        await asyncio.sleep(0.002)
    return engine.forgotten_at - left_at


async def measure(url: str, engine: WatchedEngine, num_clients: int, each: int) -> dict[str, list[float]]:
    """Return the seconds of each case."""
    others = [asyncio.create_task(ask_on(url, seed)) for seed in range(1, num_clients)]
    choose = random.Random(0)
    found: dict[str, list[float]] = {}
    for stream in (True, False):
        for reading in (True, False):
            name = f"{'stream' if stream else 'plain'}, {'reading' if reading else 'generating'}"
            found[name] = [await leave(url, engine, choose, stream, reading) for _ in range(each)]
            middle, worst = statistics.median(found[name]), max(found[name])
            print(
                f"  {num_clients:3} clients  {name:20} {1000 * middle:5.0f} ms, at most {1000 * worst:5.0f}",
                flush=True,
            )
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return found


def main() -> None:
    """Measure alone and beside others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4], help="clients at once")
    parser.add_argument("--each", type=int, default=10, help="clients that go away in each case")
    args = parser.parse_args()
    with served() as (url, engine):
        print(f"125m in {engine.info.dtype}, {engine._read_tokens} tokens of prompts at once", flush=True)
        found = {str(n): asyncio.run(measure(url, engine, n, args.each)) for n in args.clients}
    seconds = sorted(one for cases in found.values() for some in cases.values() for one in some)
    print(json.dumps({"benchmark": "cancelling", "worst_ms": 1000 * seconds[-1], "seconds": found}))


if __name__ == "__main__":
    main()
