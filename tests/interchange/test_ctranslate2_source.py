"""Folders that CTranslate2's own converter wrote become checkpoints again."""

import json
import re
import shutil

import pytest
import torch
from ctranslate2.converters import TransformersConverter
from transformers import GPTJForCausalLM

from spanmix.errors import InputError
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.interchange.convert import convert
from spanmix.interchange.ctranslate2 import source as ctranslate2_source
from spanmix.interchange.ctranslate2.source import CTranslate2Tensors
from spanmix.interchange.verify.verify import verify


@pytest.fixture(scope="module")
def ct2fast(published, tmp_path_factory):
    """What michaelfeil published: float16, made by CTranslate2 from a CodeGen, tokenizer files beside it."""
    source = published("built_in").folder
    folder = tmp_path_factory.mktemp("ct2fast") / "model"
    copied = [
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "merges.txt",
    ]
    converter = TransformersConverter(str(source), copy_files=copied)
    converter.convert(str(folder), quantization="float16")
    return folder


@pytest.fixture
def copy(ct2fast, tmp_path):
    return shutil.copytree(ct2fast, tmp_path / "source")


@torch.inference_mode()
@pytest.mark.parametrize("to", ["native", "codegen2"])
def test_it_is_the_model_that_it_was_made_from_in_half_precision(to, ct2fast, published, tmp_path):
    report = convert(str(ct2fast), tmp_path / "m", to)
    assert (report.source_layout, report.stored_as, report.grouping) == ("CTranslate2", "float16", None)
    assert report.parity.conversion.max_abs_difference < 1e-5
    if to == "codegen2":
        convert(str(tmp_path / "m"), tmp_path / "n", "native")
    folder = tmp_path / ("m" if to == "native" else "n")
    theirs = GPTJForCausalLM.from_pretrained(folder, dtype=torch.float32)
    state = published("built_in").model.state_dict()
    rounded = {name: tensor.half().float() for name, tensor in state.items()}
    ids = torch.randint(0, 290, (2, 40), generator=torch.Generator().manual_seed(1))
    published("built_in").model.load_state_dict(rounded)
    try:
        expected = published("built_in").model(ids).logits
    finally:
        published("built_in").model.load_state_dict(state)
    assert expected.std() > 0.5
    assert (theirs(ids).logits - expected).abs().max() < 1e-5


def test_rows_put_back_in_the_wrong_order_are_noticed(ct2fast, tmp_path, monkeypatch):
    from spanmix.errors import SpanmixError

    monkeypatch.setattr(CTranslate2Tensors, "_neighbors", lambda self, rows: rows)
    with pytest.raises(SpanmixError, match="logits differ"):
        convert(str(ct2fast), tmp_path / "m", "native")
    assert not (tmp_path / "m").exists()


def test_a_config_without_sizes_is_what_the_arrays_say(ct2fast):
    config = json.loads((ct2fast / "config.json").read_text())
    assert "n_layer" not in config and "architectures" not in config
    shape = CTranslate2Tensors(ct2fast).shape
    assert (shape.num_layers, shape.dim, shape.num_heads, shape.rotary_dim) == (2, 64, 8, 4)
    assert (shape.vocab_size, shape.context_tokens) == (384, 2048)


def renamed(data, old, new):
    assert len(old) == len(new) and old in data
    return data.replace(old, new)


DAMAGED = {
    "a layer of another number": (
        b"layer_1/self_attention/linear_0/weight",
        b"layer_7/self_attention/linear_0/weight",
    ),
    "a norm lost": (b"layer_1/shared_layer_norm/gamma", b"layer_1/shared_layer_norm/gammX"),
    "a matrix lost": (b"layer_0/self_attention/linear_1/weight", b"layer_0/self_attention/linear_1/weighX"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_model_that_lost_a_variable_is_no_fault_of_ours(kind, copy, tmp_path):
    (copy / "model.bin").write_bytes(renamed((copy / "model.bin").read_bytes(), *DAMAGED[kind]))
    with pytest.raises(InputError, match=re.escape(str(copy))):
        convert(str(copy), tmp_path / "m", "native")
    with pytest.raises(InputError, match="cannot be opened by CTranslate2"):
        CTranslate2Engine(copy)
    checks = {check.name: check.result for check in verify(str(copy), 60).checks}
    assert checks["engine"] == "wrong"


@pytest.mark.parametrize("rows", [0, 63])
def test_a_layer_of_another_shape_is_not_run(rows, copy):
    data = bytearray((copy / "model.bin").read_bytes())
    name = b"decoder/layer_1/self_attention/linear_1/weight"
    place = data.index(name) + len(name) + 2  # behind the closing zero and the rank
    assert int.from_bytes(data[place : place + 4], "little") == 64
    data[place : place + 4] = rows.to_bytes(4, "little")
    size = place + 9
    data[size : size + 4] = (rows * 64 * 2).to_bytes(4, "little")
    data[size + 4 : size + 4 + 64 * 64 * 2] = data[size + 4 : size + 4 + rows * 64 * 2]
    (copy / "model.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"layer_1/self_attention/linear_1/weight has shape \[\d+, 64\]"):
        CTranslate2Engine(copy)


@pytest.mark.parametrize("share", [0.999, 0.5, 0.01, 0.0001, 0])
def test_a_model_that_is_cut_short_is_refused(share, copy, tmp_path):
    data = (copy / "model.bin").read_bytes()
    (copy / "model.bin").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=r"model\.bin is no model of CTranslate2, or was cut short"):
        convert(str(copy), tmp_path / "m", "native")
    assert not (tmp_path / "m").exists()


def test_random_damage_to_the_header_is_an_error_in_one_paragraph(copy):
    data = (copy / "model.bin").read_bytes()
    generator = torch.Generator().manual_seed(1)
    refused = 0
    for place in torch.randint(0, 400, (150,), generator=generator).tolist():
        (copy / "model.bin").write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            CTranslate2Tensors(copy).shape  # noqa: B018
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 20


def test_weights_rounded_to_integers_are_refused(published, tmp_path):
    TransformersConverter(str(published("built_in").folder)).convert(str(tmp_path / "q"), quantization="int8")
    with pytest.raises(InputError, match=r"rounded to integers.*take the float16"):
        convert(str(tmp_path / "q"), tmp_path / "m", "native")


def test_another_program_of_that_name_is_refused(copy, tmp_path):
    (copy / "model.bin").write_bytes(ctranslate2_source.__doc__.encode())
    with pytest.raises(InputError, match="is no model of CTranslate2"):
        convert(str(copy), tmp_path / "m", "native")
