"""The sides of ``prepare.py``, each run as a process that makes a corpus of the same lines of JSON.

    python prepare_sides.py '{"side": "datatrove", ...}'

Nothing is imported before a side needs it, so that datatrove's runs in an environment that has only datatrove
and what it asks for. The last line that a side prints is one JSON object.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_LINE_LENGTH = 1000
MAX_MEAN_LINE_LENGTH = 100
MIN_ALPHANUMERIC_SHARE = 0.25
"""Of the filter; bigcode's."""

THRESHOLD = 0.7
WINDOW_WORDS = 5
EOT = "<|endoftext|>"
LINES_AT_ONCE = 1000
"""That datatrove reads of a file of signatures; its default of 5 is meant for large clusters."""

OURS, THEIRS, PLAIN_WORDS = "spanmix", "datatrove", "datatrove, plain words"


def keep(text: str) -> bool:
    """Return whether the filter lets a text pass."""
    lengths = list(map(len, text.splitlines()))
    if lengths and max(lengths) > MAX_LINE_LENGTH:
        return False
    if lengths and sum(lengths) / len(lengths) > MAX_MEAN_LINE_LENGTH:
        return False
    return sum(map(str.isalnum, text)) >= MIN_ALPHANUMERIC_SHARE * len(text)


def ours(settings: dict[str, Any]) -> dict[str, Any]:
    """Spanmix: what ``spanmix prepare`` does."""
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.corpus_configs.duplicates import DuplicatesConfig
    from spanmix.corpus_configs.filters import FiltersConfig
    from spanmix.text.pipeline import prepare

    filters = FiltersConfig(
        preset="none",
        kind="code",
        max_line_length=MAX_LINE_LENGTH,
        max_mean_line_length=MAX_MEAN_LINE_LENGTH,
        min_alphanumeric_share=MIN_ALPHANUMERIC_SHARE,
    )
    out = Path(settings["out"])
    config = CorpusConfig(
        path=str(out),
        sources=(SourceFilesConfig("all", (settings["shards"],), format="jsonl", filters=filters),),
        held_out_share=0.0,
        duplicates=DuplicatesConfig("drop", THRESHOLD, WINDOW_WORDS),
        partition_bytes=settings["partition_bytes"],
    )
    stages = Stages(out)
    tokenizer = TokenizerConfig(path=settings["tokenizer"])
    report = prepare(config, tokenizer, out, stages, settings["workers"])
    stages("assemble and check", 1, 1)
    kept = report.sources["all"].train
    return {
        "stages": stages.seconds,
        "steps": stages.steps,
        "documents": kept.documents,
        "bytes": kept.bytes,
        "tokens": kept.tokens,
    }


