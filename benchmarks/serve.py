"""How many infill requests does the server answer, and how soon? Beside a plain loop and vLLM.

    python benchmarks/serve.py [--full] [--vllm-python PATH]

A random model of the `125m` preset is written as a model folder. Each request asks for 32 tokens, greedy,
between a prefix of 1,500 and a suffix of 500 characters of this project's own source, at a place of its own,
so prompts share nothing. A level is so many clients that each ask again when they are answered. All servers
are processes of their own and run one at a time, on the same cores:

- `spanmix serve`, as it comes (``--precision auto``);
- `spanmix serve` of the same model as a CTranslate2 folder in int8;
- the plain loop of `serve_sides.py`: transformers' `generate` behind a lock, in the same type;
- vLLM's CPU build, in fp32 or bf16 as the others, if ``--vllm-python`` names an interpreter that has it.

Besides, our server alone: somebody who types, whose next request shares all but the last characters with the
one before. Told are tokens/s and time to the first token. The last line is one JSON object;
`ratio_plain_loop_16` is that of tokens/s with 16 clients.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from spanmix.generate.formats import codegen2_format
from spanmix.generate.infill import infill_prompt
from spanmix.interchange.convert import convert
from spanmix.interchange.tokenizers import codegen2_tokenizer
from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.model.devices import computes_bf16
from spanmix.model.folder import save_model_folder
from spanmix.text.tokenizer import Tokenizer

ROOT = Path(__file__).parent.parent
NEW_TOKENS, PREFIX, SUFFIX = 32, 1500, 500
PORT = 18080
Body = dict[str, Any]


@dataclass(frozen=True)
class Server:
    """A server under test: how it is started, where it is asked, and what with."""

    name: str
    command: list[str]
    path: str
    body: Callable[[str, str], Body]


@dataclass(frozen=True)
class Level:
    """What was measured with so many clients."""

    tokens_per_second: float
    first_p50: float
    first_p99: float


def servers(folder: Path, tokenizer: Tokenizer, dtype: str, vllm_python: str | None) -> list[Server]:
    """Return the servers, the slowest to warm up last; the int8 folder is made beside `folder`."""
    format = codegen2_format(tokenizer.control)

    def ids(prefix: str, suffix: str) -> list[int]:
        parts = [tokenizer.encode(prefix), tokenizer.encode_inside(suffix)]
        return infill_prompt(format, parts, 2048, NEW_TOKENS).prompt_ids

    asked = {"max_tokens": NEW_TOKENS, "temperature": 0, "ignore_eos": True, "stream": True, "model": "m"}
    python = sys.executable
    ours = [python, "-m", "spanmix", "serve", "--port", str(PORT)]
    int8 = folder.with_name("int8")
    convert(str(folder), int8, "ctranslate2", "int8")
    found = [
        Server(
            name,
            [*ours, *more],
            "/v1/completions",
            lambda prefix, suffix: asked | {"prompt": prefix, "suffix": suffix},
        )
        for name, more in (("spanmix", [str(folder), "--precision", dtype]), ("spanmix int8", [str(int8)]))
    ]
    found += [
        Server(
            "plain loop",
            [python, str(ROOT / "benchmarks" / "serve_sides.py"), str(folder), str(PORT), dtype],
            "/generate",
            lambda prefix, suffix: {"ids": ids(prefix, suffix), "max_tokens": NEW_TOKENS},
        ),
    ]
    if vllm_python is not None:
        kind = {"bf16": "bfloat16", "fp32": "float32"}[dtype]
        command = [vllm_python, "-m", "vllm.entrypoints.cli.main", "serve", str(folder), "--port", str(PORT)]
        command += ["--served-model-name", "m", "--dtype", kind, "--max-model-len", "2048"]
        found.append(
            Server(
                "vllm",
                command,
                "/v1/completions",
                lambda prefix, suffix: asked | {"prompt": ids(prefix, suffix)},
            )
        )
    return found


def texts(seed: int, number: int) -> list[tuple[str, str]]:
    """Return prefixes and suffixes at random places of the project's source."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    drawn = random.Random(seed)
    cuts = [drawn.randrange(PREFIX, len(source) - SUFFIX) for _ in range(number)]
    return [(source[cut - PREFIX : cut], source[cut : cut + SUFFIX]) for cut in cuts]


