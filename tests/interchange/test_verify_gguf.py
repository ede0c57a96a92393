"""GGUF files, right and with one thing wrong, written by gguf's own writer."""

import gguf
import numpy as np
import pytest

from spanmix.errors import InputError
from spanmix.interchange.convert import convert
from spanmix.interchange.verify.verify import verify
from spanmix.model.folder import save_model_folder


@pytest.fixture(scope="module", params=["codegen", "llama"])
def exported(request, make_decoder, tokenizer, tmp_path_factory):
    """A file with random weights, and its path."""
    llama = {"form": "llama", "hidden_dim": 96, "layer_norm_epsilon": 1e-6}
    form = llama if request.param == "llama" else {}
    decoder = make_decoder(2, 64, 4, 16 if form else 8, 96, **form)
    place = tmp_path_factory.mktemp("gguf")
    folder = save_model_folder(place / "m", decoder, tokenizer, {})
    convert(str(folder), place / "m.gguf", "gguf", "f32")
    return place / "m.gguf"


def results(file):
    checks = verify(str(file), 600).checks
    assert len(checks) == 6
    return {check.name: check.result for check in checks if check.result != "ok"}


def test_a_right_file_with_random_weights_is_not_called_wrong(exported):
    assert results(exported) == {"loss on code": "cannot tell"}


def rewritten(file, dest, change_key=lambda name, value: value, change_tensor=lambda name, data: data):
    """Copy a file with other values in it."""
    reader = gguf.GGUFReader(file)
    writer = gguf.GGUFWriter(dest, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = change_key(name, field.contents())
        if value is not None:
            sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, value, field.types[0], sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, change_tensor(tensor.name, np.array(tensor.data)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return dest


FAULTS = {
    "eos": ("begin and end ids", "tokenizer.ggml.eos_token_id", lambda value: 2),
    "bos": ("begin and end ids", "tokenizer.ggml.bos_token_id", lambda value: 1),
    "eom": ("begin and end ids", "tokenizer.ggml.eot_token_id", lambda value: None),
    "types": (
        "controls in a text",
        "tokenizer.ggml.token_type",
        lambda value: [1 if t == 3 else t for t in value],
    ),
    "blanks": ("blank runs", "tokenizer.ggml.token_type", lambda value: [1 if t == 4 else t for t in value]),
    "split": ("tokenizer", "tokenizer.ggml.pre", lambda value: "llama-bpe"),
    "size": ("tokenizer", "tokenizer.ggml.tokens", lambda value: [*value, "one more"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault, exported, tmp_path):
    check, key, change = FAULTS[fault]
    file = rewritten(
        exported, tmp_path / "m.gguf", lambda name, value: change(value) if name == key else value
    )
    assert results(file)[check] == "wrong"


def test_numbers_that_are_none_are_found(exported, tmp_path):
    def broken(name, data):
        if name == "blk.1.ffn_up.weight":
            data[0, 0] = np.nan
        return data

    found = results(rewritten(exported, tmp_path / "m.gguf", change_tensor=broken))
    assert (found["finite weights"], found["loss on code"]) == ("wrong", "wrong")


def test_a_file_that_is_none_or_cut_short_cannot_be_opened(exported, tmp_path):
    whole = exported.read_bytes()
    for content in (b"GGUF", b"no such file", whole[: len(whole) // 2]):
        (tmp_path / "m.gguf").write_bytes(content)
        with pytest.raises(InputError, match="is no GGUF file, or was cut short"):
            verify(str(tmp_path / "m.gguf"), 600)
