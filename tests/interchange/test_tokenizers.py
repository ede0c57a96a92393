"""Each tokenizer of the CodeGen family gives the publisher's ids, and no text yields a control id."""

import hashlib
import inspect
import json
from functools import cache
from pathlib import Path

import pytest
import tiktoken
import tiktoken_ext.openai_public
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import data_gym_to_mergeable_bpe_ranks

from spanmix.errors import SpanmixError
from spanmix.interchange import tokenizers as family
from spanmix.interchange.tokenizers import codegen1_tokenizer, codegen2_tokenizer, codegen25_tokenizer
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import BLANK_RUNS

MERGES_FILE = Path(family.__file__).parent / "gpt2" / "vocab.bpe"
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "codegen2_tokens.json").read_text("utf-8"))
PATTERN = tiktoken_ext.openai_public.r50k_pat_str
FAMILY = ("codegen2", "codegen25", "multi", "nl")
ODD_BLANKS = "\r\n\x0b\x0c\x1c\x1f\x85\xa0\u2003\u2028\u3000"
pieces = st.one_of(
    st.text(max_size=10),
    st.integers(1, 80).map(lambda n: " " * n),
    st.integers(1, 30).map(lambda n: "\t" * n),
    st.text(alphabet=" \t\n" + ODD_BLANKS, max_size=12),
    st.sampled_from(["\n", "\r\n", " ", "\t", "return", "def f(x):", "'s", "  x", "1234", "_", "naïve", "☃"]),
)
texts = st.lists(pieces, max_size=14).map("".join)
strings = st.one_of(
    st.sampled_from(
        ["<|endoftext|>", "<sep>", "<eom>", "<dummy_0>", "<fim_pad>", "<reponame>", "<", "mask_1>"]
    ),
    st.integers(0, 900).map(lambda n: f"<mask_{n}>"),
)
texts_with_controls = st.lists(st.one_of(pieces, strings), max_size=14).map("".join)


@cache
def built(name: str) -> Tokenizer:
    if name in ("multi", "nl"):
        return codegen1_tokenizer(name)
    return codegen2_tokenizer() if name == "codegen2" else codegen25_tokenizer()


