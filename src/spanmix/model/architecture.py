"""Name the decoder's sizes: presets, and the counts that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spanmix.errors import InputError, nearest

FORMS = ("codegen", "llama")


@dataclass(frozen=True)
class Architecture:
    """The shape of a decoder.

    There are two forms. ``codegen`` is CodeGen and CodeGen2 (arXiv 2203.13474, 2305.02309), mathematically
    GPT-J; ``llama`` (arXiv 2302.13971) is CodeGen2.5. `spanmix.model.blocks` says what each computes.

    Args:
        num_layers: decoder blocks.
        dim: width of the residual stream.
        num_heads: attention heads; ``dim`` is a multiple of it.
        rotary_dim: channels of each head that are rotated; even. All of them in the form ``llama``.
        context_tokens: longest sequence the model is meant for.
        vocab_size: rows of the embedding and of the head.
        layer_norm_epsilon: added to the variance, or to the mean square, in a norm.
        form: ``codegen`` or ``llama``.
        hidden_dim: width of the MLP. 0 means ``4 * dim`` in the form ``codegen``; ``llama`` has no such rule.

    Raises:
        InputError: the numbers do not fit together.
    """

    num_layers: int
    dim: int
    num_heads: int
    rotary_dim: int
    context_tokens: int
    vocab_size: int
    layer_norm_epsilon: float = 1e-5
    form: str = "codegen"
    hidden_dim: int = 0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InputError(f"form is {self.form!r}; use one of {', '.join(FORMS)}")
        if self.form == "codegen" and self.hidden_dim == 0:
            object.__setattr__(self, "hidden_dim", 4 * self.dim)
        if self.hidden_dim < 1:
            raise InputError(f"hidden_dim is {self.hidden_dim}; the form {self.form} needs 1 or more")
        if self.dim % self.num_heads:
            raise InputError(f"dim is {self.dim}; it must be a multiple of num_heads, {self.num_heads}")
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise InputError(
                f"rotary_dim is {self.rotary_dim}; it must be even and from 2 to the head's {self.head_dim}"
            )
        if self.form == "llama" and self.rotary_dim != self.head_dim:
            raise InputError(
                f"rotary_dim is {self.rotary_dim}; the form llama rotates all {self.head_dim} of a head"
            )

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.dim // self.num_heads

    @property
    def num_parameters(self) -> int:
        """All learned numbers: matrices, norms and biases of the blocks, last norm, embedding and head."""
        d, h, v = self.dim, self.hidden_dim, self.vocab_size
        of_block, outer = (2 * d, d) if self.form == "llama" else (2 * d + h + d, 2 * d + v)
        return self.num_layers * (self.num_block_weights + of_block) + outer + 2 * v * d

    @property
    def num_matmul_weights(self) -> int:
        """Weights that are multiplied with every token: the blocks' matrices and the head."""
        return self.num_layers * self.num_block_weights + self.vocab_size * self.dim

    @property
    def num_block_weights(self) -> int:
        """Numbers of one block's matrices: attention's, into the MLP's hidden layer, and out of it."""
        return 4 * self.dim**2 + (self.num_hidden_maps + 1) * self.dim * self.hidden_dim

    @property
    def num_hidden_maps(self) -> int:
        """Matrices of one block that lead into the MLP's hidden layer: two where it is gated."""
        return 2 if self.form == "llama" else 1

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
    "tiny": Architecture(3, 64, 4, 16, 512, 4096),
    "demo": Architecture(6, 256, 4, 32, 512, 4096),
    "125m": Architecture(12, 768, 12, 32, 2048, _CODEGEN2_VOCAB),
    "350m": Architecture(20, 1024, 16, 32, 2048, _CODEGEN2_VOCAB),
    "codegen2-1b": Architecture(16, 2048, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-3.7b": Architecture(16, 4096, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-7b": Architecture(32, 4096, 16, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2-16b": Architecture(34, 6144, 24, 64, 2048, _CODEGEN2_VOCAB),
    "codegen2.5-7b": Architecture(32, 4096, 32, 128, 2048, _CODEGEN2_VOCAB, 1e-6, "llama", 11008),
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
