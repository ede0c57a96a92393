"""Make a set for clone detection out of Python files, in CodeXGLUE's format.

Of each function there is a copy that does the same: other names, and another order
of independent statements and of the sides of comparisons
(`spanmix.evaluate.understanding.rewriting`). A function stands with its own copy once, label 1, and once with
the copy of another function that is nearly as long, label 0. So each text is in as many pairs of one label as
of the other, and neither text alone tells the label. Comments and docstrings, which a copy would share, are
taken out of both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanmix.evaluate.understanding.examples import PARTS
from spanmix.evaluate.understanding.functions import Function, without_remarks
from spanmix.evaluate.understanding.python_files import PythonFiles, distinct_functions
from spanmix.evaluate.understanding.rewriting import Rewritten, rewritten
from spanmix.files import write_text

MIN_CHARACTERS = 120
MAX_CHARACTERS = 800
NEIGHBORS = 16
"""Functions of like length among which a partner is looked for, in the same file if there is one."""

_SPARE = 2


def make_clones(groups: Sequence[PythonFiles], folder: Path, seed: int, most: int) -> dict[str, Any]:
    """Write ``data.jsonl``, and ``train.txt``, ``valid.txt`` and ``test.txt``.

    A line of ``data.jsonl`` has CodeXGLUE's ``func`` and ``idx``, and ``path``, ``line`` and ``copy``.

    Args:
        groups: the Python files.
        folder: is there.
        seed: decides names and orders.
        most: pairs of a part at most; 0 for all.

    Returns:
        What was made: pairs of each part, and how many of the copies are in another order.
    """
    functions = distinct_functions(groups, MIN_CHARACTERS, MAX_CHARACTERS, _SPARE * most // 2)
    rows: list[dict[str, Any]] = []
    made: dict[str, Any] = {"pairs": {}, "copies": 0, "copies_reordered": 0}
    for part in PARTS:
        copies = [(function, rewritten(function, seed)) for function in functions[part]]
        pairs = _neighbors([(one, copy) for one, copy in copies if copy is not None], most // 2)
        lines = []
        for n, (_, _, other) in enumerate(pairs):
            first = len(rows) + n
            lines += [
                f"{first}\t{first + len(pairs)}\t1\n",
                f"{first}\t{len(rows) + len(pairs) + other}\t0\n",
            ]
        originals = [_row(function, without_remarks(function.text), False) for function, _, _ in pairs]
        rows += originals + [_row(function, copy.text, True) for function, copy, _ in pairs]
        write_text(folder / f"{part}.txt", "".join(lines))
        made["pairs"][part] = len(lines)
        made["copies"] += len(pairs)
        made["copies_reordered"] += sum(copy.num_moved + copy.num_mirrored > 0 for _, copy, _ in pairs)
    numbered = (json.dumps({"idx": str(n), **row}) for n, row in enumerate(rows))
    write_text(folder / "data.jsonl", "".join(f"{line}\n" for line in numbered))
    return made


def _neighbors(copies: list[tuple[Function, Rewritten]], most: int) -> list[tuple[Function, Rewritten, int]]:
    """Give each function the number of another one, so that each number is given once.

    Functions are put in order of their length and taken in blocks; within a block those of one file are
    neighbors, and each gets the next one's.
    """
    copies = copies[:most] if most else copies
    ordered = sorted(copies, key=lambda pair: (len(pair[1].text), pair[0].key))
    starts = list(range(0, len(ordered), NEIGHBORS)) or [0]
    if len(starts) > 1 and len(ordered) - starts[-1] < NEIGHBORS // 2:
        starts.pop()
    blocks = [ordered[start:stop] for start, stop in zip(starts, [*starts[1:], len(ordered)], strict=True)]
    found: list[tuple[Function, Rewritten, int]] = []
    for block in blocks:
        block.sort(key=lambda pair: (pair[0].path, pair[0].key))
        first = len(found)
        if len(block) > 1:
            found += [(*pair, first + (n + 1) % len(block)) for n, pair in enumerate(block)]
    return found


def _row(function: Function, text: str, is_copy: bool) -> dict[str, Any]:
    return {"func": text, "path": function.path, "line": function.line, "copy": is_copy}