def gpt2_parts() -> tuple[dict[str, int], list[str]]:
    """GPT-2's vocabulary as ``encoder.json`` holds it, and its merges: with transformers' own alphabet."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    merges = MERGES_FILE.read_text("utf-8").splitlines()[1:]
    entries = [*bytes_to_unicode().values(), *(pair.replace(" ", "") for pair in merges), "<|endoftext|>"]
    return {text: i for i, text in enumerate(entries)}, merges


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """GPT-2's ranks, which tiktoken makes of the two files and compares with each other."""
    encoder = tmp_path_factory.mktemp("gpt2") / "encoder.json"
    encoder.write_text(json.dumps(gpt2_parts()[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", "")
        return data_gym_to_mergeable_bpe_ranks(str(MERGES_FILE), str(encoder))


@pytest.fixture(scope="module")
def tiktoken_nl(ranks):
    return tiktoken.Encoding(
        "nl", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256}
    )


@pytest.fixture(scope="module")
def tiktoken_25(ranks):
    """CodeGen2.5's encoding as its publisher builds it: runs are ranks, all behind them is special."""
    starcoder = ["<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>"]
    starcoder += ["<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>"]
    starcoder += ["<jupyter_code>", "<jupyter_output>", "<empty_output>"]
    starcoder += ["<commit_before>", "<commit_msg>", "<commit_after>", "<reponame>"]
    runs = [b" " * n for n in range(31, 1, -1)] + [b"\t" * n for n in range(9, 1, -1)]
    special = [*starcoder, *(f"<dummy_{i}>" for i in range(4)), "<sep>", "<eom>"]
    special += [f"<mask_{n}>" for n in range(881, 0, -1)]
    return tiktoken.Encoding(
        "codegen25",
        pat_str=PATTERN,
        mergeable_ranks=ranks | {run: 50257 + i for i, run in enumerate(runs)},
        special_tokens={"<|endoftext|>": 50256} | {text: 50295 + i for i, text in enumerate(special)},
        explicit_n_vocab=51200,
    )


@pytest.fixture(scope="module")
def codegen2_of_transformers():
    """CodeGen2's tokenizer, put together by transformers alone."""
    from transformers import AddedToken, CodeGenTokenizer

    vocab, merges = gpt2_parts()
    theirs = CodeGenTokenizer(vocab=vocab, merges=[tuple(pair.split(" ")) for pair in merges])
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    controls = [f"<dummy_{i}>" for i in range(4)] + ["<sep>", "<eom>"]
    controls += [f"<mask_{n}>" for n in range(899, 0, -1)]
    theirs.add_tokens([AddedToken(run, normalized=True) for run in runs])
    theirs.add_tokens([AddedToken(text, special=True) for text in controls])
    assert len(theirs) == 51200
    return theirs


def test_gpt2_is_what_openai_published():
    source = inspect.getsource(tiktoken_ext.openai_public.gpt2)
    vocab = gpt2_parts()[0]
    assert len(vocab) == 50257
    assert hashlib.sha256(MERGES_FILE.read_bytes()).hexdigest() in source
    assert hashlib.sha256(json.dumps(vocab).encode()).hexdigest() in source


def test_a_damaged_list_of_merges_is_noticed(tmp_path, monkeypatch):
    damaged = tmp_path / "vocab.bpe"
    damaged.write_bytes(MERGES_FILE.read_bytes()[:-1])
    monkeypatch.setattr(family, "_GPT2_MERGES", damaged)
    with pytest.raises(SpanmixError, match=r"vocab\.bpe is not GPT-2's list of merges"):
        codegen2_tokenizer()


def test_layouts():
    for name in FAMILY:
        tokenizer = built(name)
        control = tokenizer.control
        assert tokenizer.vocab_size == 51200 and control.eot == 50256 and control.masks[0] == 51199, name
        assert list(control.masks) == [51200 - n for n in range(1, tokenizer.num_sentinels + 1)]
        for i, run in enumerate(BLANK_RUNS):
            assert name == "nl" or tokenizer.token_bytes[50257 + i] == run.encode()
    for name in ("codegen2", "multi", "nl"):
        control = built(name).control
        assert (control.pad, control.sep, control.eom, len(control.masks)) == (50295, 50299, 50300, 899)
    control = built("codegen25").control
    assert (control.pad, control.sep, control.eom, len(control.masks)) == (50298, 50317, 50318, 881)
    assert built("codegen25").special_ids["<reponame>"] == 50312


def test_what_is_suppressed():
    assert built("codegen2").suppressed_ids == frozenset(range(50295, 50299))
    assert built("codegen25").suppressed_ids == frozenset({50298, *range(50313, 50317)})
    assert built("multi").suppressed_ids == frozenset(range(50295, 51200))
    assert built("nl").suppressed_ids == frozenset(range(50257, 51200))
    assert built("multi").fingerprint == built("codegen2").fingerprint != built("nl").fingerprint


@pytest.mark.parametrize("name", FAMILY)
@given(text=texts_with_controls)
def test_no_text_yields_a_control_id(name, text):
    tokenizer = built(name)
    ids = tokenizer.encode(text)
    assert not tokenizer.is_control[ids].any()
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("name", FAMILY)
def test_each_control_string_is_plain_text(name):
    tokenizer = built(name)
    for text in tokenizer.special_ids:
        ids = tokenizer.encode(f"  {text}{text}\t\tx{text}")
        assert not tokenizer.is_control[ids].any()


def test_codegen2_gives_the_published_ids(tmp_path):
    assert len(GOLDEN["plain"]) > 150
    for text, ids in GOLDEN["plain"]:
        assert built("codegen2").encode(text) == built("multi").encode(text) == ids, text
    built("codegen2").save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text, ids in GOLDEN["with_controls"]:
        assert theirs.encode(text).ids == ids, text
    vocabulary = sorted(theirs.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    assert hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest() == GOLDEN["vocabulary_sha256"]


@given(text=texts_with_controls)
def test_codegen2_equals_transformers_construction(codegen2_of_transformers, text):
    theirs = codegen2_of_transformers.encode(text, split_special_tokens=True)
    assert built("codegen2").encode(text) == theirs


@given(text=texts_with_controls)
def test_codegen1_nl_equals_tiktoken(tiktoken_nl, text):
    assert built("nl").encode(text) == tiktoken_nl.encode_ordinary(text)


@given(text=texts_with_controls)
def test_codegen25_equals_tiktoken(tiktoken_25, text):
    assert built("codegen25").encode(text) == tiktoken_25.encode_ordinary(text)


def test_codegen25_equals_tiktoken_on_runs_of_every_length(tiktoken_25):
    seen = 0
    for blank in " \t":
        for length in range(1, 130):
            for text in (
                blank * length,
                blank * length + "x",
                "x" + blank * length + "\n",
                "\n" + blank * length,
            ):
                seen += len(built("codegen25").encode(text)) < len(text)
                assert built("codegen25").encode(text) == tiktoken_25.encode_ordinary(text)
    assert seen > 900
    source = Path(inspect.__file__).read_text("utf-8")
    assert built("codegen25").encode(source) == tiktoken_25.encode_ordinary(source)


def test_codegen25_gives_the_publishers_vectors(tmp_path):
    built("codegen25").save(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    plain = "int add(int a, int b) { return a + b; }\nπ"
    ids = [600, 751, 7, 600, 257, 11, 493, 275, 8, 1391, 1441, 257, 1343, 275, 26, 1782, 198, 46582]
    assert built("codegen25").encode(plain) == theirs.encode(plain).ids == ids
    for text, ids in {
        "<fim_prefix>abc<fim_suffix>xyz<fim_middle>": [50295, 39305, 50297, 5431, 89, 50296],
        "prefix<mask_1>suffix<|endoftext|><sep><mask_1>": [40290, 51199, 37333, 844, 50256, 50317, 51199],
    }.items():
        assert theirs.encode(text).ids == ids


def test_the_two_families_differ_at_a_blank_in_front_of_a_word():
    assert built("codegen2").encode("    return") == [50284, 7783]
    assert built("codegen25").encode("    return") == [50285, 1441]
