"""The decoder's layer norm on a GPU."""

import torch
import torch.nn.functional as F

from spanmix.model.layers import LayerNorm


def test_a_widened_norm_is_that_of_a_cpu():
    """Of bfloat16 by float32 weights, which a GPU's kernel refuses: forward and backward."""
    generator = torch.Generator().manual_seed(3)
    x, upstream = (3 * torch.randn(2, 40, 96, generator=generator) + 1).bfloat16()
    norm = LayerNorm(96)
    torch.nn.init.normal_(norm.weight, generator=generator)
    torch.nn.init.normal_(norm.bias, generator=generator)

    def measured(function, inputs, weight, bias):
        inputs, weight, bias = (tensor.detach().clone().requires_grad_() for tensor in (inputs, weight, bias))
        out = function(inputs, weight, bias)
        out.backward(upstream.to(out.dtype))
        return [out.detach(), inputs.grad, weight.grad, bias.grad]

    def of_a_module(name):
        def function(inputs, weight, bias):
            return torch.func.functional_call(
                Called(name), {"norm.weight": weight, "norm.bias": bias}, inputs
            )

        return function

    class Called(torch.nn.Module):
        def __init__(self, name):
            super().__init__()
            self.norm, self.name = norm, name

        def forward(self, inputs):
            return getattr(self.norm, self.name)(inputs)

    cpu = measured(of_a_module("forward"), x, norm.weight, norm.bias)
    gpu = measured(of_a_module("widened"), x, norm.weight, norm.bias)
    wide = measured(
        lambda *given: F.layer_norm(given[0], (96,), *given[1:]),
        *map(torch.Tensor.double, (x, norm.weight, norm.bias)),
    )
    assert [tensor.dtype for tensor in gpu] == [tensor.dtype for tensor in cpu]
    for ours, theirs, exact in zip(gpu, cpu, wide, strict=True):
        error, allowed = ((tensor.double() - exact).norm() / exact.norm() for tensor in (ours, theirs))
        assert error <= 1.01 * allowed < 0.02
    assert gpu[0].dtype == torch.bfloat16 and gpu[2].dtype == torch.float32
