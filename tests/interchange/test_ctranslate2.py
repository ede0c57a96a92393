"""Exports for CTranslate2: its own converter's bytes, the source's numbers, and folders that others made."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from ctranslate2.converters import TransformersConverter
from safetensors.torch import load_file, save_file

from spanmix.cli import main
from spanmix.errors import InputError, SpanmixError
from spanmix.generate.batch import generate
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.infill import infill_many
from spanmix.generate.opening import open_model
from spanmix.generate.text import Sampling, complete
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.convert import convert
from spanmix.interchange.ctranslate2 import weights as ctranslate2_weights
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.parity import MOST_MOVED, Agreement, _rounding_failures
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.folder import save_model_folder
from spanmix.text.corpus import Corpus

VOCAB = 384
QUANTIZATIONS = LAYOUTS["ctranslate2"]
SHAPES = {
    "codegen": Architecture(2, 48, 3, 8, 160, VOCAB, layer_norm_epsilon=3e-5),
    "llama": Architecture(2, 48, 3, 16, 160, VOCAB, 1e-6, "llama", hidden_dim=80),
}

CPU_FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
INT8_MOST = 0.5 if "vnni" in CPU_FLAGS else 4.0
"""Log-probabilities in int8 are within this. Found without VNNI: up to 2.9; the cause was not sought."""


def export(source, dest, quantization):
    return convert(str(source), dest, "ctranslate2", quantization)


def spread_out(decoder):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in decoder.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise, alpha=0.15 if parameter.ndim == 2 else 0.1)
    return decoder


@pytest.fixture(scope="module", params=SHAPES)
def decoder(request):
    return spread_out(Decoder(SHAPES[request.param], seed=1))


@pytest.fixture(scope="module")
def native(decoder, tokenizer, tmp_path_factory):
    return save_model_folder(tmp_path_factory.mktemp("native") / "m", decoder, tokenizer, {})


@pytest.fixture(scope="module")
def exported(native, tmp_path_factory):
    """Exports once for each quantization; the folders are only read."""
    made = {}

    def get(quantization):
        if quantization not in made:
            folder = tmp_path_factory.mktemp("exported") / quantization
            made[quantization] = (folder, export(native, folder, quantization))
        return made[quantization]

    return get


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def to_score():
    """Requests of many lengths."""
    return [ScoreRequest(ids_of(n, 1 + 7 * n), ids_of(n + 50, 40 - 3 * n)) for n in range(8)]


def expected_scores(model, requests):
    """What a model of transformers says of each request."""
    for request in requests:
        ids = torch.tensor([[*request.context_ids, *request.target_ids]])
        with torch.no_grad():
            logprobs = model(ids).logits[0].log_softmax(-1)
        first = len(request.context_ids) - 1
        yield logprobs[range(first, ids.shape[1] - 1), list(request.target_ids)].tolist()


def rounded(model):
    """The same model with its weights rounded to float16."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.copy_(parameter.half())
    return copied


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_bytes_are_those_of_the_librarys_own_converter(native, exported, tmp_path, quantization):
    folder, _ = exported(quantization)
    TransformersConverter(str(native)).convert(str(tmp_path / "theirs"), quantization=quantization)
    theirs, ours = tmp_path / "theirs", folder
    assert (ours / "model.bin").read_bytes() == (theirs / "model.bin").read_bytes()
    assert (ours / "vocabulary.json").read_bytes() == (theirs / "vocabulary.json").read_bytes()
    config, expected = (json.loads((path / "config.json").read_text()) for path in (ours, theirs))
    assert config["layer_norm_epsilon"] == json.loads((native / "config.json").read_text()).get(
        "layer_norm_epsilon", 1e-6
    )
    assert config["n_positions"] == 160
    assert {**expected, "layer_norm_epsilon": config["layer_norm_epsilon"]}.items() <= config.items()