class Stages:
    """Takes the progress of `prepare`, and keeps how long each stage took.

    Args:
        out: the corpus. Beside it lies the folder of work, where each task of the first stage leaves how
            long each step took; it is read when the second stage begins.
    """

    def __init__(self, out: Path) -> None:
        self._work = out.with_name(f".{out.name}.spanmix-work")
        self._stage, self._since = "start", time.perf_counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.steps: defaultdict[str, float] = defaultdict(float)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Be told that a stage is so far."""
        now = time.perf_counter()
        if stage != self._stage:
            self.seconds[self._stage] += now - self._since
            self._stage, self._since = stage, now
            if stage == "copies":
                self._read_steps()
        if done == total:
            self.seconds[stage] += now - self._since
            self._stage, self._since = "assemble and check", now

    def _read_steps(self) -> None:
        for path in self._work.glob("clean/*/summary.json"):
            for step, seconds in json.loads(path.read_text(encoding="utf-8"))["seconds"].items():
                self.steps[step] += seconds


def theirs(settings: dict[str, Any]) -> dict[str, Any]:
    """datatrove: the four stages of its MinHash example, the filter behind the reader, ids at the end."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    out = settings["out"]
    config = MinhashConfig(n_grams=WINDOW_WORDS)
    signature = MinhashDedupSignature(f"{out}/signatures", config)
    if settings["side"] == PLAIN_WORDS:
        signature.word_tokenizer = plain_words()
    shards = len(list(Path(settings["shards"]).glob("*.jsonl")))
    read = [JsonlReader(settings["shards"]), LambdaFilter(lambda document: keep(document.text))]
    buckets = MinhashDedupBuckets(
        f"{out}/signatures", f"{out}/buckets", config=config, lines_to_buffer=LINES_AT_ONCE
    )
    cluster = MinhashDedupCluster(
        f"{out}/buckets", f"{out}/clusters", config, save_cluster_id=True, lines_to_buffer=LINES_AT_ONCE
    )
    # Ours does not shuffle, so theirs is spared it; nor does theirs join its files.
    tokenize = DocumentTokenizer(
        f"{out}/ids",
        str(Path(settings["tokenizer"]) / "tokenizer.json"),
        eos_token=EOT,
        shuffle_documents=False,
    )
    plan = {
        "signatures": ([*read, signature], shards),
        "buckets": ([buckets], config.num_buckets),
        "clusters": ([cluster], 1),
        "filter and tokenize": ([*read, MinhashDedupFilter(f"{out}/clusters"), tokenize], shards),
    }
    stages = {}
    for name, (steps, tasks) in plan.items():
        start = time.perf_counter()
        workers = min(settings["workers"], tasks)
        LocalPipelineExecutor(steps, tasks, workers, logging_dir=f"{out}/logs/{name}").run()
        stages[name] = time.perf_counter() - start
    ends = [file.stat().st_size // 8 for file in Path(out, "ids").glob("*.index")]
    tokens = sum(file.stat().st_size // 2 for file in Path(out, "ids").glob("*.ds"))
    return {"stages": stages, "documents": sum(ends), "tokens": tokens - sum(ends)}


def plain_words() -> Any:
    """Return what splits at all that is no letter, digit or underscore, where datatrove's own is spaCy."""
    from datatrove.utils.word_tokenizers import WordTokenizer

    class PlainWords(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return re.findall(r"\w+", text)

        def sent_tokenize(self, text: str) -> list[str]:
            raise NotImplementedError

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            raise NotImplementedError

    return PlainWords()


def their_groups(out: Path, shard: int) -> tuple[dict[int, int], set[int]]:
    """Read what datatrove wrote of a shard: groups of documents, and which of them were dropped.

    Documents are counted from 0 among those of the shard that passed the filter.
    """
    groups = dict(_integers(out / "clusters" / f"{shard:06}.clusters", 2))
    dropped = {number for (number,) in _integers(out / "clusters" / f"{shard:06}.remove", 1)}
    return groups, dropped


def _integers(path: Path, count: int) -> Iterator[tuple[int, ...]]:
    data = path.read_bytes() if path.exists() else b""
    return struct.iter_unpack(f"<{count}I", data)


def shares(settings: dict[str, Any]) -> dict[str, Any]:
    """The share of windows that pairs of texts have in common, exactly, as datatrove makes windows."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    signature = MinhashDedupSignature(settings["out"], MinhashConfig(n_grams=WINDOW_WORDS))
    given = json.loads(Path(settings["pairs"]).read_text(encoding="utf-8"))
    windows = [frozenset(signature.get_shingles(text)[:, 0].tolist()) for text in given["texts"]]
    found = []
    for left, right in given["pairs"]:
        one, other = windows[left], windows[right]
        found.append(len(one & other) / max(1, len(one | other)))
    return {"shares": found}


def main() -> None:
    """Do what the settings ask for."""
    settings = json.loads(sys.argv[1])
    sides = {OURS: ours, THEIRS: theirs, PLAIN_WORDS: theirs, "shares": shares}
    start = time.perf_counter()
    found = sides[settings["side"]](settings)
    print(json.dumps(found | {"seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
