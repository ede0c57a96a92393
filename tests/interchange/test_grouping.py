"""How many groups qkv_proj has: by the config, by the published sizes, by --mp-num, and what weights know."""

import json
import shutil

import pytest
import torch
import torch.nn.functional as F
from transformers import CodeGenConfig, CodeGenForCausalLM

from spanmix.errors import InputError
from spanmix.interchange import grouping
from spanmix.interchange.codegen import CodeGenConfig as OurConfig
from spanmix.interchange.codegen import Marks
from spanmix.interchange.grouping import find_grouping
from spanmix.interchange.tensors import Stored
from spanmix.model.architecture import Architecture

SHAPE = Architecture(2, 64, 8, 8, 64, 64)


class InMemory:
    """Tensors that are in no file."""

    def __init__(self, path, tensors):
        self.path, self.tensors = path, tensors
        self.stored = {name: Stored(path, tuple(t.shape), t.dtype) for name, t in tensors.items()}

    def read(self, name):
        return self.tensors[name]


def config(shape, **fields):
    sizes = (shape.num_layers, shape.dim, shape.num_heads, shape.rotary_dim, shape.context_tokens)
    return OurConfig(*sizes, shape.vocab_size, **fields)


@pytest.fixture(scope="module")
def trained():
    """transformers' own CodeGen, four groups, that has learned for 120 steps to repeat what it read."""
    torch.manual_seed(1)
    sizes = {"n_layer": 2, "n_embd": 64, "n_head": 8, "rotary_dim": 8, "n_positions": 64}
    model = CodeGenForCausalLM(
        CodeGenConfig(**sizes, vocab_size=64, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    for _ in range(120):
        half = torch.randint(0, 64, (8, 16))
        ids = torch.cat((half, half), dim=1)
        loss = F.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def in_groups(regrouped, state, num_groups):
    return {
        name: regrouped(tensor, 8, before=4, after=num_groups) if "qkv" in name else tensor
        for name, tensor in state.items()
    }


@pytest.mark.parametrize("num_groups", [4, 8])
def test_trained_weights_know_their_groups(num_groups, trained, regrouped, tmp_path):
    tensors = InMemory(tmp_path, in_groups(regrouped, trained, num_groups))
    right = {} if num_groups == 4 else {"head_dim": 8}
    found, warnings = find_grouping(tensors, SHAPE, config(SHAPE, **right), None)
    assert (found.num_groups, found.confirmed, warnings) == (num_groups, True, [])
    assert found.pairing[num_groups] > 0.5 and found.pairing[12 - num_groups] < 0.3


@pytest.mark.parametrize("num_groups", [4, 8])
def test_a_config_that_trained_weights_contradict_is_refused_unless_forced(
    num_groups, trained, regrouped, tmp_path
):
    tensors = InMemory(tmp_path, in_groups(regrouped, trained, num_groups))
    wrong = {} if num_groups == 8 else {"head_dim": 8}
    said = rf"has {12 - num_groups} groups, but the weights look like {num_groups} .*--mp-num {num_groups} or"
    with pytest.raises(InputError, match=said):
        find_grouping(tensors, SHAPE, config(SHAPE, **wrong), None)
    found, warnings = find_grouping(tensors, SHAPE, config(SHAPE, **wrong), num_groups)
    assert (found.num_groups, found.decided_by, warnings) == (num_groups, "--mp-num", [])
    found, warnings = find_grouping(tensors, SHAPE, config(SHAPE, **wrong), 12 - num_groups)
    assert found.num_groups == 12 - num_groups and "weights look like" in warnings[0]


def random_attention(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    d = shape.dim
    sizes = {"qkv_proj": (3 * d, d), "out_proj": (d, d)}
    return {
        f"transformer.h.{layer}.attn.{name}.weight": torch.randn(size, generator=generator)
        for layer in range(shape.num_layers)
        for name, size in sizes.items()
    }


def test_random_weights_know_nothing_and_are_not_asked_for_more(tmp_path):
    for seed in range(40):
        tensors = InMemory(tmp_path, random_attention(SHAPE, seed))
        found, warnings = find_grouping(tensors, SHAPE, config(SHAPE), None)
        assert (found.num_groups, found.confirmed, warnings) == (4, None, [])


@pytest.mark.parametrize(
    ("fields", "forced", "expected"),
    [({}, None, 4), ({"head_dim": 8}, None, 8), ({}, 2, 2), ({"head_dim": 8}, 4, 4)],
)
def test_the_rule_is_the_key_and_mp_num_is_stronger(fields, forced, expected, tmp_path):
    tensors = InMemory(tmp_path, random_attention(SHAPE, 1))
    assert find_grouping(tensors, SHAPE, config(SHAPE, **fields), forced)[0].num_groups == expected


def test_our_own_mark_is_stronger_than_the_rule(tmp_path):
    tensors = InMemory(tmp_path, random_attention(SHAPE, 1))
    fields = {"head_dim": 8, "spanmix": Marks(qkv_groups=4)}
    assert find_grouping(tensors, SHAPE, config(SHAPE, **fields), None)[0].num_groups == 4


PUBLISHED = [  # layers, width, heads, whether its config has head_dim, groups: codegen2-facts 1.1
    (20, 1024, 16, False, 4),
    (32, 2560, 32, False, 4),
    (33, 4096, 16, False, 4),
    (34, 6144, 24, False, 4),
    (16, 2048, 16, True, 8),
    (16, 4096, 16, True, 8),
    (32, 4096, 16, False, 4),
]


@pytest.mark.parametrize(("layers", "dim", "heads", "has_key", "groups"), PUBLISHED)
def test_the_published_sizes_follow_the_rule_and_a_missing_key_is_noticed(
    layers, dim, heads, has_key, groups, tmp_path, monkeypatch
):
    monkeypatch.setattr(grouping, "pairings", lambda tensors, shape, candidates: {4: 0.0, 8: 0.0})
    shape = Architecture(layers, dim, heads, 32, 2048, 51200)
    key = {"head_dim": dim // heads}
    tensors = InMemory(tmp_path, {})
    right = find_grouping(tensors, shape, config(shape, **(key if has_key else {})), None)[0]
    assert right.num_groups == groups and "which is codegen" in right.decided_by
    with pytest.raises(InputError, match=rf"has the size of codegen.*which has {groups}; give --mp-num"):
        find_grouping(tensors, shape, config(shape, **({} if has_key else key)), None)
    assert find_grouping(tensors, shape, config(shape), 8)[0].num_groups == 8


def test_mp_num_has_to_divide_the_heads(tmp_path):
    tensors = InMemory(tmp_path, random_attention(SHAPE, 1))
    with pytest.raises(InputError, match="8 heads cannot be put into 3 groups"):
        find_grouping(tensors, SHAPE, config(SHAPE), 3)


def test_mp_num_is_refused_where_nothing_is_grouped(published, tmp_path):
    from spanmix.interchange.convert import convert

    with pytest.raises(InputError, match="--mp-num is for folders of CodeGenForCausalLM"):
        convert(str(published("gptj").folder), tmp_path / "m", "native", mp_num=8)


def test_a_forced_number_that_is_wrong_gives_another_model(published, tmp_path):
    """Nothing can notice it on random weights, so it is done as asked, and written into the report."""
    from spanmix.interchange.convert import convert

    source = tmp_path / "source"
    shutil.copytree(published("codegen2").folder, source)
    report = convert(str(source), tmp_path / "m", "native", mp_num=4)
    kept = json.loads((tmp_path / "m" / "export_report.json").read_text())
    assert report.grouping.decided_by == "--mp-num"
    assert (kept["grouping"]["num_groups"], kept["grouping"]["confirmed"]) == (4, None)