async def ask(client: httpx.AsyncClient, server: Server, text: tuple[str, str]) -> float:
    """Ask once; return the seconds to the first token."""
    started, first = time.perf_counter(), None
    async with client.stream("POST", server.path, json=server.body(*text)) as response:
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if first is None and line.startswith("data:"):
                first = time.perf_counter() - started
    assert first is not None
    return first


async def level(server: Server, clients: int, requests: list[tuple[str, str]]) -> Level:
    """Let so many clients ask until all requests are answered."""
    left = list(requests)
    firsts: list[float] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{PORT}", timeout=1200) as client:

        async def one() -> None:
            while left:
                firsts.append(await ask(client, server, left.pop()))

        started = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        seconds = time.perf_counter() - started
    firsts.sort()
    return Level(
        len(requests) * NEW_TOKENS / seconds,
        statistics.median(firsts),
        firsts[min(len(firsts) - 1, int(0.99 * len(firsts)))],
    )


def started(server: Server) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    process = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{server.name} ended"
        try:
            if httpx.get(f"http://127.0.0.1:{PORT}/health", timeout=5).status_code == 200:
                return process
        except httpx.HTTPError:
            time.sleep(0.5)
    raise AssertionError(f"{server.name} did not start")


def measured(server: Server, levels: list[int], each: int, rounds: int) -> dict[str, list[Level]]:
    """Measure all levels of a server, after a warm-up."""
    process = started(server)
    found: dict[str, list[Level]] = {}
    try:
        asyncio.run(level(server, 2, texts(1, 4)))
        for number in range(rounds):
            for clients in levels:
                requests = texts(100 * number + clients, max(each, clients))
                found.setdefault(str(clients), []).append(asyncio.run(level(server, clients, requests)))
                print(f"  {server.name:13}{clients:4} clients  {shown(found[str(clients)][-1])}", flush=True)
        if server.name == "spanmix":
            prefix, suffix = texts(7, 1)[0]
            typed = [(prefix + "x = compute(a, b)"[:n], suffix) for n in range(17)]
            found["typing"] = [asyncio.run(level(server, 1, typed[::-1]))]
            print(f"  {server.name:13}somebody types {shown(found['typing'][-1])}", flush=True)
    finally:
        process.terminate()
        process.wait()
    return found


def shown(found: Level) -> str:
    """Write a level down for people."""
    return (
        f"{found.tokens_per_second:8.1f} tokens/s, first token p50 {found.first_p50:6.2f} s, "
        f"p99 {found.first_p99:6.2f} s"
    )


def main() -> None:
    """Measure each server at each level."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="64 requests a level and three rounds")
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 4, 16, 64], help="clients at once")
    parser.add_argument("--vllm-python", metavar="PATH", help="an interpreter that has vLLM's CPU build")
    args = parser.parse_args()
    each, rounds = (64, 3) if args.full else (16, 1)
    dtype = "bf16" if computes_bf16("cpu") else "fp32"
    tokenizer = codegen2_tokenizer()
    with tempfile.TemporaryDirectory() as work:
        folder = save_model_folder(Path(work) / "model", Decoder(preset("125m"), seed=0), tokenizer, {})
        print(f"125m in {dtype}, {each} requests a level, {rounds} rounds", flush=True)
        found = {
            server.name: measured(server, args.levels, each, rounds)
            for server in servers(folder, tokenizer, dtype, args.vllm_python)
        }
    rates = {
        name: {key: statistics.median(one.tokens_per_second for one in some) for key, some in levels.items()}
        for name, levels in found.items()
    }
    firsts = {key: [one.first_p99 for one in some] for key, some in found["spanmix"].items()}
    ratios = {
        f"{name}_{key}": rates["spanmix"][key] / rate
        for name, levels in rates.items()
        if name != "spanmix"
        for key, rate in levels.items()
    }
    print("tokens/s against each: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    print(
        json.dumps(
            {
                "ratio_plain_loop_16": ratios.get("plain loop_16"),
                "p99_first_token_ms_16": 1000 * statistics.median(firsts["16"]) if "16" in firsts else None,
                "tokens_per_second": rates,
                "ratios": ratios,
                "raw": {
                    name: {key: [vars(one) for one in some] for key, some in levels.items()}
                    for name, levels in found.items()
                },
                "dtype": dtype,
                "versions": {
                    "python": platform.python_version(),
                    **{name: version(name) for name in ("torch", "transformers", "fastapi", "uvicorn")},
                },
            }
        )
    )


if __name__ == "__main__":
    main()
