"""Law 9: no document or user text ever yields a control id; PAD, <|endoftext|> and <eom> are three ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.text.tokenizer import Tokenizer

TOKENIZER = Tokenizer.train(["def f(x):\n    return x <mask_1> <|endoftext|>\n" * 20], 512, 20)
CONTROLS = [TOKENIZER.decode([i]) for i in range(TOKENIZER.vocab_size) if TOKENIZER.is_control[i]]

parts = st.one_of(
    st.sampled_from(CONTROLS), st.text(max_size=4), st.sampled_from([" ", "  ", "\t\t", "\n", "<", ">"])
)


def test_controls_are_distinct_and_many():
    control = TOKENIZER.control
    assert len({control.pad, control.eot, control.eom}) == 3
    assert len(CONTROLS) == len(set(CONTROLS)) > 24


@given(st.lists(parts, min_size=1, max_size=20).map("".join))
def test_no_text_yields_a_control_id(text):
    ids = TOKENIZER.encode(text)
    assert not TOKENIZER.is_control[ids].any()
    assert TOKENIZER.decode(ids) == text


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_string_is_plain_text(control):
    for text in (control, control * 3, f"x{control}y", f"  {control}\t\t"):
        ids = TOKENIZER.encode(text)
        assert not TOKENIZER.is_control[ids].any()
        assert TOKENIZER.decode_bytes(ids) == text.encode()


def test_no_prepared_document_holds_a_control_id(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for i, control in enumerate(CONTROLS):
        (folder / f"{i:03}.py").write_text(f"# {control} {i}\n{control}{control}\n")
    sources = (SourceFilesConfig("code", (str(folder),)),)
    prepare(CorpusConfig("", sources, held_out_share=0.2), TokenizerConfig(512, 20), tmp_path / "out")
    corpus = Corpus.open(tmp_path / "out")
    seen = 0
    for source in (corpus.train["code"], corpus.held_out["code"]):
        for i in range(len(source)):
            assert not corpus.tokenizer.is_control[source.tokens(i)].any()
            seen += any(control in source.text(i) for control in CONTROLS)
    assert seen == len(CONTROLS)
