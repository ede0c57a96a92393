"""What a corpus says of near-copies is about different documents: of exact copies only the first counts."""

import json
import random

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.text.pipeline import prepare

TOKENIZER = TokenizerConfig(vocab_size=384, num_sentinels=9)


def text(seed):
    rng = random.Random(seed)
    return " ".join(f"word{rng.randrange(10_000)}" for _ in range(200))


@pytest.mark.parametrize(
    ("texts", "pairs", "groups", "largest"),
    [
        ((text(1), text(1), text(2)), 0, 0, 1),
        ((text(1), text(1), text(1) + " end", text(2)), 1, 1, 2),
        ((text(1), text(1) + " end", text(1), text(1) + " end", text(1) + " stop", text(1)), 3, 1, 3),
    ],
)
@pytest.mark.parametrize("near", ["drop", "together"])
def test_exact_copies_are_no_near_copies(tmp_path, texts, pairs, groups, largest, near):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in texts))
    source = SourceFilesConfig("rows", (str(tmp_path / "rows.jsonl"),))
    config = CorpusConfig("", (source,), duplicates=DuplicatesConfig(near=near))
    report = prepare(config, TOKENIZER, tmp_path / "out")
    copies = report.copies
    assert (copies.pairs, copies.groups, copies.largest) == (pairs, groups, largest)
    assert (copies.agreements > 0) == (pairs > 0)
    dropped = report.sources["rows"].dropped
    assert dropped["exact copy"] == len(texts) - len(set(texts))
    assert dropped.get("near-copy", 0) == (largest - 1 if near == "drop" else 0)
    words = f"{pairs} pair{'s' * (pairs != 1)} in {groups} group{'s' * (groups != 1)}"
    assert words in (tmp_path / "out" / "README.md").read_text()
