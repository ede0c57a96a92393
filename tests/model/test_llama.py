"""The form ``llama``: we and transformers make the same of a folder, whoever of us wrote it."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from spanmix.errors import InputError
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.architecture import PRESETS, Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.model.layers import RMSNorm
from spanmix.model.llama import halves_to_neighbors, neighbors_to_halves
from spanmix.model.masks import AttentionMask
from spanmix.model.native import from_native, to_native

SHAPES = [(1, 32, 1, 32, 96, 40), (2, 48, 3, 16, 128, 112)]


@pytest.fixture(scope="module")
def make_llama(make_decoder):
    """Makes decoders of the form ``llama``: layers, dim, heads, rotary, context and hidden channels."""

    def make(*shape, **more):
        return make_decoder(*shape[:5], form="llama", hidden_dim=shape[5], layer_norm_epsilon=1e-6, **more)

    return make


@pytest.fixture
def theirs(tmp_path, tokenizer):
    """A folder that transformers wrote, with a tokenizer of ours beside it, and its model."""
    torch.manual_seed(5)
    config = LlamaConfig(
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=384,
        max_position_embeddings=128,
        rms_norm_eps=1e-5,
        initializer_range=0.15,
        pad_token_id=tokenizer.control.pad,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
    model.save_pretrained(tmp_path / "theirs")
    tokenizer.save(tmp_path / "theirs")
    return tmp_path / "theirs", model


def ids_of(seed, *size):
    return torch.randint(0, 384, size, generator=torch.Generator().manual_seed(seed))


def logits_of(decoder, ids_BT, segment_ids_BT=None, positions_BT=None):
    if segment_ids_BT is None:
        segment_ids_BT = torch.ones_like(ids_BT)
        positions_BT = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
    return decoder.head(decoder(ids_BT, positions_BT, AttentionMask.from_segments(segment_ids_BT)))


def require_same_text(decoder, model, suppress_ids):
    """Greedy tokens of prompts of several lengths at once, by our engine and cache, are transformers'."""
    model.generation_config.eos_token_id = None  # random weights would soon end
    model.generation_config.suppress_tokens = sorted(suppress_ids)
    prompts = [ids_of(10 + length, length) for length in (3, 20, 11)]
    requests = [GenerateRequest(prompt.tolist(), 40, suppress_ids=suppress_ids) for prompt in prompts]
    got = [result.token_ids for result in generate(TorchEngine(decoder), requests)]
    distinct = set()
    for prompt, ours in zip(prompts, got, strict=True):
        kept = {"max_new_tokens": 40, "do_sample": False, "attention_mask": torch.ones(1, len(prompt))}
        assert ours == model.generate(prompt[None], **kept)[0, len(prompt) :].tolist()
        distinct |= set(ours)
    assert len(distinct) > 8


@pytest.mark.parametrize("shape", SHAPES)
@torch.inference_mode()
def test_transformers_opens_our_folder_and_agrees(shape, tmp_path, make_llama, tokenizer):
    decoder = make_llama(*shape)
    folder = save_model_folder(tmp_path / "m", decoder, tokenizer, {})
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert type(model) is LlamaForCausalLM
    ids = ids_of(3, 4, shape[4])
    ours_BTV, theirs_BTV = logits_of(decoder, ids), model(ids).logits
    assert (ours_BTV - theirs_BTV).abs().max() < 1e-5
    assert ours_BTV.std() > 0.5  # the comparison is not one of zeros
    require_same_text(decoder, model, tokenizer.suppressed_ids)
    text = "def f(x):\n    return '☃'"
    opened = AutoTokenizer.from_pretrained(folder)
    assert opened.encode(text, add_special_tokens=False) == tokenizer.encode(text)


@torch.inference_mode()
def test_a_folder_of_transformers_opens_here_and_agrees(theirs, tokenizer):
    folder, model = theirs
    decoder, _ = load_model_folder(folder)
    shape = Architecture(2, 48, 4, 12, 128, 384, 1e-5, "llama", 80)
    assert decoder.architecture == shape
    ids = ids_of(3, 4, 128)
    ours_BTV, theirs_BTV = logits_of(decoder, ids), model(ids).logits
    assert (ours_BTV - theirs_BTV).abs().max() < 1e-5
    assert ours_BTV.std() > 0.5
    require_same_text(decoder, model, tokenizer.suppressed_ids)


