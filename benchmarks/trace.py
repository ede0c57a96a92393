"""What does a trace index cost, and how long does a question take?

    python benchmarks/trace.py [CORPUS] [--megabytes 10] [--shortest-bytes 16] [--texts 200] [--full] [--out
    DIR]

Makes a corpus of so many MB of text from the training documents of CORPUS (the demo's if it is not given):
as they are, and when they are used up once more with every letter moved along the alphabet, which makes
other text of the same kind. Builds its index for each number of shortest bytes, and asks it for texts of 50
lines: excerpts of its own documents, which it holds whole, and of held-out ones, which are new to it.
`--full` makes 10 and 100 MB, with 8, 16 and 32 bytes. Times are wall-clock milliseconds of one thread with
all files in memory; the first 10 questions are not counted. `trace` finds all matches of 40 bytes and more
with their places, `longest` the longest alone. The last line is one JSON object.
"""

import argparse
import json
import random
import resource
import shutil
import string
import sys
import time
from pathlib import Path

import numpy as np

from spanmix.demo.corpus import demo_corpus
from spanmix.text.corpus import TOKENIZER_FOLDER, Corpus, CorpusSource, SourceWriter, stores_fingerprint
from spanmix.text.report import HELD_OUT_SUFFIX, CorpusReport, SourceReport
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings, index_folder
from spanmix.types import Document

LINES = 50
WARM = 10


def moved(text: str, by: int) -> str:
    """Move every ASCII letter along the alphabet."""
    letters = string.ascii_lowercase
    turned = letters[by:] + letters[:by]
    return text.translate(str.maketrans(letters + letters.upper(), turned + turned.upper()))


def make_corpus(given: Corpus, folder: Path, num_bytes: int) -> tuple[Path, int]:
    """Write a corpus of at least `num_bytes` of training text; return its folder and tokens."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    given.tokenizer.save(folder / TOKENIZER_FOLDER)
    with SourceWriter(folder / f"code{HELD_OUT_SUFFIX}", given.tokenizer) as held_out:
        pass
    with SourceWriter(folder / "code", given.tokenizer) as writer:
        done = turn = 0
        while done < num_bytes:
            for source in given.train.values():
                for i in range(len(source)):
                    if done >= num_bytes:
                        break
                    text = moved(source.text(i), turn) if turn else ""
                    ids = given.tokenizer.encode_arrays([text])[0] if turn else source.tokens(i)
                    size = len(text.encode()) if turn else source.num_bytes_of(i)
                    writer.add(
                        Document("", "code", f"{turn}/{source.path(i)}", "python", "MIT"), ids, size, 0
                    )
                    done += size
            turn += 1
    report = SourceReport(writer.counts, held_out.counts, {}, {})
    fingerprint = stores_fingerprint(folder, ["code"], given.tokenizer)
    names = (given.tokenizer.fingerprint, given.tokenizer.vocab_size)
    CorpusReport(1, fingerprint, *names, True, "benchmark", {"code": report}).save(folder)
    return folder, report.train.tokens


def excerpts(source: CorpusSource, number: int) -> list[str]:
    """Return texts of 50 lines, from documents and places that are always the same."""
    chosen = random.Random(1)
    texts = []
    while len(texts) < number:
        lines = source.text(chosen.randrange(len(source))).splitlines(keepends=True)
        start = chosen.randrange(max(1, len(lines) - LINES))
        texts.append("".join(lines[start : start + LINES]))
    return texts


def timed(ask, texts: list[str]) -> list[float]:
    """Return median and 99th percentile of the milliseconds a text, and the median of processor time."""
    for text in texts[:WARM]:
        ask(text)
    times, busy = [], []
    for text in texts:
        start, start_busy = time.perf_counter(), time.thread_time()
        ask(text)
        times.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.thread_time() - start_busy))
    return [float(np.median(times)), float(np.quantile(times, 0.99)), float(np.median(busy))]


def measure(given: Corpus, folder: Path, num_tokens: int, shortest: int, num_texts: int) -> dict[str, object]:
    """Build one index and ask it."""
    shutil.rmtree(index_folder(folder), ignore_errors=True)
    start, start_busy = time.perf_counter(), time.process_time()
    record = build_index(folder, IndexSettings(shortest))
    seconds, busy = time.perf_counter() - start, time.process_time() - start_busy
    index = TraceIndex.open(folder)
    own = excerpts(Corpus.open(folder).train["code"], num_texts)
    new = excerpts(next(iter(given.held_out.values())), num_texts)
    found: dict[str, object] = {
        "text_bytes": record.num_bytes,
        "shortest_bytes": shortest,
        "build_seconds": seconds,
        "build_processor_seconds": busy,
        "build_mb_a_second": record.num_bytes / seconds / 1e6,
        "index_bytes_a_byte": record.size / record.num_bytes,
        "index_bytes_a_token": record.size / num_tokens,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    for name, texts in (("own", own), ("new", new)):
        found[f"{name}_bytes"] = float(np.mean([len(text.encode()) for text in texts]))
        found[f"{name}_trace_ms"] = timed(index.trace, texts)
        found[f"{name}_longest_ms"] = timed(index.longest_match, texts)
    whole = [text for text in own if len(text.encode()) >= 40]
    lost = [text for text in whole if index.longest_matches(text)[0].num_bytes != len(text.encode())]
    if lost:
        sys.exit(f"{len(lost)} of {len(whole)} excerpts were not found whole")
    return found


def main() -> None:
    """Make the corpora, and print a line for each index."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10])
    parser.add_argument("--shortest-bytes", type=int, nargs="+", default=[16])
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/trace"))
    args = parser.parse_args()
    given = Corpus.open(args.corpus) if args.corpus else demo_corpus(Path("runs/demo"))
    if args.full:
        args.megabytes, args.shortest_bytes = [10, 100], [8, 16, 32]
    lines = []
    print("   MB  shortest   MB/s  bytes/byte  bytes/token  peak MB   own p50  p99 ms   new p50  p99 ms")
    for megabytes in args.megabytes:
        folder, num_tokens = make_corpus(given, args.out / f"{megabytes}mb", megabytes * 1_000_000)
        for shortest in args.shortest_bytes:
            found = measure(given, folder, num_tokens, shortest, args.texts)
            lines.append(found)
            own, new = found["own_trace_ms"], found["new_trace_ms"]
            print(
                f"{megabytes:5}  {shortest:8}  {found['build_mb_a_second']:5.1f}  "
                f"{found['index_bytes_a_byte']:10.2f}  {found['index_bytes_a_token']:11.2f}  "
                f"{found['peak_mb']:7,.0f}  {own[0]:8.1f}  {own[1]:6.1f}  {new[0]:8.1f}  {new[1]:6.1f}",
                flush=True,
            )
    print(json.dumps({"corpus": str(given.path), "full": args.full, "indexes": lines}))


if __name__ == "__main__":
    main()
