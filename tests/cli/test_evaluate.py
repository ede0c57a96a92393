"""`evaluate` leaves out what a source does not have, and says so."""

import json

import pytest

from spanmix.cli import main


@pytest.fixture(scope="module")
def short_files(tmp_path_factory):
    """A corpus of files of three lines, which have no several lines to fill in, and a model of it."""
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.model.architecture import preset
    from spanmix.model.decoder import Decoder
    from spanmix.model.folder import save_model_folder
    from spanmix.text.corpus import Corpus
    from spanmix.text.pipeline import prepare

    folder = tmp_path_factory.mktemp("short")
    (folder / "code").mkdir()
    for n in range(12):
        (folder / "code" / f"{n}.py").write_text(f"first = {n}\nsecond = {n * 7}\nthird = {n}\n")
    source = SourceFilesConfig("code", (str(folder / "code"),))
    config = CorpusConfig("", (source,), held_out_share=0.4)
    prepare(config, TokenizerConfig(vocab_size=448, num_sentinels=9), folder / "corpus")
    tokenizer = Corpus.open(folder / "corpus").tokenizer
    decoder = Decoder(preset("demo", tokenizer.vocab_size, 128), seed=0)
    save_model_folder(folder / "model", decoder, tokenizer, {})
    return folder


def test_a_kind_without_spans_is_left_out_with_a_word(short_files, capsys):
    arguments = [
        "evaluate",
        str(short_files / "model"),
        "--corpus",
        str(short_files / "corpus"),
        "--spans",
        "2",
    ]
    assert main([*arguments, "--tasks", "infill", "--json"]) == 0
    printed = capsys.readouterr()
    kinds = [figures["kind"] for figures in json.loads(printed.out)["infill"]]
    assert kinds == ["single_line", "in_word"]
    assert "left out: source 'code' has no multi_line span" in printed.err
    assert main([*arguments, "--tasks", "infill", "--kinds", "multi_line"]) == 2
    assert "no multi_line span" in capsys.readouterr().err
