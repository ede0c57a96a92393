"""How fast does text become ids? Our tokenizers beside the `tokenizers` library's own, taken in turn.

    python benchmarks/tokenize_text.py [--full] [--cores 1 2] [--rounds N] [FOLDER ...]

The text is what stands in FOLDERs, by default the libraries of this Python, in an order that is the same on
every run: 4 MB, or 100 MB with ``--full``. Two tokenizers encode it: CodeGen2's, of 51,200 entries,
and one of 16,384 that is trained on other files of the same folders. The sides:

- the library's ``encode_batch``, and its ``encode_batch_fast``, which leaves out where tokens stand;
- `Tokenizer.encode_arrays`, made anew for each round, so that it has met no word;
- the same again, when it has met all of them but those that it forgot.

Each is given the same slices of some 4 MB of text, one after the other. For each number of cores there is a
process that may use these cores alone; the library has as many threads, and ours is called from as many.
Ids are compared with ``encode_batch``'s outside of the time, and so are the library's own copies of its ids
into arrays. Figures are medians of rounds, of wall time and of processor time (all threads); the latter says
more where other programs are at work. The last line is one JSON object; `ratio_encode_batch` is the least of
all tokenizers and cores, in wall time, of the side that has met no word.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spanmix.interchange.tokenizers import codegen2_tokenizer
from spanmix.text.tokenizer import Tokenizer

SUFFIXES = {".c", ".cpp", ".css", ".h", ".hpp", ".html", ".js", ".json", ".md", ".py", ".pyi", ".rst", ".txt"}
MOST_BYTES = 2_000_000
SLICE_CHARACTERS = 4_000_000
TRAINING_BYTES = 4_000_000
THEIRS, FAST, NEW, AGAIN = "encode_batch", "encode_batch_fast", "spanmix, no word met", "spanmix, again"

Slices = list[list[str]]
Side = Callable[[list[str]], list[Any]]


def read_texts(folders: Sequence[Path]) -> Iterator[str]:
    """Yield different text files in an order that depends on their contents alone."""
    found: dict[bytes, Path] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.suffix in SUFFIXES and path.is_file() and 0 < path.stat().st_size <= MOST_BYTES:
                found[hashlib.sha256(path.read_bytes()).digest()] = path
    for _, path in sorted(found.items()):
        try:
            yield path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue


def take(texts: Iterator[str], num_bytes: int) -> list[str]:
    """Take texts of about `num_bytes`, or all that are left."""
    taken: list[str] = []
    while num_bytes > 0 and (text := next(texts, None)) is not None:
        taken.append(text)
        num_bytes -= len(text.encode())
    return taken


def cut(texts: list[str]) -> Slices:
    """Lay texts into slices of some MB, so that the library's objects stay few."""
    slices: Slices = [[]]
    size = 0
    for text in texts:
        if size >= SLICE_CHARACTERS:
            slices.append([])
            size = 0
        slices[-1].append(text)
        size += len(text)
    return slices


