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


U32, TEXT, LIST = gguf.GGUFValueType.UINT32, gguf.GGUFValueType.STRING, gguf.GGUFValueType.ARRAY
STRANGE = [("abc", TEXT, None), (2**32 - 1, U32, None), (0, U32, None), (["a"], LIST, TEXT)]


def test_no_value_of_any_key_is_a_fault_of_ours(exported, tmp_path):
    """Numbers that would take all memory, and keys of another type."""
    reader = gguf.GGUFReader(exported)
    architecture = reader.fields["general.architecture"].contents()
    keys = [name for name in reader.fields if not name.startswith("GGUF.") and name != "general.architecture"]
    tried = [(key, STRANGE[i % len(STRANGE)]) for i, key in enumerate(keys)]
    must = [(f"{architecture}.rope.dimension_count", STRANGE[1]), ("tokenizer.ggml.tokens", STRANGE[0])]
    must.append((f"{architecture}.block_count", STRANGE[1]))
    for key, (value, kind, inner) in [*must, *tried]:
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", architecture)
        for name in keys:
            field = reader.fields[name]
            if name == key:
                writer.add_key_value(name, value, kind, sub_type=inner)
            else:
                sub = field.types[-1] if field.types[0] == LIST else None
                writer.add_key_value(name, field.contents(), field.types[0], sub_type=sub)
        for tensor in reader.tensors:
            writer.add_tensor(tensor.name, np.array(tensor.data))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        try:
            wrong = verify(str(tmp_path / "m.gguf"), 60).wrong
        except InputError as error:
            assert "is no GGUF file" in str(error)
        else:
            assert wrong or (key, (value, kind, inner)) not in must, key
    assert len(tried) > 20


def test_a_list_that_says_it_is_endless_ends_with_the_file(exported, tmp_path):
    data = exported.read_bytes()
    place = data.index(b"tokenizer.ggml.token_type") + len(b"tokenizer.ggml.token_type") + 8
    cut = data[:place] + (2**60).to_bytes(8, "little") + data[place + 8 :]
    (tmp_path / "m.gguf").write_bytes(cut)
    with pytest.raises(InputError, match=r"a list of 1,152,921,504,606,846,976 items"):
        verify(str(tmp_path / "m.gguf"), 60)


def test_a_file_that_is_none_or_cut_short_cannot_be_opened(exported, tmp_path):
    whole = exported.read_bytes()
    for content in (b"GGUF", b"no such file", whole[: len(whole) // 2]):
        (tmp_path / "m.gguf").write_bytes(content)
        with pytest.raises(InputError, match="is no GGUF file, or was cut short"):
            verify(str(tmp_path / "m.gguf"), 600)
