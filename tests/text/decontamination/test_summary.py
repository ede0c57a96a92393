"""The summary counts programs and documents, whatever the order of the rows."""

import random

from spanmix.text.decontamination.summary import MatchCounts, summarize, summary_table
from spanmix.text.decontamination.table import Program

PROGRAMS = [Program("b", "b/1", 3), Program("b", "b/2", 1), Program("a|x", "a/1", 1)]


def row(task_id, path, method, source="code"):
    return {"benchmark": task_id[0], "task_id": task_id, "path": path, "method": method, "source": source}


ROWS = [
    row("b/1", "one.py", "exact"), row("b/1", "one.py", "n-gram"), row("b/2", "one.py", "n-gram"),
    row("b/1", "two.py", "n-gram"), row("b/1", "two.py", "n-gram", source="web"),
]  # fmt: skip


def test_programs_and_documents_are_counted_once():
    first, second = summarize(ROWS, PROGRAMS)
    assert (first.benchmark, first.num_problems, first.num_programs) == ("b", 4, 2)
    assert first.matched == MatchCounts(programs=2, documents=3)
    assert first.by_method == {"exact": MatchCounts(1, 1), "n-gram": MatchCounts(2, 3)}
    assert second.matched == MatchCounts(0, 0) and second.num_problems == 1


def test_the_order_of_rows_makes_no_difference():
    for seed in range(20):
        rows = random.Random(seed).sample(ROWS, len(ROWS))
        assert summarize(rows, PROGRAMS) == summarize(ROWS, PROGRAMS)


def test_the_table_has_a_line_for_each_benchmark():
    lines = summary_table(summarize(ROWS, PROGRAMS)).split("\n")
    assert lines[2:] == [
        "| b | 4 | 2 | 2 | 3 | 1 in 1 | 2 in 3 |",
        "| a\\|x | 1 | 1 | 0 | 0 | 0 in 0 | 0 in 0 |",
        "",
    ]