@pytest.mark.parametrize("quantization", ["float32", "float16", "bfloat16"])
def test_log_probabilities_and_greedy_text_are_the_torch_engines(decoder, exported, quantization):
    stored = copy.deepcopy(decoder)
    with torch.no_grad():
        for parameter in stored.parameters():
            parameter.copy_(parameter.to(getattr(torch, quantization)))
    engines = TorchEngine(stored), CTranslate2Engine(exported(quantization)[0])
    ours, theirs = (engine.score(to_score()) for engine in engines)
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    requests = [GenerateRequest(ids_of(n, 3 + 11 * n), 40) for n in range(6)]
    ours, theirs = (generate(engine, requests) for engine in engines)
    assert [one.token_ids for one in ours] == [other.token_ids for other in theirs]
    assert len({token for one in ours for token in one.token_ids}) > 20


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_report_says_how_well_it_agrees(decoder, exported, quantization):
    folder, report = exported(quantization)
    assert json.loads((folder / "export_report.json").read_text()) == json.loads(json.dumps(report.to_json()))
    assert (report.to, report.stored_as) == ("ctranslate2", quantization)
    assert report.num_bytes == (folder / "model.bin").stat().st_size
    parity = report.parity
    assert parity.num_positions == 256 and parity.num_texts > 0
    if not quantization.startswith("int8"):
        assert parity.computed_in == "float32"
        assert parity.conversion.max_logprob_difference < 1e-4
        assert parity.conversion.greedy == {"causal": 1.0, "infill": 1.0}
        assert (parity.rounding is None) == (quantization == "float32")
        return
    assert parity.computed_in == "int8_float32" and parity.conversion is None
    moved = parity.rounding
    assert 1e-3 < moved.mean_likeliest_difference < moved.max_logprob_difference < INT8_MOST
    assert (0.8 if INT8_MOST < 1 else 0.5) < moved.greedy["causal"] <= 1
    # It is what the engine shows, too.
    ours, theirs = (engine.score(to_score()) for engine in (TorchEngine(decoder), CTranslate2Engine(folder)))
    for one, other in zip(ours, theirs, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=INT8_MOST)


@pytest.mark.parametrize("layout", ["built_in", "codegen1", "codegen2", "gptj"])
def test_every_published_layout_is_exported_as_it_is(published, tmp_path, layout):
    source = published(layout)
    report = export(source.folder, tmp_path / "exported", "float32")
    scores = CTranslate2Engine(tmp_path / "exported").score(to_score())
    for score, expected in zip(scores, expected_scores(source.model, to_score()), strict=True):
        assert score.logprobs == pytest.approx(expected, abs=1e-4)
    model = open_model(str(tmp_path / "exported"))
    assert model.asked.start_ids == () and model.infill_format.lead_tokens == 0
    if layout == "codegen1":
        assert any("left out 2 buffers" in sentence for sentence in report.corrections)