@torch.inference_mode()
def test_each_of_several_packed_documents_is_what_transformers_makes_of_it_alone(theirs):
    folder, model = theirs
    decoder, _ = load_model_folder(folder)
    lengths = (5, 40, 1, 26)
    segments = torch.tensor([[n for n, length in enumerate(lengths, start=1) for _ in range(length)]])
    positions = torch.tensor([[t for length in lengths for t in range(length)]])
    ids = ids_of(8, 1, sum(lengths))
    together = logits_of(decoder, ids, segments, positions)
    for number in range(1, len(lengths) + 1):
        mine = segments == number
        alone = model(ids[mine][None]).logits[0]
        assert (together[mine] - alone).abs().max() < 1e-5


@torch.inference_mode()
def test_in_bfloat16_it_is_at_least_as_exact_as_transformers(theirs):
    folder, model = theirs
    decoder, _ = load_model_folder(folder)
    ids = ids_of(4, 6, 100)
    exact = logits_of(decoder, ids)
    positions = torch.arange(100).expand_as(ids)
    hidden = decoder(ids, positions, AttentionMask.causal(6, 100), dtype=torch.bfloat16)
    ours, theirs_BTV = decoder.head(hidden).float(), model.to(torch.bfloat16)(ids).logits.float()
    error, allowed = ((logits - exact).norm() / exact.norm() for logits in (ours, theirs_BTV))
    assert 1e-4 < error < 1.05 * allowed < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folder_of_ours_and_one_of_theirs_are_the_same_numbers(dtype, tmp_path, theirs, tokenizer):
    """Read here and written again, in several files, no bit of a weight changes."""
    folder, model = theirs
    model.to(dtype).save_pretrained(folder)
    decoder, _ = load_model_folder(folder)
    again = save_model_folder(tmp_path / "again", decoder, tokenizer, {}, max_shard_bytes=40_000)
    assert len(list(again.glob("*.safetensors"))) > 2
    before = model.state_dict()
    after = LlamaForCausalLM.from_pretrained(again, dtype=dtype).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    loaded, _ = load_model_folder(again)
    assert loaded.architecture == decoder.architecture and loaded.head.weight.dtype == dtype
    assert all(map(torch.equal, loaded.state_dict().values(), decoder.state_dict().values()))


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
def test_rows_change_places_and_back(heads, half, columns):
    rows = torch.arange(heads * 2 * half * columns).view(-1, columns)
    halves = neighbors_to_halves(rows, 2 * half)
    assert torch.equal(halves_to_neighbors(halves, 2 * half), rows)
    for head in range(heads):
        own = rows[head * 2 * half : (head + 1) * 2 * half]
        assert torch.equal(halves[head * 2 * half : (head + 1) * 2 * half], torch.cat((own[::2], own[1::2])))


@pytest.mark.parametrize("form", ["codegen", "llama"])
def test_tensors_are_stored_one_by_one_and_read_on_demand(form, make_decoder):
    """A conversion that holds one tensor at a time needs no more than these two functions."""
    decoder = make_decoder(2, 48, 3, 16, 128, form=form, hidden_dim=64)
    shape, state = decoder.architecture, decoder.state_dict()
    stored = {}
    for name, tensor in state.items():
        parts = dict(to_native(name, tensor, shape))
        assert not parts.keys() & stored.keys()
        stored |= parts
    assert sum(part.numel() for part in stored.values()) == shape.num_parameters
    for name, tensor in state.items():
        read = []
        assert torch.equal(from_native(name, lambda n, read=read: read.append(n) or stored[n], shape), tensor)
        assert set(read) == dict(to_native(name, tensor, shape)).keys()


