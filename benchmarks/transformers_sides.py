"""The decoder of Spanmix's presets as transformers has it, for every benchmark that times one beside it."""

from __future__ import annotations

import torch


def gptj(
    vocab_size: int, context_tokens: int, dim: int, num_layers: int, num_heads: int, rotary_dim: int
) -> torch.nn.Module:
    """Return a ``GPTJForCausalLM`` with random weights, without dropout and without a cache."""
    import transformers

    config = transformers.GPTJConfig(
        vocab_size=vocab_size,
        n_positions=context_tokens,
        n_embd=dim,
        n_layer=num_layers,
        n_head=num_heads,
        rotary_dim=rotary_dim,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        use_cache=False,
    )
    model: torch.nn.Module = transformers.GPTJForCausalLM(config)
    return model
