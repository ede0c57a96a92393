"""`evaluate --tasks memorization`: what it needs, what it prints, and that it says the same each time."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.evaluate import memorization_watch
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.loop_hooks import prepare_hooks
from spanmix.evaluate.memorization_watch import MemorizationWatch
from spanmix.evaluate_config import EvaluateConfig
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import save_model_folder
from spanmix.text.corpus import Corpus
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.train.machine import resolve

SHORT = ["--prompts", "4", "--prompt-tokens", "20", "--completion-tokens", "24", "--min-match-tokens", "16"]


@pytest.fixture(scope="module")
def places(corpus_folder, tmp_path_factory):
    """A corpus with an index, one without, and a model of both."""
    folder = tmp_path_factory.mktemp("memory")
    bare, traced = (shutil.copytree(corpus_folder, folder / name) for name in ("bare", "traced"))
    build_index(traced)
    tokenizer = Corpus.open(bare).tokenizer
    save_model_folder(folder / "model", Decoder(preset("demo", tokenizer.vocab_size, 128)), tokenizer, {})
    return folder


def evaluate(places, *arguments, corpus="traced"):
    return main(["evaluate", str(places / "model"), "--corpus", str(places / corpus), *map(str, arguments)])


def test_both_sides_of_each_source_are_measured_the_same_each_time(places, capsys, tmp_path):
    out, page = tmp_path / "results.json", tmp_path / "report.html"
    asked = ["--tasks", "memorization", *SHORT]
    assert evaluate(places, *asked, "--out", out, "--report", page) == 0
    printed = capsys.readouterr()
    assert "memorization of code, held out: 3 of 3" in printed.err
    found = json.loads(out.read_text())["memorization"]
    sides = [(one["source"], one["side"]) for one in found]
    assert sides == [(name, side) for name in ("code", "prose") for side in ("train", "held_out")]
    assert all(one["num_completions"] >= 1 and one["min_tokens"] == 16 for one in found)
    lines = printed.out.splitlines()
    assert lines[0].split("  ")[0] == "memorization" and "documents' own" in lines[0]
    assert lines[1].startswith("code, train") and "100.00 %" in lines[1]  # the documents hold themselves
    assert "those in a row of 16 that some training document holds" in printed.out
    assert "<h2>Memorization</h2>" in page.read_text()
    assert evaluate(places, *asked, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["memorization"] == found
    assert evaluate(places, *asked, "--json", "--sources", "prose", "--seed", "5") == 0
    other = json.loads(capsys.readouterr().out)["memorization"]
    assert [one["source"] for one in other] == ["prose", "prose"]


def test_it_is_measured_only_where_it_is_asked_for(places, capsys):
    assert evaluate(places, "--spans", "2", "--json", corpus="bare") == 0
    assert "memorization" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "corpus", "said"),
    [
        (["--tasks", "memorization"], "bare", "has no trace index. Build it with `spanmix trace --corpus"),
        (["--tasks", "memorization"], "bare", "s on one core, and 0.1 MB beside the corpus for its 0.1 MB"),
        (["--tasks", "memorization"], "traced", "up to 200 are 251, and the model's context is 128"),
        (["--tasks", "memorization", *SHORT[:-1], "15"], "traced", "those of 16 bytes and more"),
        (["--tasks", "memorization", *SHORT[:-1], "30"], "traced", "up to 24 tokens hold no match of 30"),
        (["--tasks", "bits-per-byte", "--prompts", "3"], "traced", "--prompts is for memorization"),
        (["--tasks", "memorisation"], "traced", "'memorisation' (did you mean 'memorization'?)"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(places, capsys, arguments, corpus, said):
    assert evaluate(places, *arguments, corpus=corpus) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == ""


def test_a_source_without_long_documents_is_left_out_with_a_word(places, capsys):
    corpus = Corpus.open(places / "traced")
    sides = {"train": corpus.train, "held_out": corpus.held_out}
    longest = {(n, side): int(sides[side][n].lengths.max()) for side in sides for n in ("code", "prose")}
    shortest = min(longest, key=longest.get)  # which has no document longer than this
    arguments = ["--prompt-tokens", longest[shortest], *SHORT[:2], *SHORT[4:]]
    model = places / "long"
    decoder = Decoder(preset("demo", corpus.tokenizer.vocab_size, 2048))
    save_model_folder(model, decoder, corpus.tokenizer, {})
    shown = ["evaluate", str(model), "--corpus", str(places / "traced"), "--tasks", "memorization", "--json"]
    assert main([*shown, *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert f"left out: source '{shortest[0]}' has no document of more than" in printed.err
    found = {(one["source"], one["side"]) for one in json.loads(printed.out)["memorization"]}
    assert found == {pair for pair in longest if longest[pair] > longest[shortest]} != set()


@pytest.fixture
def watching(recipe, places):
    """The short recipe, with rows that hold a prompt and its completion."""
    changed = replace(
        recipe,
        corpus=replace(recipe.corpus, path=str(places / "traced")),
        evaluate=EvaluateConfig(every_steps=4, held_out_rows=2, solutions=None, memorization_prompts=3),
        data=replace(recipe.data, row_tokens=160),
    )
    return replace(changed, run=replace(changed.run, precision="fp32"))


def test_a_run_watches_memorization_with_the_figures_of_evaluate(watching, make_decoder, monkeypatch):
    recipe = resolve(watching)
    corpus = Corpus.open(recipe.corpus.path)
    hooks = prepare_hooks(watching, pytest.fail, pytest.fail)(recipe, corpus)
    assert [hook.kind for hook in hooks] == ["held_out", "infill", "memorization"]
    model = make_decoder(2, 64, 4, 8, 160, vocab_size=512)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    figures = hooks[-1].run(model, 4)
    assert list(figures) == ["code/train", "code/held_out", "prose/train", "prose/held_out"]
    assert figures == hooks[-1].run(model, 8)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    monkeypatch.setattr(memorization_watch, "measure_memorization", _expecting(recipe, figures))
    said = []
    watch = MemorizationWatch(recipe, corpus, TraceIndex.open(corpus.path), FirstProcess(recipe), said.append)
    watch.run(model, 12)
    assert said == []


def _expecting(recipe, figures):
    measure = memorization_watch.measure_memorization

    def checked(engine, tokenizer, index, source, side, settings):
        assert isinstance(engine, TorchEngine)
        assert (settings.num_prompts, settings.seed) == (3, recipe.run.seed)
        found = measure(engine, tokenizer, index, source, side, settings)
        assert found.num_completions == min(3, sum(source.lengths > 50))
        assert found.memorized is None or found.memorized.value == figures[f"{source.name}/{side}"]
        return found

    return checked


def test_a_run_that_cannot_watch_it_is_refused_before_anything_is_written(watching, places):
    def refused(recipe):
        with pytest.raises(InputError) as caught:
            prepare_hooks(recipe, pytest.fail, pytest.fail)
        return str(caught.value)

    bare = replace(watching, corpus=replace(watching.corpus, path=str(places / "bare")))
    assert "has no trace index. Build it with `spanmix trace" in refused(bare)
    short = replace(watching, data=replace(watching.data, row_tokens=150))
    assert "takes 151 positions; data.row_tokens is 150" in refused(short)
    other = replace(
        watching, evaluate=replace(watching.evaluate, every_steps=0)
    )  # nothing is evaluated, so nothing is asked of it
    assert prepare_hooks(other, pytest.fail, pytest.fail)(None, None) == ()
