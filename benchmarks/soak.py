"""Does a server stay well under mixed requests for an hour? Errors by status, and whether its memory is flat.

    python benchmarks/soak.py [--minutes 60] [--clients 8] [--url http://127.0.0.1:8012 --pid PID]

Each client asks again as soon as it is answered: plain and streamed, in the forms of all interfaces, with
requests that are wrong, and with connections that are dropped while an answer is on its way. A server with a
small random model is started, unless `--url` names one; `--pid` then names its process, on this machine. Each
minute tells requests, answers by status, and the process's memory, files and threads. It passes (exit code 0)
if each request got the status that is right for it, and if at the end the memory is within 2 % of what it was
after five minutes and 5,000 requests: until then requests meet rows of the cache, and forms of interfaces,
for the first time. The last line is one JSON object.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.folder import save_model_folder
from spanmix.text.tokenizer import Tokenizer

SOURCE = (Path(__file__).parent.parent / "src/spanmix/serve/served_model.py").read_text(encoding="utf-8")
MOST_GROWTH = 0.02
WARM_MINUTES, WARM_REQUESTS = 5, 5_000


def asked(choose: random.Random) -> tuple[str, Any, set[int]]:
    """Return a path, a body, and the statuses that are right for it."""
    start = choose.randrange(len(SOURCE) - 2_000)
    prefix, suffix = SOURCE[start : start + choose.randrange(1, 1_500)], SOURCE[start + 1_500 : start + 1_900]
    num, streams = choose.choice((1, 8, 32, 64)), choose.random() < 0.5
    openai = {"prompt": prefix, "max_tokens": num, "stream": streams}
    options = {"num_predict": num}
    right = [
        ("/v1/completions", openai | {"n": choose.choice((1, 3)), "logprobs": choose.choice((None, 5))}),
        ("/v1/completions", openai | {"suffix": suffix}),
        ("/v1/completions", {"segments": {"prefix": prefix, "suffix": suffix}}),
        ("/v1/completions", {"prompt": prefix, "max_tokens": 0, "echo": True, "logprobs": 1}),
        ("/infill", {"input_prefix": prefix, "input_suffix": suffix, "n_predict": num, "stream": streams}),
        ("/completion", {"prompt": prefix, "n_predict": num, "stream": streams}),
        ("/tokenize", {"content": prefix}),
        ("/api/generate", {"prompt": prefix, "suffix": suffix, "stream": streams, "options": options}),
        ("/generate", {"inputs": prefix, "parameters": {"max_new_tokens": num}}),
        ("/generate_stream", {"inputs": prefix, "parameters": {"max_new_tokens": num}}),
        ("/v1/fim/completions", openai | {"suffix": suffix}),
    ]
    wrong = [
        ("/v1/completions", {"prompt": prefix, "max_tokens": -1}, {400}),
        ("/v1/completions", {"prompt": [999_999_999]}, {400}),
        ("/v1/completions", b'{"prompt": "\xff', {400}),
        ("/infill", b"{", {400}),
        ("/generate", {}, {400}),
        ("/nothing", {}, {404}),
    ]
    if choose.random() < 0.1:
        return choose.choice(wrong)
    return *choose.choice(right), {200, 429}


class Client(threading.Thread):
    """Asks until it is stopped, and counts what it gets."""

    def __init__(self, url: str, seed: int, stopped: threading.Event) -> None:
        super().__init__(daemon=True)
        self._url, self._choose, self._stopped = url, random.Random(seed), stopped
        self.statuses: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()

    def run(self) -> None:
        """Ask one request after the other; a tenth of them is dropped at its first byte."""
        with httpx.Client(base_url=self._url, timeout=120) as http:
            while not self._stopped.is_set():
                path, body, statuses = asked(self._choose)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                headers = {"Content-Type": "application/json"}
                try:
                    with http.stream("POST", path, content=content, headers=headers) as response:
                        told = str(response.status_code)
                        if self._choose.random() < 0.1:
                            told += " dropped"
                        elif b'data: {"error"' in response.read():
                            told += " with an error"
                            self.unexpected[f"{path}: {told}"] += 1
                        if response.status_code not in statuses:
                            self.unexpected[f"{path}: {told}"] += 1
                except httpx.HTTPError as error:
                    told = type(error).__name__
                    self.unexpected[f"{path}: {told}"] += 1
                self.statuses[told] += 1


@contextmanager
def started() -> Iterator[tuple[str, int]]:
    """Start a server with a small random model; give its address and process."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Tokenizer.train([SOURCE], vocab_size=1_024, num_sentinels=9)
        decoder = Decoder(Architecture(2, 64, 4, 16, 1_024, 1_024), seed=1)
        model = save_model_folder(Path(folder) / "soaked", decoder, tokenizer, {})
        command = [sys.executable, "-m", "spanmix", "serve", str(model), "--port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None, "it is a pipe"
        try:
            found = re.search(r"at (http://\S+)", process.stderr.readline())
            if found is None:
                raise SystemExit(f"the server did not start: {process.stderr.read()}")
            threading.Thread(
                target=lambda: print(process.stderr.read(), file=sys.stderr), daemon=True
            ).start()
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait()


def soak(url: str, pid: int, minutes: float, num_clients: int) -> dict[str, Any]:
    """Ask for so long; return what was found."""
    stopped = threading.Event()
    clients = [Client(url, seed, stopped) for seed in range(num_clients)]
    process = psutil.Process(pid)
    httpx.Client(transport=httpx.HTTPTransport(retries=9)).get(f"{url}/health").raise_for_status()
    for client in clients:
        client.start()
    begun, warm = time.monotonic(), 0
    for tick in [*range(1, int(minutes) + 1), minutes]:
        time.sleep(max(0.0, begun + 60 * tick - time.monotonic()))
        if tick == minutes:
            stopped.set()
            for client in clients:
                client.join()
        rss = process.memory_info().rss
        statuses = sum((client.statuses for client in clients), Counter())
        if not warm and tick >= WARM_MINUTES and statuses.total() >= WARM_REQUESTS:
            warm = rss
        told = ", ".join(f"{status}: {number:,}" for status, number in sorted(statuses.items()))
        print(
            f"{tick:g} min: {statuses.total():,} requests ({told}); {rss / 1e6:,.1f} MB, "
            f"{process.num_fds()} files, {process.num_threads()} threads",
            flush=True,
        )
    unexpected = sum((client.unexpected for client in clients), Counter())
    growth = rss / warm - 1 if warm else None
    if growth is None:
        print(f"too short: memory counts after {WARM_MINUTES} minutes and {WARM_REQUESTS:,} requests")
    return {
        "benchmark": "soak",
        "minutes": minutes,
        "requests": statuses.total(),
        "statuses": dict(statuses),
        "unexpected": dict(unexpected),
        "rss_growth": None if growth is None else round(growth, 4),
        "passed": not unexpected and growth is not None and growth <= MOST_GROWTH,
    }


def main() -> None:
    """Soak a server, and say whether it stayed well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    args = parser.parse_args()
    if (args.url is None) != (args.pid is None):
        parser.error("--url and --pid go together")
    if args.url is not None:
        found = soak(args.url, args.pid, args.minutes, args.clients)
    else:
        with started() as (url, pid):
            found = soak(url, pid, args.minutes, args.clients)
    print("passed" if found["passed"] else "failed")
    print(json.dumps(found))
    sys.exit(not found["passed"])


if __name__ == "__main__":
    main()
