"""Tensors in and out of files: the same as the libraries', one at a time."""

import filecmp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from spanmix.interchange.codegen import join_qkv, layout_shapes, moves, split_qkv
from spanmix.interchange.tensors import TensorFolder
from spanmix.interchange.writer import ShardWriter
from spanmix.model.weights import write_weights


def tensors_of(dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = {f"h.{i}.{part}": (i + 1, 7) if part == "w" else (5,) for i in range(12) for part in "wb"}
    return {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("max_shard_bytes", [10**9, 900, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_files_are_the_librarys_own_bytes_whatever_the_order(dtype, max_shard_bytes, tmp_path):
    state = tensors_of(dtype)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    ours.mkdir()
    write_weights(theirs, state, max_shard_bytes)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    writer = ShardWriter(ours, shapes, dtype, max_shard_bytes)
    for name in sorted(state, key=lambda name: name[::-1]):
        writer.write(name, state[name])
    writer.close()
    names = sorted(file.name for file in theirs.iterdir())
    assert names == sorted(file.name for file in ours.iterdir())
    assert len(names) == {10**9: 1, 1: 25}.get(max_shard_bytes, len(names)) and len(names) != 2
    assert filecmp.cmpfiles(theirs, ours, names, shallow=False) == (names, [], [])


def test_one_file_is_what_save_file_writes(tmp_path):
    state = tensors_of(torch.float32)
    save_file(state, tmp_path / "theirs", metadata={"format": "pt"})
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    writer = ShardWriter(tmp_path, shapes, torch.float32, 10**9)
    for name, tensor in state.items():
        writer.write(name, tensor)
    assert (tmp_path / "theirs").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_what_is_forgotten_or_of_another_shape_is_noticed(tmp_path):
    writer = ShardWriter(tmp_path, {"a": (2,), "b": (3,)}, torch.float32, 10**9)
    writer.write("a", torch.ones(2))
    for name, tensor in (("a", torch.ones(2)), ("b", torch.ones(2)), ("b", torch.ones(3).half())):
        with pytest.raises(AssertionError):
            writer.write(name, tensor)
    with pytest.raises(AssertionError, match="never written"):
        writer.close()
    writer.write("b", torch.ones(3))
    writer.close()
    assert {name: t.tolist() for name, t in load_file(tmp_path / "model.safetensors").items()} == {
        "a": [1, 1],
        "b": [1, 1, 1],
    }


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_are_read_back_as_they_are(name, dtype, tmp_path):
    state = tensors_of(dtype)
    # As in a state_dict: views that are not contiguous, and buffers of other types.
    state["turned"] = torch.arange(6.0).view(2, 3).t().to(dtype)
    state["mask"] = torch.ones(1, 1, 4, 4, dtype=torch.bool).tril()
    if name.endswith(".bin"):
        torch.save(state, tmp_path / name)
    else:
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / name)
    found = TensorFolder(tmp_path)
    assert found.stored.keys() == state.keys()
    for key, tensor in state.items():
        assert found.stored[key].shape == tuple(tensor.shape)
        assert found.stored[key].dtype == (None if key == "mask" else dtype)
        assert torch.equal(found.read(key), tensor)


def test_safetensors_go_before_pickles(tmp_path):
    torch.save({"a": torch.ones(2)}, tmp_path / "pytorch_model.bin")
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert TensorFolder(tmp_path).read("a").tolist() == [0, 0]


@settings(max_examples=60)
@given(groups=st.integers(1, 8), heads_each=st.integers(1, 3), head_dim=st.integers(1, 4))
def test_regrouping_loses_nothing_and_puts_every_head_where_the_definition_says(groups, heads_each, head_dim):
    num_heads = groups * heads_each
    rows = torch.arange(3 * num_heads * head_dim)[:, None]
    q, k, v = split_qkv(rows, groups)
    assert torch.equal(join_qkv(q, k, v, groups), rows)
    # NNT's reading of the published code: W.view(G, 3, H / G, C, D)[c, j, h], j = 0 Q, 1 V, 2 K.
    defined = rows.view(groups, 3, heads_each, head_dim)
    for head in range(num_heads):
        group, place = divmod(head, heads_each)
        for part, j in ((q, 0), (v, 1), (k, 2)):
            ours = part[head * head_dim : (head + 1) * head_dim, 0]
            assert torch.equal(ours, defined[group, j, place])


@settings(max_examples=60)
@given(source=st.sampled_from([None, 2, 4, 8]), groups=st.sampled_from([None, 2, 4, 8]))
def test_moves_write_every_tensor_of_the_layout_once_in_its_shape(source, groups):
    native = {"wte": (5, 16), "lm_head.bias": (5,)}
    native |= {f"h.{i}.attn.{letter}_proj.weight": (16, 16) for i in range(2) for letter in "qkv"}
    read, expected = layout_shapes(native, source), layout_shapes(native, groups)
    tensors = {name: torch.randn(shape) for name, shape in read.items()}
    written = {}
    for move in moves(native, source, groups):
        made = move.change([tensors.pop(name) for name in move.reads])
        written |= dict(zip(move.writes, made, strict=True))
    assert not tensors
    assert {name: tuple(tensor.shape) for name, tensor in written.items()} == expected
    assert list(written) == list(expected)
