"""What is counted a row group or a block at a time is what counting all at once would give."""

import json
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanmix.text.corpus_page import notes
from spanmix.text.corpus_page.dropped import EXAMPLES, count_dropped
from spanmix.text.corpus_page.harmless import markdown, one_line, passage
from spanmix.text.corpus_page.sides import Lengths

SEEN: Counter[str] = Counter()


@given(st.lists(st.one_of(st.integers(0, 40), st.integers(0, 2**40), st.sampled_from([1, 2, 1024, 2**31]))))
def test_lengths_are_binned_and_ranked(values):
    lengths = Lengths.of(np.array(values, dtype=np.int64))
    assert sum(lengths.bins) == len(values)
    for place, count in enumerate(lengths.bins):
        low, high = (2 ** (place - 1), 2**place) if place else (0, 1)
        assert count == sum(low <= value < high for value in values)
    if values:
        ranked = sorted(values)
        assert lengths.longest == ranked[-1]
        for percent, found in ((50, lengths.median), (90, lengths.p90), (99, lengths.p99)):
            assert sum(value <= found for value in values) * 100 >= percent * len(values)
            assert sum(value < found for value in values) * 100 < percent * len(values)
        SEEN["powers of two"] += any(value and value & (value - 1) == 0 for value in values)


def test_lengths_met_hard_cases():
    assert SEEN["powers of two"] > 20


def test_examples_are_spread_and_counts_exact(tmp_path, helpers):
    many = 0
    for case in range(30):
        draw = np.random.default_rng(case)
        rows = [
            {
                "path": f"p{i}",
                "reason": f"reason {int(draw.geometric(0.4))}",
                "value": str(i),
                "num_bytes": int(draw.integers(0, 10**9)),
                "excerpt": "",
            }
            for i in range(int(draw.integers(0, 300)))
        ]
        per_group = int(draw.integers(1, 80))
        path = tmp_path / f"{case}.parquet"
        helpers.write_dropped(path, rows, per_group)
        figures = count_dropped(path)
        counts = Counter(row["reason"] for row in rows)
        assert {reason: amount.number for reason, amount in figures.amounts.items()} == counts
        for reason, amount in figures.amounts.items():
            mine = [row for row in rows if row["reason"] == reason]
            assert amount.bytes == sum(row["num_bytes"] for row in mine)
            chosen = [int(example.value) for example in figures.examples[reason]]
            assert len(set(chosen)) == len(chosen) and chosen == sorted(chosen)
            assert {rows[i]["reason"] for i in chosen} == {reason}
            groups = {int(row["value"]) // per_group for row in mine}
            assert len({i // per_group for i in chosen}) == min(EXAMPLES, len(groups))
            per = Counter(int(row["value"]) // per_group for row in mine)
            assert len(chosen) == min(EXAMPLES, sum(per.values()))
            many += len(groups) > EXAMPLES
    assert many > 20
    assert count_dropped(tmp_path / "missing.parquet") is None


def test_notes_are_counted_over_blocks(tmp_path, monkeypatch, helpers):
    across = 0
    for block_bytes in (300, 1000, 1 << 24):
        monkeypatch.setattr(notes, "_BLOCK_BYTES", block_bytes)
        for case in range(8):
            draw = np.random.default_rng(case)
            rows, matches = [], []
            for i in range(int(draw.integers(0, 40))):
                kinds = draw.choice(["email", "key", "password"], int(draw.integers(0, 5)))
                rows += [
                    helpers.redaction(f"p\n{i}", kind, f"d{draw.integers(3)}") for kind in kinds.tolist()
                ]
                for task in draw.integers(0, 4, int(draw.integers(0, 4))).tolist():
                    name = f"b{task % 2}"
                    matches.append(helpers.match(f"p{i}", name, f"t{task}", ["exact", "n-gram"][i % 2]))
            for name, some in (("redactions", rows), ("contamination", matches)):
                (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in some))
            across += (tmp_path / "redactions").stat().st_size > 2 * block_bytes
            found = notes.count_redactions(tmp_path / "redactions")
            assert set(found) == {row["kind"] for row in rows}
            for kind, one in found.items():
                mine = [row for row in rows if row["kind"] == kind]
                assert one.places == len(mine) and one.documents == len({row["path"] for row in mine})
                assert one.detectors == Counter(row["detector"] for row in mine)
            benchmarks = notes.count_contamination(tmp_path / "contamination")
            assert set(benchmarks) == {row["benchmark"] for row in matches}
            for name, benchmark in benchmarks.items():
                mine = [row for row in matches if row["benchmark"] == name]
                assert benchmark.documents == len({row["path"] for row in mine})
                tasks = {row["task_id"]: set() for row in mine}
                for row in mine:
                    tasks[row["task_id"]].add(row["path"])
                assert {key: task.documents for key, task in benchmark.tasks.items()} == {
                    key: len(paths) for key, paths in tasks.items()
                }
    assert across > 8
    assert notes.count_redactions(tmp_path / "none") is None


@given(st.text(st.characters(exclude_categories=()), max_size=40), st.integers(1, 50))
def test_shown_text_is_harmless(words, most):
    line, block, cell = one_line(words, most), passage(words, most), markdown(words, most)
    assert len(line) <= 1 + most * len("⟨U+E0041⟩")
    for shown in (line, cell):
        assert not set("\n\t\r\x1b\u2028\u2029\x85") & set(shown) and "\u202e" not in shown
    assert not set("\r\x1b\u2028\u2029\u202e\u2066\ufeff") & set(block)
    line.encode()
    assert not set("<>") & set(cell)
    assert "|" not in cell.replace("\\\\", "").replace("\\|", "")


def test_matches_of_two_repositories_are_two_documents(tmp_path, helpers):
    rows = [
        helpers.match("README.md", "b", "b/1", repository=name) for name in ("me/one", "me/two", "me/two")
    ]
    (tmp_path / "audit").mkdir()
    helpers.write_notes(tmp_path, "code", "contamination", [*rows, helpers.match("README.md", "b", "b/1")])
    found = notes.count_contamination(notes.notes_path(tmp_path, "code", "contamination"))["b"]
    names = [one.name for one in found.tasks["b/1"].matches]
    assert found.documents == 3 and names == ["me/one: README.md", "me/two: README.md", "README.md"]
