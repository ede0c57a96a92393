"""Problems, samples and a tokenizer for programs."""

import pytest

from spanmix.evaluate.code.problem import CallCheck, CodeProblem
from spanmix.evaluate.code.samples import Sample

TEXTS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]


@pytest.fixture(scope="session")
def trained():
    """A tokenizer whose texts are not one token a byte."""
    from spanmix.text.tokenizer import Tokenizer

    return Tokenizer.train(TEXTS, vocab_size=384, num_sentinels=9)


@pytest.fixture
def make_problem():
    def make(task_id, suffix=None, prompt="def add(a, b):\n", canonical="    return a + b\n", **more):
        check = CallCheck(
            prompt + canonical, "def check(candidate):\n    assert candidate(1, 2) == 3\n", "add"
        )
        return CodeProblem(task_id, prompt, suffix, canonical, more.pop("check", check), **more)

    return make


@pytest.fixture
def make_sample():
    def make(task_id="T/0", sample=0, completion="    return 1\n", **more):
        fields = {"raw": completion + "# more", "finish_reason": "stop", "truncation": "codegen"}
        fields |= {"temperature": 0.2, "top_p": 0.95, "max_tokens": 64, "seed": 7, "prompt_tokens": 9}
        return Sample(task_id, completion, sample=sample, **fields | more)

    return make
