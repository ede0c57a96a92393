"""Prompts in other models' forms become the tokens of ``suffix``, and nothing else does."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.serve.dialects import DIALECTS, dialect_of

PREFIX, SUFFIX = "def f(x):\n    y = ", "\n    return y\n"
WRITTEN = {
    "starcoder": f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>",
    "santacoder": f"<fim-prefix>{PREFIX}<fim-suffix>{SUFFIX}<fim-middle>",
    "qwen": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
    "codellama": f"<PRE> {PREFIX} <SUF>{SUFFIX} <MID>",
    "deepseek": f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
    "codestral": f"[SUFFIX]{SUFFIX}[PREFIX]{PREFIX}",
    "glm": f"<|code_prefix|>{PREFIX}<|code_suffix|>{SUFFIX}<|code_middle|>",
    "codegen2": f"{PREFIX}<mask_1>{SUFFIX}<|endoftext|><sep><mask_1>",
}


def test_every_dialect_is_written_here():
    assert set(WRITTEN) == {dialect.name for dialect in DIALECTS}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_prompt_of_another_model_gives_the_answer_of_suffix(http, name):
    asked = {"max_tokens": 16, "temperature": 0}
    expected = http.post("/v1/completions", json=asked | {"prompt": PREFIX, "suffix": SUFFIX}).json()
    found = http.post("/v1/completions", json=asked | {"prompt": WRITTEN[name]})
    assert found.headers["x-fim-dialect"] == name
    assert found.json()["choices"] == expected["choices"] and found.json()["usage"] == expected["usage"]


def test_other_files_in_front_of_the_first_sentinel_are_kept_as_text():
    prompt = f"<|repo_name|>mine\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b.py\n{WRITTEN['qwen']}"
    dialect, parts = dialect_of(prompt)
    assert (dialect.name, parts) == ("qwen", (f"# mine\n# a.py\nx = 1\n# b.py\n{PREFIX}", SUFFIX))


def test_only_what_is_written_exactly_so_is_taken_apart():
    marks = sorted(
        {mark for dialect in DIALECTS for mark in (dialect.prefix, dialect.suffix, dialect.middle) if mark}
    )
    met = Counter()

    @given(st.lists(st.one_of(st.sampled_from(marks), st.text(alphabet="ab\n", max_size=3)), max_size=7))
    def check(pieces):
        prompt = "".join(pieces)
        found = dialect_of(prompt)
        met["taken apart" if found else "left"] += 1
        if found is None:
            return
        dialect, (prefix, suffix) = found
        for mark in filter(None, (dialect.prefix, dialect.suffix, dialect.middle)):
            assert mark not in suffix and (mark not in prefix or dialect.prefix == "")
        order = (suffix, prefix) if dialect.suffix_first else (prefix, suffix)
        marks_in_order = (
            (dialect.suffix, dialect.prefix) if dialect.suffix_first else (dialect.prefix, dialect.suffix)
        )
        written = "".join(mark + part for mark, part in zip(marks_in_order, order, strict=True))
        if prompt.startswith(marks_in_order[0]):
            assert prompt == written + dialect.middle

    for prompt in WRITTEN.values():
        assert dialect_of(prompt) is not None
        assert dialect_of(prompt + prompt) is None
    check()
    assert met["left"] >= 50, met


@pytest.mark.parametrize(
    "text", ["use <fim_prefix> here", f"{WRITTEN['qwen']}x", "a<mask_1>b", "[PREFIX]a[SUFFIX]b"]
)
def test_a_file_that_talks_of_sentinels_is_a_text(http, tokenizer, text):
    found = http.post("/v1/completions", json={"prompt": text, "max_tokens": 1})
    assert "x-fim-dialect" not in found.headers
    assert found.json()["usage"]["prompt_tokens"] == 1 + len(tokenizer.encode(text))