def ours(tokenizer: Tokenizer, num_threads: int) -> Side:
    """Encode from several threads, each with every n-th text."""

    def run(texts: list[str]) -> list[Any]:
        parts = list(pool.map(tokenizer.encode_arrays, [texts[i::num_threads] for i in range(num_threads)]))
        return [parts[i % num_threads][i // num_threads] for i in range(len(texts))]

    pool = ThreadPoolExecutor(num_threads)
    return run


def theirs(name: str, tokenizer: Tokenizer) -> Side:
    """One of the library's two methods, as they are called."""
    encode = getattr(tokenizer._inner, name)
    return lambda texts: encode(texts, add_special_tokens=False)


def measure(tokenizer: Tokenizer, slices: Slices, num_threads: int, rounds: int) -> dict[str, Any]:
    """Let all sides encode all slices in turn, `rounds` times."""
    seconds: dict[str, list[float]] = {name: [] for name in (THEIRS, FAST, NEW, AGAIN)}
    processor: dict[str, list[float]] = {name: [] for name in seconds}
    same = compared = 0
    for _ in range(rounds):
        new = ours(tokenizer.with_controls(trained=True), num_threads)
        sides = {THEIRS: theirs(THEIRS, tokenizer), FAST: theirs(FAST, tokenizer), NEW: new, AGAIN: new}
        spent = dict.fromkeys(sides, (0.0, 0.0))
        for again in (False, True):
            for texts in slices:
                answers = {}
                for name in (AGAIN,) if again else (THEIRS, FAST, NEW):
                    start, start_processor = time.perf_counter(), time.process_time()
                    answers[name] = sides[name](texts)
                    wall, used = time.perf_counter() - start, time.process_time() - start_processor
                    spent[name] = spent[name][0] + wall, spent[name][1] + used
                if not again:
                    compared += len(texts)
                    pairs = zip(answers[THEIRS], answers[NEW], strict=True)
                    same += sum(np.array_equal(theirs.ids, ids) for theirs, ids in pairs)
        for name, (wall, used) in spent.items():
            seconds[name].append(wall)
            processor[name].append(used)
    return {"seconds": seconds, "processor_seconds": processor, "texts": compared, "same_ids": same}


def measure_here(args: argparse.Namespace) -> None:
    """Be the process of one number of cores: print what was measured as JSON."""
    texts = read_texts(args.folders)
    measured = take(texts, args.megabytes * 1_000_000)
    training = take(texts, TRAINING_BYTES) or measured[:200]
    sides = {"CodeGen2": codegen2_tokenizer(), "trained": Tokenizer.train(training, 16_384, 99)}
    slices = cut(measured)
    found: dict[str, Any] = {"bytes": sum(len(text.encode()) for text in measured), "files": len(measured)}
    for name, tokenizer in sides.items():
        found[name] = measure(tokenizer, slices, args.here, args.rounds)
    print(json.dumps(found))


def measure_on(num_cores: int, args: argparse.Namespace) -> dict[str, Any]:
    """Start a process that has `num_cores` cores and no more."""
    cores = sorted(os.sched_getaffinity(0))[:num_cores]
    if len(cores) < num_cores:
        sys.exit(f"--cores {num_cores}: this process may use {len(cores)}; name fewer")
    command = [sys.executable, __file__, "--here", str(num_cores), "--rounds", str(args.rounds)]
    command += ["--megabytes", str(args.megabytes), *map(str, args.folders)]
    finished = subprocess.run(
        command,
        env=os.environ | {"RAYON_NUM_THREADS": str(num_cores), "TOKENIZERS_PARALLELISM": "true"},
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def report(tokenizer: str, num_cores: int, num_bytes: int, found: dict[str, Any]) -> dict[str, float]:
    """Print a table of one tokenizer on one number of cores, and return the ratios."""
    print(
        f"{tokenizer}, {num_cores} core(s): {found['same_ids']:,} of {found['texts']:,} texts, the same ids"
    )
    medians = {name: statistics.median(values) for name, values in found["seconds"].items()}
    used = {name: statistics.median(values) for name, values in found["processor_seconds"].items()}
    for name, values in found["seconds"].items():
        rates = [num_bytes / 1e6 / seconds for seconds in values]
        print(
            f"  {name:22} {num_bytes / 1e6 / medians[name]:7.2f} MB/s [{min(rates):.2f}, {max(rates):.2f}]"
            f"{medians[THEIRS] / medians[name]:7.2f} times"
            f"   processor {num_bytes / 1e6 / used[name]:7.2f} MB/s{used[THEIRS] / used[name]:7.2f} times"
        )
    return {
        "ratio_encode_batch": medians[THEIRS] / medians[NEW],
        "ratio_encode_batch_again": medians[THEIRS] / medians[AGAIN],
        "ratio_encode_batch_fast": medians[FAST] / medians[NEW],
        "ratio_encode_batch_processor": used[THEIRS] / used[NEW],
    }


def main() -> None:
    """Measure on each number of cores, and print rates and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    libraries = [Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib")]
    parser.add_argument("folders", type=Path, nargs="*", default=libraries)
    parser.add_argument("--full", action="store_true", help="100 MB")
    parser.add_argument("--megabytes", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--here", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        measure_here(args)
        return
    if args.full:
        args.megabytes = 100
    raw, ratios = {}, {}
    for num_cores in args.cores:
        found = measure_on(num_cores, args)
        num_bytes, num_files = found.pop("bytes"), found.pop("files")
        if num_cores == args.cores[0]:
            print(f"{num_bytes / 1e6:.1f} MB of text in {num_files:,} files, {args.rounds} rounds")
        for tokenizer, sides in found.items():
            key = f"{tokenizer}, {num_cores}"
            ratios[key] = report(tokenizer, num_cores, num_bytes, sides)
            raw[key] = sides
    figures = {
        "ratio_encode_batch": min(ratio["ratio_encode_batch"] for ratio in ratios.values()),
        "texts": sum(sides["texts"] for sides in raw.values()),
        "texts_with_the_same_ids": sum(sides["same_ids"] for sides in raw.values()),
        "bytes": num_bytes,
        "ratios": ratios,
        "raw": raw,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "pyarrow", "tokenizers")},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
