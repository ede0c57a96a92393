"""How fast does raw text become a corpus? `spanmix prepare` beside datatrove's own pipeline, taken in turn.

    python benchmarks/prepare.py [--full] [--source NAME=PATH ...] [--rounds N] [--peer-python PYTHON]
    python benchmarks/prepare.py --scaling [--sizes 10 100 1000]

Both read the same lines of JSON, drop by the same bounds (`prepare_sides`), find near-copies by MinHash over
windows of 5 words, keep one of each group, and write the ids that CodeGen2's tokenizer makes of the rest,
with two workers each. The text is 20 MB of the Python packages installed here, and of each ``--source``, an
equal part; with ``--full`` all of it, 250 MB at least. datatrove has its defaults, 14 buckets of 8 hashes
(ours makes 128), and is spared shuffling and joining its files; it runs in an environment of its own, which
is made in ``--scratch`` if no ``--peer-python`` is named. ``datatrove, plain words`` splits words by a
regular expression where datatrove splits by spaCy, which is most of its time. Seconds are of whole processes,
their start included; `prepare_processes` says how memory and processor time are counted.

Then the copies that both found are compared, and judged by exact shares of a sample of pairs: see
`prepare_checks`. ``--scaling`` measures ours alone, on some MB of the same sources and on those again and
again in other words (see `prepare_inputs.repeated`), and fits a power law to time and memory. The smallest is
one task of one worker.

The last line is one JSON object. Without arguments it takes some four minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from prepare_checks import compare
from prepare_inputs import FEWEST_SHARDS, Source, Text, python_packages, repeated, take, write_shards
from prepare_processes import watch
from prepare_sides import OURS, PLAIN_WORDS, THEIRS
from spanmix.interchange.tokenizers import codegen2_tokenizer

SIDES = Path(__file__).with_name("prepare_sides.py")
PEER_VERSION = "0.10.1"
PEER = (f"datatrove=={PEER_VERSION}", "xxhash==3.8.2", "orjson==3.13.0", "spacy==3.8.18", "regex")
"""Its MinHash refuses the xxhash that other packages here ask for."""

SHARED = ("numpy", "tokenizers")
"""Of these it gets the versions that ours runs with."""

MEGABYTE = 1_000_000
LEAST_FULL_BYTES = 250 * MEGABYTE
PARTITION_BYTES = 32 * MEGABYTE
"""The recipe's default. A smaller input is cut into smaller ones, so that each worker has something to do."""


@dataclass(frozen=True)
class Run:
    """What a side took, and what it said.

    Args:
        seconds: from the start of its process to its end.
        processor_seconds, peak_bytes: of all its processes; see `prepare_processes`.
        told: what it printed.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    told: dict[str, Any]


class Bench:
    """Runs sides in the folder `work`, which holds the tokenizer and what the sides write."""

    def __init__(self, work: Path, workers: int, peer_python: str) -> None:
        self.work = work
        self.peer_python = peer_python
        self._workers = workers
        codegen2_tokenizer().save(work / "tokenizer")

    def out(self, side: str) -> Path:
        """Return where a side writes."""
        return self.work / side.replace(", ", "-").replace(" ", "-")

    def run(self, side: str, shards: Path, partition_bytes: int = PARTITION_BYTES) -> Run:
        """Let a side make its corpus of `shards`; what it made before goes."""
        shutil.rmtree(self.out(side), ignore_errors=True)
        settings = {
            "side": side,
            "shards": str(shards),
            "out": str(self.out(side)),
            "tokenizer": str(self.work / "tokenizer"),
            "workers": self._workers,
            "partition_bytes": partition_bytes,
        }
        return self.ask(settings, sys.executable if side == OURS else self.peer_python)

    def ask(self, settings: dict[str, Any], python: str) -> Run:
        """Run a side's process, and watch its memory."""
        log = self.work / "log.txt"
        done = watch([python, str(SIDES), json.dumps(settings)], log)
        if done.code:
            sys.exit(f"{settings['side']} ended with exit code {done.code}:\n{log.read_text()[-4000:]}")
        told = json.loads(done.printed.splitlines()[-1])
        return Run(done.seconds, done.processor_seconds, done.peak_bytes, told)


