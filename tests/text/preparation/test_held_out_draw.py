"""What is said of the held-out side is what a count of its files, one by one, comes to."""

import json
from collections import Counter

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare, stages

TOKENIZER = TokenizerConfig(vocab_size=512, num_sentinels=20)


def write_rows(path, tag):
    """Rows of repositories of unequal sizes, and some of none."""
    rows = []
    for i in range(60):
        repository = "" if i % 6 == 0 else f"{tag}/r{i % 4}"
        lines = [f"def {tag}_{i}_{j}(x): return x * {i * j}  # naïve" for j in range(3 + 7 * (i % 5))]
        rows.append({"path": f"{tag}{i}.py", "repository": repository, "text": "\n".join(lines)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {row["path"]: row for row in rows}


@pytest.mark.parametrize("partition_bytes", [12_000, 32_000_000])
def test_a_draw_is_what_its_files_come_to(tmp_path, partition_bytes):
    files = {tag: write_rows(tmp_path / f"{tag}.jsonl", tag) for tag in ("one", "two")}
    sources = tuple(SourceFilesConfig(tag, (str(tmp_path / f"{tag}.jsonl"),)) for tag in files)
    config = CorpusConfig("", sources, 0.3, seed=1, partition_bytes=partition_bytes)
    report = prepare(config, TOKENIZER, tmp_path / "out")
    corpus = Corpus.open(tmp_path / "out")
    with_repository = 0
    for tag, rows in files.items():
        sides = {"held_out": corpus.held_out[tag], "train": corpus.train[tag]}
        num_bytes: dict[str, Counter[str]] = {name: Counter() for name in sides}
        sizes = []
        for name, side in sides.items():
            for i in range(len(side)):
                row = rows[side.path(i)]
                size = len(row["text"].encode())
                num_bytes[name][row["repository"]] += size
                sizes += [size] if name == "held_out" else []
        draw = report.sources[tag].held_out_draw
        assert draw.groups == len(sizes) >= 5  # no two of these files are alike
        assert draw.effective_groups == round(sum(sizes) ** 2 / sum(size**2 for size in sizes), 1)
        named = {name: size for name, size in num_bytes["held_out"].items() if name}
        assert named[draw.repository] == max(named.values())
        for share, name in ((draw.repository_share, "held_out"), (draw.repository_share_of_train, "train")):
            whole = sum(num_bytes[name].values())
            assert share == pytest.approx(num_bytes[name][draw.repository] / whole, abs=6e-5)
            with_repository += share > 0
    assert with_repository == 4


def test_files_of_one_repository_are_one_group(tmp_path):
    rows = write_rows(tmp_path / "one.jsonl", "one")
    sources = (SourceFilesConfig("one", (str(tmp_path / "one.jsonl"),)),)
    config = CorpusConfig("", sources, 0.4, seed=2, layout=LayoutConfig(unit="repository"))
    report = prepare(config, TOKENIZER, tmp_path / "out").sources["one"]
    draw = report.held_out_draw
    alone = sum(not row["repository"] for row in rows.values())
    assert draw.repository.startswith("one/r") and draw.repository_share_of_train == 0
    assert draw.groups <= alone + 4 and draw.effective_groups < draw.groups


def test_a_side_without_documents_or_repositories_is_empty(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n" * 50)
    config = CorpusConfig("", (SourceFilesConfig("a", (str(tmp_path / "a.py"),)),))
    draw = prepare(config, TOKENIZER, tmp_path / "out").sources["a"].held_out_draw
    assert (draw.groups, draw.effective_groups, draw.repository) == (0, 0, "")
    assert (draw.repository_share, draw.repository_share_of_train) == (0, 0)


def test_stages_come_in_the_order_that_is_said_and_each_is_done(tmp_path):
    write_rows(tmp_path / "one.jsonl", "one")
    config = CorpusConfig("", (SourceFilesConfig("one", (str(tmp_path / "one.jsonl"),)),))
    for number, tokenizer in enumerate(
        (TOKENIZER, TokenizerConfig(path=str(tmp_path / "out0" / "tokenizer")))
    ):
        told: dict[str, list[tuple[int, int]]] = {}
        prepare(
            config,
            tokenizer,
            tmp_path / f"out{number}",
            lambda stage, *moment, told=told: told.setdefault(stage, []).append(moment),
        )
        assert list(told) == stages(tokenizer) and len(told) == 4 - number
        for moments in told.values():
            (total,) = {total for _, total in moments}
            done = [done for done, _ in moments]
            assert done[0] == 0 and done[-1] == total > 0 and done == sorted(done)
        assert len(told["copies"]) > 2