def test_the_preset_has_exactly_codegen25s_parameters():
    shape = PRESETS["codegen2.5-7b"]
    with torch.device("meta"):
        decoder = Decoder(shape)
        # The published config.json; it leaves out what transformers takes then.
        published = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
        theirs = LlamaForCausalLM(LlamaConfig(**published, num_attention_heads=32, vocab_size=51200))
    count = sum(parameter.numel() for parameter in decoder.parameters())
    assert count == shape.num_parameters == theirs.num_parameters() == 6_895_702_016
    matrices = sum(p.numel() for name, p in decoder.named_parameters() if p.ndim == 2 and name[:3] != "wte")
    assert shape.num_matmul_weights == matrices


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_is_at_least_as_exact_as_transformers(dtype):
    generator = torch.Generator().manual_seed(3)
    x, upstream = (3 * torch.randn(2, 40, 96, generator=generator)).to(dtype)
    ours, theirs = RMSNorm(96, eps=1e-6), LlamaRMSNorm(96, eps=1e-6)
    torch.nn.init.normal_(ours.weight, generator=generator)
    theirs.load_state_dict(ours.state_dict())
    theirs.to(dtype)
    exact = RMSNorm(96, eps=1e-6).double()
    exact.load_state_dict(ours.state_dict())

    def measured(norm, x):
        x = x.clone().requires_grad_()
        out = norm(x)
        out.backward(upstream.to(out.dtype))
        return out.detach(), x.grad, norm.weight.grad

    got, their, wide = measured(ours, x), measured(theirs, x), measured(exact, x.double())
    assert [tensor.dtype for tensor in got] == [dtype, dtype, torch.float32]
    for one, other, true in zip(got, their, wide, strict=True):
        error, allowed = ((tensor.double() - true).norm() / true.norm() for tensor in (one, other))
        assert error <= max(1.01 * allowed, 1e-6) < 0.02


REFUSED = [
    ({"num_key_value_heads": 2}, "num_key_value_heads is 2 and num_attention_heads 4.*grouped queries"),
    ({"attention_bias": True}, "attention_bias True"),
    ({"mlp_bias": True}, "mlp_bias True"),
    ({"tie_word_embeddings": True}, "tie_word_embeddings True"),
    ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
    ({"head_dim": 16}, "head_dim is 16"),
    ({"rope_theta": 500000.0}, "rope_theta is 500000"),
    ({"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}, "rope_theta is 500000"),
    ({"rope_parameters": {"rope_theta": 1e4, "rope_type": "linear", "factor": 2.0}}, "of the type 'linear'"),
    ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "of the type 'dynamic'"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "of the type 'llama3'"),
    ({"num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 9}, "multiple of num_heads"),
    ({"num_attention_heads": 0}, "num_attention_heads 0"),
    ({"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 3}, "rotary_dim is 3"),
    ({"rms_norm_eps": 0.0}, "rms_norm_eps 0.0"),
    ({"intermediate_size": 84}, r"has shape \[48, 80\], but config.json asks for \[48, 84\]"),
    (
        {"architectures": ["MistralForCausalLM"]},
        "Mistral.*here GPTJ.* and Llama.* are opened",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_is_not_this_form_is_refused_with_its_reason(theirs, changes, message):
    folder, _ = theirs
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(InputError, match=message) as caught:
        load_model_folder(folder)
    assert str(folder) in str(caught.value)


def test_the_least_that_transformers_4_wrote_is_enough(theirs):
    """CodeGen2.5's own config.json has no key that came later."""
    folder, _ = theirs
    config = json.loads((folder / "config.json").read_text())
    later = ("head_dim", "mlp_bias", "attention_bias", "rope_parameters", "num_key_value_heads", "dtype")
    for key in later:
        config.pop(key)
    (folder / "config.json").write_text(json.dumps(config | {"rope_scaling": None, "torch_dtype": "float32"}))
    assert load_model_folder(folder)[0].architecture.form == "llama"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"form": "gemma", "hidden_dim": 8}, "form is 'gemma'; use one of codegen, llama"),
        ({"form": "llama"}, "hidden_dim is 0; the form llama needs"),
        ({"form": "llama", "hidden_dim": 8, "rotary_dim": 4}, "is 4; the form llama rotates all 8"),
        ({"hidden_dim": -1}, "hidden_dim is -1"),
    ],
)
def test_an_architecture_checks_itself(fields, message):
    shape = {"num_layers": 1, "dim": 16, "num_heads": 2, "rotary_dim": 8}
    with pytest.raises(InputError, match=message):
        Architecture(**(shape | fields), context_tokens=8, vocab_size=9)
