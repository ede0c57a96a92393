"""Make a set for defect detection out of Python files, in CodeXGLUE's format.

Half of the functions of each part have one fault (`spanmix.evaluate.understanding.faults`), the other half
stand as they were written. A function is there once, so no function is in one part and its faulty copy in
another. Only functions that can have a fault are taken: whether one can must not tell which half it is of.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanmix import seeding
from spanmix.evaluate.understanding.examples import PARTS
from spanmix.evaluate.understanding.faults import with_fault
from spanmix.evaluate.understanding.functions import Function, normal_form
from spanmix.evaluate.understanding.python_files import PythonFiles, distinct_functions
from spanmix.files import write_text

MIN_CHARACTERS = 120
MAX_CHARACTERS = 1_500
_SPARE = 2
"""Some functions are left out; that many times as many are looked at."""


def make_defects(groups: Sequence[PythonFiles], folder: Path, seed: int, most: int) -> dict[str, Any]:
    """Write ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl``.

    A line has CodeXGLUE's ``project``, ``commit_id``, ``target``, ``func`` and ``idx``, and also ``path``,
    ``line``, ``fault`` (its kind, or null) and ``fault_line``.

    Args:
        groups: the Python files.
        folder: is there.
        seed: decides which functions get which fault.
        most: examples of a part at most; 0 for all.

    Returns:
        What was made: examples of each part, and faults of each kind.
    """
    functions = distinct_functions(groups, MIN_CHARACTERS, MAX_CHARACTERS, _SPARE * most)
    written = {form for part in PARTS for form in (function.form for function in functions[part])}
    made: dict[str, Any] = {"functions": {}, "faults": {}}
    number = 0
    for part in PARTS:
        rows = _balanced([_row(function, seed, written) for function in functions[part]], most)
        for row in rows:
            row["idx"] = number
            number += 1
        write_text(folder / f"{part}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
        made["functions"][part] = len(rows)
        made["faults"][part] = dict(sorted(Counter(row["fault"] for row in rows if row["target"]).items()))
    return made


def _row(function: Function, seed: int, written: set[str]) -> dict[str, Any] | None:
    faulty = with_fault(function, seed)
    # What somebody wrote elsewhere may well be right.
    if faulty is None or normal_form(faulty.text) in written:
        return None
    target = seeding.draw_one(seed, "has fault", 0, 0, function.key, 1)[0] >> 63
    return {
        "project": "",
        "commit_id": "",
        "target": target,
        "func": faulty.text if target else function.text,
        "path": function.path,
        "line": function.line,
        "fault": faulty.kind if target else None,
        "fault_line": faulty.line if target else None,
    }


def _balanced(rows: Sequence[dict[str, Any] | None], most: int) -> list[dict[str, Any]]:
    """Return as many rows of one label as of the other, in the order they had."""
    made = [row for row in rows if row is not None]
    counts = Counter(row["target"] for row in made)
    each = min(counts[0], counts[1])
    left = dict.fromkeys((0, 1), min(each, most // 2) if most else each)
    kept = []
    for row in made:
        if left[row["target"]]:
            left[row["target"]] -= 1
            kept.append(row)
    return kept
