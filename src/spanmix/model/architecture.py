"""Name the decoder's sizes: presets, and the counts that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spanmix.errors import InputError, nearest


@dataclass(frozen=True)
class Architecture:
    """The shape of a CodeGen decoder (arXiv 2203.13474, 2305.02309), which is mathematically GPT-J.

    Args:
        num_layers: decoder blocks.
        dim: width of the residual stream.
        num_heads: attention heads; ``dim`` is a multiple of it.
        rotary_dim: channels of each head that are rotated; even.
        context_tokens: longest sequence the model is meant for.
        vocab_size: rows of the embedding and of the head.
        layer_norm_epsilon: added to the variance.
    """

    num_layers: int
    dim: int
    num_heads: int
    rotary_dim: int
    context_tokens: int
    vocab_size: int
    layer_norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.dim % self.num_heads:
            raise InputError(f"dim is {self.dim}; it must be a multiple of num_heads, {self.num_heads}")
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise InputError(
                f"rotary_dim is {self.rotary_dim}; it must be even and from 2 to the head's {self.head_dim}"
            )

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.dim // self.num_heads

    @property
    def hidden_dim(self) -> int:
        """Width of the MLP."""
        return 4 * self.dim

    @property
    def num_parameters(self) -> int:
        """All learned numbers: L(12d² + 4d + d + 2d) + 2d + 2Vd + V."""
        d, v = self.dim, self.vocab_size
        return self.num_layers * (12 * d * d + 7 * d) + 2 * d + 2 * v * d + v

    @property
    def num_matmul_weights(self) -> int:
        """Weights that are multiplied with every token: the blocks' matrices and the head."""
        return self.num_layers * 12 * self.dim**2 + self.vocab_size * self.dim

    def training_flops(self, num_tokens: int, num_attended_pairs: int, frozen: bool = False) -> int:
        """Floating-point operations of forward and backward.

        Args:
            num_tokens: positions that go through the decoder.
            num_attended_pairs: (query, key) pairs inside segments, the causal half only.
            frozen: whether the matmul weights are not trained, as with LoRA; its additions are not counted.

        Six per token and matmul weight, four if it is frozen; twelve per pair, layer and channel (scores
        and values, each a multiply-add, forward once and backward twice). Recomputation is not counted.
        """
        attention = 12 * self.num_layers * self.dim * num_attended_pairs
        each = 4 if frozen else 6
        return each * self.num_matmul_weights * num_tokens + attention


_CODEGEN2_VOCAB = 51200

PRESETS: dict[str, Architecture] = {
    "demo": Architecture(6, 256, 4, 32, 512, 4096),
    "125m": Architecture(12, 768, 12, 32, 2048, _CODEGEN2_VOCAB),
    "350m": Architecture(20, 1024, 16, 32, 2048, _CODEGEN2_VOCAB),
    "codegen2-1b": Architecture(16, 2048, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-3.7b": Architecture(16, 4096, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-7b": Architecture(32, 4096, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-16b": Architecture(34, 6144, 24, 64, 2048, _CODEGEN2_VOCAB),
}


def preset(name: str, vocab_size: int | None = None, context_tokens: int | None = None) -> Architecture:
    """Return a preset, with another vocabulary or context if given.

    Raises:
        InputError: there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"model.preset is {name!r}, which is unknown{nearest(name, PRESETS)}")
    chosen = PRESETS[name]
    return replace(
        chosen,
        vocab_size=vocab_size or chosen.vocab_size,
        context_tokens=context_tokens or chosen.context_tokens,
    )