@pytest.mark.parametrize(("layout", "head_dim"), [("built_in", None), ("codegen2", 128)], ids=["4", "8"])
def test_ct2fast_folders_complete_and_infill(published, tmp_path, capsys, layout, head_dim):
    """The layout of michaelfeil/ct2fast-codegen2-*, made with the library's own converter."""
    source = shutil.copytree(published(layout).folder, tmp_path / "source")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"head_dim": head_dim} if head_dim else config))
    folder = tmp_path / "ct2fast"
    TransformersConverter(str(source)).convert(str(folder), quantization="float16")
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    (folder / "vocabulary.json").unlink()
    (folder / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokens = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    (folder / "config.json").write_text(json.dumps(tokens, indent=2) + "\n")
    assert (folder / "config.json").stat().st_size == 99
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "merges.txt",
    ):
        shutil.copy(source / name, folder)

    reference = rounded(published(layout).model)
    model = open_model(str(folder))
    for score, expected in zip(
        model.engine.score(to_score()), expected_scores(reference, to_score()), strict=True
    ):
        assert score.logprobs == pytest.approx(expected, abs=1e-4)
    assert model.engine.info.context_tokens == 2048

    for prompt_ids, stops, text in (
        (
            model.tokenizer.encode("def add"),
            [model.tokenizer.control.eot],
            ["complete", "--prompt", "def add"],
        ),
        (
            # Nothing in front of the cursor, so nothing of it is written again.
            model.infill_format.prompt([], model.tokenizer.encode("\nreturn a")),
            list(model.infill_format.end),
            ["infill", "--prefix", "", "--suffix", "\nreturn a"],
        ),
    ):
        controls = {i for i in range(VOCAB) if model.tokenizer.is_control[i]}
        ids = torch.tensor([prompt_ids])
        theirs = reference.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
            suppress_tokens=sorted(controls - set(stops)),
        )[0, len(prompt_ids) :]
        assert main([*text, str(folder), "--max-tokens", "12", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        (answer,) = printed.get("infills", [printed])
        assert answer["token_ids"] == theirs.tolist()


def test_a_folder_in_float16_is_made_int8(published, tmp_path):
    export(published("codegen2").folder, tmp_path / "half", "float16")
    export(tmp_path / "half", tmp_path / "again", "float16")
    assert (tmp_path / "again" / "model.bin").read_bytes() == (tmp_path / "half" / "model.bin").read_bytes()
    export(tmp_path / "half", tmp_path / "int8", "int8")
    report = json.loads((tmp_path / "int8" / "export_report.json").read_text())
    assert report["source_layout"] == "CTranslate2"
    assert report["parity"]["rounding"]["max_logprob_difference"] < INT8_MOST
    with pytest.raises(InputError, match="holds weights rounded to integers"):
        export(tmp_path / "int8", tmp_path / "back", "float16")


def test_fillers_and_padding_never_come(tokenizer, tmp_path):
    decoder = spread_out(Decoder(SHAPES["codegen"], seed=1))
    never = sorted(tokenizer.suppressed_ids)
    assert len(never) > 1
    ends = [tokenizer.control.eot, tokenizer.control.eom]
    with torch.no_grad():
        decoder.head.bias[never] = 100.0
        decoder.head.bias[ends] = -100.0
    native = save_model_folder(tmp_path / "native", decoder, tokenizer, {})
    export(native, tmp_path / "exported", "int8")
    listed = json.loads((tmp_path / "exported" / "generation_config.json").read_text())["suppress_tokens"]
    assert listed == never
    model = open_model(str(tmp_path / "exported"))
    assert generate(model.engine, [GenerateRequest([5], 3)])[0].token_ids[0] in never
    for temperature in (0.0, 1.0):
        sampling = Sampling(20, temperature)
        done = complete(model.engine, model.tokenizer, "def add", sampling, model.asked.start_ids).run()
        (answer,) = infill_many(
            model.engine, model.tokenizer, model.infill_format, ["def ", "return"], sampling
        )
        assert len(done.token_ids) == len(answer.token_ids) == 20
        assert not set(never) & {*done.token_ids, *answer.token_ids}


def test_the_folder_opens_like_any_model(native, exported, capsys, tmp_path):
    folder, _ = exported("float32")
    file = tmp_path / "a.py"
    file.write_text("def add(a, b):\n    return\n")
    verbs = [
        ["complete", "--prompt", "def f", "--max-tokens", "12", "--json"],
        ["complete", "--prompt", "x", "--max-tokens", "9", "--json", "--temperature", "1.0", "--seed", "5"],
        ["infill", str(file), "--at", "2:5", "--at", "1:5", "--max-tokens", "12", "--json"],
    ]
    for verb, *arguments in verbs:
        answers = []
        for model, engine in ((native, "torch"), (folder, "ctranslate2"), (folder, "auto")):
            assert main([verb, str(model), *arguments, "--engine", engine]) == 0
            answers.append(json.loads(re.sub(r'"logprobs": \[[^]]*\], ', "", capsys.readouterr().out)))
        assert answers[0] == answers[1] == answers[2]


def test_an_engine_that_does_not_run_the_folder_is_refused(native, exported, capsys):
    folder, _ = exported("float32")
    assert main(["complete", str(folder), "--prompt", "x", "--engine", "torch"]) == 2
    assert "is a CTranslate2 folder, which PyTorch does not run" in capsys.readouterr().err
    assert main(["complete", str(native), "--prompt", "x", "--engine", "ctranslate2"]) == 2
    assert "is not a CTranslate2 folder; make one with `spanmix convert" in capsys.readouterr().err


def test_the_model_card_runs(exported, capsys):
    folder, _ = exported("int8")
    card = (folder / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.S)[1].replace("PATH", str(folder))
    exec(compile(code, "card", "exec"), {})
    printed = capsys.readouterr().out
    assert code.count("print(generate(") == 2 and len(printed) > 10
    assert "<pad>" not in printed and "<unused" not in printed


def test_wrong_rows_are_noticed_and_nothing_is_written(native, decoder, tmp_path, monkeypatch):
    # As GPT-J has them, neighbors and not halves; and the heads of Llama in another order.
    is_llama = decoder.architecture.form == "llama"
    monkeypatch.setattr(
        ctranslate2_weights, "_turned", lambda rows, shape: rows.flip(0) if is_llama else rows
    )
    for quantization in ("float32", "bfloat16"):
        with pytest.raises(SpanmixError, match=r"it would not be the same model as .* logits differ"):
            export(native, tmp_path / "exported", quantization)
    assert list(tmp_path.iterdir()) == []


def test_an_int8_model_that_is_another_model_is_refused():
    def failures(mean):
        return _rounding_failures(Agreement(9.0, 3.0, mean, {"causal": 0.9}))

    assert failures(MOST_MOVED) == []
    for mean in (MOST_MOVED + 0.01, float("nan")):
        assert "move the likeliest token's log-probability by" in failures(mean)[0]


def changed(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def not_finite(folder):
    changed(folder, lambda state: next(iter(state.values())).view(-1)[:1].fill_(float("nan")))


def too_large(folder):
    changed(folder, lambda state: next(iter(state.values())).view(-1)[:1].fill_(1e5))


def a_tensor_less(folder):
    changed(folder, lambda state: state.pop(next(iter(state))))


BAD = [
    (lambda folder: None, "int4", "the type is 'int4', which ctranslate2 does not have"),
    (not_finite, "int8", "holds NaN or infinite numbers"),
    (too_large, "float16", "holds numbers that float16 cannot; use bfloat16"),
    (a_tensor_less, "int8", "a file was lost, or the two are not of one model"),
]


@pytest.mark.parametrize(("damage", "quantization", "message"), BAD)
def test_what_cannot_be_exported_is_refused(native, tmp_path, damage, quantization, message):
    source = shutil.copytree(native, tmp_path / "source")
    damage(source)
    with pytest.raises(InputError, match=message):
        export(source, tmp_path / "exported", quantization)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_only_a_model_folder_is_replaced_and_never_the_source(native, exported, tmp_path):
    source = shutil.copytree(native, tmp_path / "source")
    with pytest.raises(InputError, match="are one folder"):
        export(source, source, "int8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(InputError, match="is not a model folder"):
        export(source, tmp_path / "mine", "int8")
    again = shutil.copytree(exported("float32")[0], tmp_path / "again")
    export(source, again, "int8")
    assert (again / "model.bin").read_bytes() == (exported("int8")[0] / "model.bin").read_bytes()


def test_a_model_too_large_for_this_machine_is_exported_unchecked(native, tmp_path, monkeypatch):
    monkeypatch.setattr("spanmix.interchange.ctranslate2.target._available_bytes", lambda: 1000)
    report = export(native, tmp_path / "exported", "int8")
    assert report.warnings[-1].startswith("the model was not compared with its source")
    assert json.loads((tmp_path / "exported" / "export_report.json").read_text())["parity"] is None


def test_a_tokenizer_of_another_model_is_refused(exported, tokenizer, tmp_path):
    folder = shutil.copytree(exported("float32")[0], tmp_path / "m")
    other = type(tokenizer).train(["abc"], vocab_size=448, num_sentinels=9)
    other.save(folder)
    with pytest.raises(
        InputError, match="the tokenizer's 448 entries are not those of the model's vocabulary"
    ):
        open_model(str(folder))


def numbers_of(value):
    """All numbers of a result, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers_of(item)]
    return [value] if isinstance(value, int | float) else []


def test_evaluate_measures_both_alike(corpus_folder, tmp_path, capsys):
    tokenizer = Corpus.open(corpus_folder).tokenizer
    decoder = spread_out(Decoder(Architecture(1, 32, 2, 8, 128, tokenizer.vocab_size), seed=1))
    native = save_model_folder(tmp_path / "native", decoder, tokenizer, {})
    export(native, tmp_path / "exported", "float32")
    results = []
    for folder in (native, tmp_path / "exported"):
        verb = ["evaluate", str(folder), "--corpus", str(corpus_folder), "--kinds", "single_line"]
        assert main([*verb, "--sources", "code", "--spans", "4", "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    one, other = (numbers_of(result) for result in results)
    assert len(one) > 20
    assert one == pytest.approx(other, abs=1e-4)
