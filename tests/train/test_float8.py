"""Products in float8: torchao's emulation of them, as no CPU has units for it."""

import pytest
import torch

from spanmix.errors import InputError
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.recipes import load_recipe
from spanmix.train import machine
from spanmix.train.float8 import require_float8, use_float8
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig

from .test_compiled import packed

SHAPE = Architecture(3, 64, 4, 8, 96, 512)
OPTIMIZER = OptimizerConfig(1e-2)


def trained(float8, compile_with=None, checkpointing="none"):
    model = Decoder(SHAPE, seed=1)
    if float8:
        use_float8(model, emulate=True)
    spread(model, Ranks(Layout()), checkpointing, torch.bfloat16, compile_with)
    step = TrainStep(model, build_optimizers(model, OPTIMIZER), torch.bfloat16, 0, OPTIMIZER)
    return model, [step(packed(number % 2), 1e-2).mean for number in range(8)]


@pytest.mark.parametrize("compile_with", [None, "aot_eager"])
def test_losses_are_close_to_those_of_bf16(compile_with):
    torch._dynamo.reset()
    bf16, expected = trained(float8=False)
    model, losses = trained(float8=True, compile_with=compile_with)
    assert losses == pytest.approx(expected, rel=0.02) and losses != expected
    assert losses[-1] < 0.9 * losses[0]
    assert list(model.state_dict()) == list(bf16.state_dict())
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())
    bf16.load_state_dict(model.state_dict())


def test_only_the_matrices_of_blocks_are_changed():
    model = Decoder(SHAPE, seed=1)
    use_float8(model, emulate=True)
    changed = {name for name, module in model.named_modules() if type(module).__name__ == "Float8Linear"}
    parts = ("attn.qkv_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out")
    assert changed == {f"h.{layer}.{part}" for layer in range(3) for part in parts}
    odd = Decoder(Architecture(1, 40, 4, 8, 64, 512), seed=1)  # no multiples of 16 but of the MLP's
    use_float8(odd, emulate=True)
    assert not any(type(module).__name__ == "Float8Linear" for module in odd.modules())


@pytest.fixture
def hopper(monkeypatch):
    """Pretends that there is a GPU with float8 units."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")


def checked(*overrides):
    require_float8(machine.resolve(load_recipe("demo", ["run.precision=float8", *overrides])))


def test_float8_is_taken_where_it_can_be_computed(hopper):
    checked()
    assert machine.compute_dtype(load_recipe("demo", ["run.precision=float8"])) == torch.bfloat16


def test_float8_is_refused_where_it_cannot_be_computed(hopper, monkeypatch):
    refused = {
        "run.device is cpu": ["run.device=cpu"],
        "parallel.tensor_size 2": ["parallel.tensor_size=2"],
        "model.lora is set": ["model.preset=null", "model.init_from=b", "model.lora={rank: 4, alpha: 8}"],
        "data.row_tokens 200; use a multiple of 16": ["data.row_tokens=200"],
    }
    for said, overrides in refused.items():
        with pytest.raises(InputError, match=said):
            checked(*overrides)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    with pytest.raises(InputError, match=r"compute capability 8\.0; float8 needs 8\.9"):
        checked()
    monkeypatch.setattr("spanmix.train.float8.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'spanmix\[gpu\]'"):
        checked()