def find_peer(scratch: Path) -> str:
    """Return the interpreter of datatrove's environment, which is made if it is not there."""
    folder = scratch / f"spanmix-bench-datatrove-{PEER_VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"Installing datatrove {PEER_VERSION} into {folder} ...", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        wanted = [*PEER, *(f"{name}=={version(name)}" for name in SHARED)]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        (folder / "ready").touch()
    return str(python)


def in_turn(
    bench: Bench, sides: Sequence[str], rounds: int, shards: Path, num_bytes: int
) -> dict[str, list[Run]]:
    """Let the sides work one after the other, several times; before, each once on a shard, unmeasured."""
    partition_bytes = min(PARTITION_BYTES, num_bytes // FEWEST_SHARDS)
    warm_up = bench.work / "warm-up"
    warm_up.mkdir()
    shutil.copy(shards / "00000.jsonl", warm_up)
    for side in sides:
        bench.run(side, warm_up, partition_bytes)
    runs: dict[str, list[Run]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            runs[side].append(bench.run(side, shards, partition_bytes))
            print(f"  {side:24} {runs[side][-1].seconds:8.1f} s", flush=True)
    return runs


def report(runs: dict[str, list[Run]], num_bytes: int) -> dict[str, Any]:
    """Print rates and ratios, and ours by step; return figures."""
    medians = {side: statistics.median(run.seconds for run in mine) for side, mine in runs.items()}
    used = {side: statistics.median(run.processor_seconds for run in mine) for side, mine in runs.items()}
    for side, mine in runs.items():
        seconds = [run.seconds for run in mine]
        told = mine[-1].told
        print(
            f"{side:24} {medians[side]:8.1f} s ({min(seconds):.1f} to {max(seconds):.1f}) "
            f"{num_bytes / MEGABYTE / medians[side]:7.2f} MB/s, ratio {medians[side] / medians[OURS]:5.2f}, "
            f"processor {used[side]:7.1f} s, ratio {used[side] / used[OURS]:5.2f}, "
            f"{max(run.peak_bytes for run in mine) / MEGABYTE:6,.0f} MB of memory, "
            f"{told['documents']:,} documents, {told['tokens']:,} tokens"
        )
    steps = _median_of("steps", runs[OURS])
    stages = {side: _median_of("stages", mine) for side, mine in runs.items()}
    rates = {step: num_bytes / MEGABYTE / max(seconds, 1e-9) for step, seconds in steps.items()}
    print(f"{OURS} by step, MB/s of one core: " + ", ".join(f"{s} {rate:.1f}" for s, rate in rates.items()))
    for side, mine in stages.items():
        print(f"{side}, seconds: " + ", ".join(f"{stage} {taken:.2f}" for stage, taken in mine.items()))
    return {
        "ratio_datatrove": medians[THEIRS] / medians[OURS],
        "ratio_datatrove_plain_words": medians[PLAIN_WORDS] / medians[OURS],
        "ratio_datatrove_processor": used[THEIRS] / used[OURS],
        "ratio_datatrove_plain_words_processor": used[PLAIN_WORDS] / used[OURS],
        "megabytes_per_second": num_bytes / MEGABYTE / medians[OURS],
        "medians": medians,
        "runs": {side: [asdict(run) for run in mine] for side, mine in runs.items()},
        "steps_seconds_of_one_core": steps,
        "steps_megabytes_per_second": rates,
        "stages_seconds": stages,
    }


def _median_of(key: str, runs: Sequence[Run]) -> dict[str, float]:
    return {
        name: statistics.median(run.told[key][name] for run in runs) for name in runs[0].told.get(key, {})
    }


def scale(bench: Bench, texts: Sequence[Text], sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Measure ours on longer and longer input, in turn; fit exponents of time and memory."""
    shards, num_bytes = [], []
    for size in sizes:
        shards.append(bench.work / f"{size}-megabytes")
        num_bytes.append(write_shards(repeated(texts, size * MEGABYTE), shards[-1], size * MEGABYTE))
    runs: list[list[Run]] = [[] for _ in sizes]
    for _ in range(rounds):
        for mine, folder, size in zip(runs, shards, num_bytes, strict=True):
            mine.append(bench.run(OURS, folder))
            print(f"  {size / MEGABYTE:8,.0f} MB {mine[-1].seconds:8.1f} s", flush=True)
    seconds = [statistics.median(run.seconds for run in mine) for mine in runs]
    peaks = [statistics.median(run.peak_bytes for run in mine) for mine in runs]
    for size, mine, median, peak in zip(num_bytes, runs, seconds, peaks, strict=True):
        spread = f"({min(run.seconds for run in mine):.1f} to {max(run.seconds for run in mine):.1f})"
        kept = mine[-1].told["documents"]
        print(
            f"{size / MEGABYTE:8,.0f} MB {median:8.1f} s {spread} {size / MEGABYTE / median:7.2f} MB/s "
            f"{peak / MEGABYTE:8,.0f} MB of memory   {kept:,} documents kept"
        )
    found = {
        "exponent_seconds": exponent(num_bytes, seconds),
        "exponent_memory": exponent(num_bytes, peaks),
        "exponent_seconds_of_the_largest_two": exponent(num_bytes[-2:], seconds[-2:]),
        "exponent_memory_of_the_largest_two": exponent(num_bytes[-2:], peaks[-2:]),
    }
    for name, value in found.items():
        print(f"{name}: {value:.3f}")
    return {"bytes": num_bytes, "runs": [[asdict(run) for run in mine] for mine in runs], **found}


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return b of the power law a x^b that fits best."""
    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="all text of all sources")
    parser.add_argument("--megabytes", type=int, default=20, help="of all sources together")
    parser.add_argument("--source", type=Source.parse, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=2000, help="whose exact share is counted")
    parser.add_argument("--peer-python", metavar="PYTHON", help="of an environment with datatrove")
    parser.add_argument("--scaling", action="store_true", help="only time and memory of ours against size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000], help="in MB, with --scaling")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    return parser.parse_args()


def main() -> None:
    """Write the input, let the sides work in turn, and compare what they found."""
    args = arguments()
    sources = [python_packages(), *args.source]
    megabytes = min(args.sizes) if args.scaling else args.megabytes
    texts = take(sources, None if args.full and not args.scaling else megabytes * MEGABYTE)
    versions = {"python": platform.python_version(), THEIRS: PEER_VERSION}
    versions |= {name: version(name) for name in ("daft", "numpy", "pyarrow", "tokenizers")}
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        if args.scaling:
            bench = Bench(Path(folder), args.workers, sys.executable)
            print(json.dumps({"scaling": scale(bench, texts, args.sizes, args.rounds), "versions": versions}))
            return
        num_bytes = sum(len(text.encode()) for _, text in texts)
        if args.full and num_bytes < LEAST_FULL_BYTES:
            sys.exit(
                f"--full needs 250 MB of text, and found {num_bytes / MEGABYTE:.0f}; add --source NAME=PATH"
            )
        bench = Bench(Path(folder), args.workers, args.peer_python or find_peer(args.scratch))
        shards = bench.work / "shards"
        write_shards(texts, shards, num_bytes)
        by_source = {s.name: sum(name.startswith(s.name + "/") for name, _ in texts) for s in sources}
        print(f"{num_bytes / MEGABYTE:.1f} MB, files by source {by_source}, {args.workers} workers")
        del texts
        figures = report(
            in_turn(bench, (OURS, THEIRS, PLAIN_WORDS), args.rounds, shards, num_bytes), num_bytes
        )
        figures["duplicates"] = compare(bench, shards, args.pairs)
    figures |= {"bytes": num_bytes, "files": by_source, "workers": args.workers, "versions": versions}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
