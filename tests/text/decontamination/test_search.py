"""A text matches if and only if a slow search, which shares no code, finds the problem in it."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.decontamination import table as table_module
from spanmix.text.decontamination.search import find_problems
from spanmix.text.decontamination.table import ProblemTable

ANY = ("benchmarks are given",)
CONFIG = DecontaminationConfig(ANY, ngram_words=7, min_share=0.4, min_exact_words=5)
NAMES = ["total", "index", "value", "queue", "limit", "parse", "merge", "token", "x", "two", "été"]
MARKS = ["+", "-", "(", ")", "[", "]", ":", ".", ",", "=", "", "", ""]


def made_code(rng, num_words, names=NAMES):
    return " ".join(rng.choice(names) + rng.choice(MARKS) for _ in range(num_words))


def made_problems(rng, make_problem):
    """Few words, so that passages, windows and their neighbors are often alike."""
    shared = made_code(rng, 9)
    problems = []
    for number in range(5):
        texts = {
            "description": made_code(rng, rng.randint(3, 16)),
            "solution": made_code(rng, rng.randint(3, 20)),
        }
        if number < rng.choice([2, 4]):
            texts["test"] = shared + " " + made_code(rng, rng.choice([0, 0, 6]))
        problems.append(make_problem(f"task {number}", **texts))
    return problems


def another_spacing(rng, text):
    blanks = [" ", "  ", "\n", "\n\t", "\\n  ", "\r\n"]
    text = "".join(rng.choice(blanks) if c == " " else c for c in text)
    return rng.choice([str, str.upper, str.title])(text).replace("\\N", "\\n")


def made_text(rng, problems):
    """Noise around pieces of passages: whole, cut short, or with one mark or word changed."""
    pieces = []
    for _ in range(rng.randint(1, 4)):
        pieces.append(made_code(rng, rng.randint(0, 8)))
        words = rng.choice(rng.choice(problems).parts).text.split()
        change = rng.choice(["whole", "whole", "front", "back", "mark", "word"])
        if change == "front":
            words = words[: rng.randint(0, len(words))]
        elif change == "back":
            words = words[rng.randint(0, len(words)) :]
        elif change == "mark":
            words[rng.randrange(len(words))] += "*"
        elif change == "word":
            words[rng.randrange(len(words))] = "other"
        pieces.append(another_spacing(rng, " ".join(words)))
    return " ".join(pieces)


def found_by(text, problems, config):
    table = ProblemTable(problems, config)
    return {(m.program.task_id, m.method): m.share for m in find_problems(text, table, config)}


@pytest.mark.parametrize("methods", [("exact",), ("n-gram",), ("exact", "n-gram")])
def test_a_text_matches_if_and_only_if_the_slow_search_finds_it(methods, make_problem, slow_search):
    config = DecontaminationConfig(ANY, methods=methods, ngram_words=7, min_share=0.4, min_exact_words=5)
    met = Counter()

    @given(st.integers(0, 2**32))
    def check(seed):
        rng = random.Random(seed)
        problems = made_problems(rng, make_problem)
        text = made_text(rng, problems)
        expected = slow_search(text, problems, config)
        assert found_by(text, problems, config) == pytest.approx(expected)
        met["found"] += bool(expected)
        met["none"] += not expected
        met["partly"] += any(share < 1 for share in expected.values())
        met["one method alone"] += len({task for task, _ in expected}) < len(problems)

    check()
    assert met["found"] >= 40 and met["none"] >= 10
    assert met["partly"] >= 10 or methods == ("exact",)


def test_the_slow_search_agrees_on_real_problems(human_eval, slow_search):
    config = DecontaminationConfig(ANY)
    short = [p for p in human_eval if all(len(part.text.split()) < 120 for part in p.parts)]
    rng = random.Random(8)
    texts = [
        "\n".join(part.text for part in rng.sample(problem.parts, 2)) for problem in rng.sample(short, 6)
    ]
    table = ProblemTable(short, config)
    matched = 0
    for text in texts:
        expected = slow_search(text, short, config)
        found = {(m.program.task_id, m.method): m.share for m in find_problems(text, table, config)}
        assert found == pytest.approx(expected)
        matched += bool(found)
    assert len(short) > 100 and matched == 6


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_whitespace_and_case_make_no_difference(human_eval_table, seed):
    rng = random.Random(seed)
    text = "\n".join(part.text for part in rng.choice(human_eval_table.problems).parts)
    changed = "".join(
        rng.choice([" ", "\n", "\t", "  ", "\r\n"]) if c.isspace() else c for c in text
    ).swapcase()
    keys = [
        {
            (m.program.task_id, m.method, m.kind, m.share)
            for m in find_problems(some, human_eval_table.table, CONFIG)
        }
        for some in (text, changed)
    ]
    assert keys[0] == keys[1] != set()


@pytest.fixture(scope="module")
def human_eval_table(human_eval):
    class Both:
        problems = human_eval
        table = ProblemTable(human_eval, DecontaminationConfig(ANY))

    return Both


def test_the_order_of_the_problems_makes_no_difference(make_problem):
    met = 0
    for seed in range(60):
        rng = random.Random(seed)
        problems = made_problems(rng, make_problem)
        text = made_text(rng, problems)
        expected = found_by(text, problems, CONFIG)
        for _ in range(3):
            rng.shuffle(problems)
            assert found_by(text, problems, CONFIG) == expected
        met += len(expected) > 1
    assert met >= 20


def test_hashes_that_are_all_alike_change_nothing(make_problem, monkeypatch):
    """Every window of every text is then looked at, and told apart by its words."""
    rng = random.Random(3)
    problems = made_problems(rng, make_problem)
    texts = [made_text(rng, problems) for _ in range(40)]
    expected = [found_by(text, problems, CONFIG) for text in texts]
    monkeypatch.setattr(
        table_module, "window_hashes", lambda hashes, n: np.zeros(max(0, len(hashes) - n + 1), np.uint64)
    )
    assert [found_by(text, problems, CONFIG) for text in texts] == expected
    assert sum(map(bool, expected)) >= 20


def test_a_match_says_where_it_is(make_problem):
    solution = "for index in queue:\n    total += parse(value)\n    merge(limit, token)"
    table = ProblemTable([make_problem("t", solution=solution)], CONFIG)
    text = (
        "# nothing\n\nif X:\n" + "\n".join("\t" + line for line in solution.upper().split("\n")) + "\nend\n"
    )
    exact, ngram = find_problems(text, table, CONFIG)
    assert (exact.method, exact.line, exact.share) == ("exact", 4, 1.0)
    assert exact.matched == text[text.index("FOR") : text.index("TOKEN") + len("TOKEN")]
    assert (ngram.method, ngram.line, ngram.kind) == ("n-gram", 4, "solution")


def test_what_matched_is_cut_at_200_characters(make_problem):
    words = [f"word{n}" for n in range(100)]
    table = ProblemTable([make_problem("t", description=" ".join(words))], CONFIG)
    for text in ("\n".join(words), "é\n" + "\n".join(words)):
        match = find_problems(text, table, CONFIG)[0]
        assert len(match.matched) == 200 and match.matched.startswith("word0\nword1\n")
        assert match.line == text.count("\n", 0, text.index("word0")) + 1


def test_a_long_text_is_found_by_one_of_its_pages(make_problem):
    rng = random.Random(5)
    book = [f"word{rng.randrange(10**6)}" for _ in range(5000)]
    table = ProblemTable([make_problem("book", text=" ".join(book))], DecontaminationConfig(ANY))
    config = DecontaminationConfig(ANY)
    assert find_problems(" ".join(book[1000:1300]), table, config)
    assert not find_problems(" ".join(book[1000:1012]), table, config)


def test_what_several_programs_share_is_no_evidence(make_problem):
    form = "check that every answer of the candidate equals what is expected here"
    three = [make_problem(f"t{n}", test=form, description=f"problem number {n}") for n in range(3)]
    table = ProblemTable(three, CONFIG)
    assert len(table.programs) == 3 and find_problems(form, table, CONFIG) == []
    assert len(find_problems(form, ProblemTable(three[:2], CONFIG), CONFIG)) == 4
    # Each benchmark by itself: two that hold the same problem once each do not hide it from one another.
    others = [make_problem("t", benchmark=f"made {n}", test=form) for n in range(3)]
    assert len(find_problems(form, ProblemTable(others, CONFIG), CONFIG)) == 6


def test_problems_of_many_languages_in_one_file_do_not_hide_one_another(make_problem):
    rng = random.Random(4)
    asked = [" ".join(f"word{rng.randrange(10**6)}" for _ in range(20)) for _ in range(120)]
    problems = [
        make_problem(f"{number} in {language}", description=text, test=f"{language} {text}")
        for number, text in enumerate(asked)
        for language in ("go", "lua", "rust", "perl")
    ]
    matches = find_problems(asked[7], ProblemTable(problems, CONFIG), CONFIG)
    found = {match.program.task_id for match in matches if match.method == "exact"}
    assert found == {f"7 in {language}" for language in ("go", "lua", "rust", "perl")}


def test_a_share_is_a_match_from_the_least_one_on(make_problem):
    words = [f"word{n}_{'abcdefghij'[n % 10]}" for n in range(20)]
    table = ProblemTable([make_problem("t", description=" ".join(words))], CONFIG)
    assert find_problems(" ".join(words[:7]), table, CONFIG) == []
    (match,) = find_problems(" ".join(words[:8]), table, CONFIG)
    assert match.share == CONFIG.min_share == 0.4


def test_counting_and_short_solutions_are_no_evidence(make_problem):
    texts = {
        "solution": "while b:\n    a, b = b, a % b\nreturn a",
        "test": "[" + ", ".join(map(str, range(60))) + "]",
        "description": "zero one two three four five six seven eight nine ten " * 2,
    }
    table = ProblemTable([make_problem("t", solution=texts["solution"])], DecontaminationConfig(ANY))
    assert find_problems(texts["solution"], table, DecontaminationConfig(ANY)) == []
    table = ProblemTable([make_problem("t", **texts)], DecontaminationConfig(ANY, methods=("n-gram",)))
    assert find_problems("\n".join(texts.values()), table, DecontaminationConfig(ANY)) == []


def test_an_empty_table_and_an_empty_text_match_nothing(make_problem):
    table = ProblemTable([make_problem("t", solution="x")], CONFIG)
    assert find_problems("x", table, CONFIG) == [] == find_problems("", table, CONFIG)
