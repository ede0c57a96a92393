"""Count the bytes that a training step holds on one device, part by part, without making a tensor.

A step is fullest at one of a few moments, and what is there at one is not at another, so each is counted by
itself::

    start         while a spread run's model is cut up: on a CPU all of it, to a GPU it comes in parts
    loss          the end of a forward pass: all that is kept for the backward pass, and the loss's own work
    first block   of the backward pass, the decoder's last: its activations computed again, its gradients
    last block    of the backward pass: one block's activations, and the gradients of all
    update        all gradients, and no activation any more

What a block keeps is what autograd saves in `spanmix.model`; what FSDP holds is read off PyTorch's
``fully_shard``: the embedding, head and last norm stay gathered from the forward to the backward pass, and
two blocks are gathered at once, in the precision that is computed in. Gradients are summed and cut up in
every micro-batch where weights are cut up.
"""

from __future__ import annotations

from spanmix.model.attention import KEPT_KEYS
from spanmix.model.masks import TILE_QUERIES
from spanmix.train.loss import SOFTMAX_BYTES, chunk_bytes
from spanmix.train.step_shape import StepShape, block_weights, local_size

_WIDE = 4
"""Bytes of a number in float32: weights, gradients and the optimizers' moments are that in any precision."""


def step_memory(step: StepShape) -> dict[str, dict[str, int]]:
    """Return the bytes of each part at each moment, in one process (the fullest, where shards are uneven)."""
    of_muon = step.muon_size()
    held = {
        "weights": _WIDE * step.size(sharded=True),
        "AdamW state": 2 * _WIDE * (step.size(sharded=True) - of_muon),
    }
    if of_muon:
        held["Muon state"] = _WIDE * of_muon
    moments = {
        "loss": held | _at_the_loss(step),
        "first block": held | _at_the_first_block(step),
        "last block": held | _at_the_last_block(step),
        "update": held | _at_the_update(step),
    }
    if step.is_spread:
        moments = {"start": {"weights": _at_the_start(step)}} | moments
    return moments


def _at_the_start(step: StepShape) -> int:
    if step.device == "cpu":
        return _WIDE * step.architecture.num_parameters
    return _WIDE * (step.size(sharded=True) + max(step.block_size(), step.outer_size()))


def _at_the_loss(step: StepShape) -> dict[str, int]:
    d, v, e = step.architecture.dim, step.architecture.vocab_size, step.element_bytes
    tokens = step.micro_batch_tokens
    logits = min(chunk_bytes(step.device), tokens * v * e)
    softmax = 0  # a GPU makes it in place
    if step.device == "cpu":
        softmax = 2 * min(SOFTMAX_BYTES, logits // e * _WIDE)
    hidden = 3 * tokens * d * e  # after the last norm, those that carry loss, their gradient
    # The head's gradient, added up, and either that of one chunk of positions or the softmax of a few.
    return {
        "gradients": _accumulated(step),
        "gathered weights": _gathered(step, 0),
        "activations": kept_activations(step),
        "weights in bf16": step.architecture.num_layers * _kept_copies(step) + _copies(step, v * d),
        "loss": logits + hidden + _WIDE * v * d + max(e * v * d, softmax),
    }


def _at_the_first_block(step: StepShape) -> dict[str, int]:
    head = _WIDE * step.architecture.vocab_size * step.architecture.dim
    return {
        "gradients": max(_accumulated(step), head) + _gradients_in_flight(step),
        "gathered weights": _gathered(step, 2),
        "activations": kept_activations(step) + _work_of_a_block(step),
        "weights in bf16": step.architecture.num_layers * _kept_copies(step) + _copies_made_again(step),
    }


def _at_the_last_block(step: StepShape) -> dict[str, int]:
    blocks = _WIDE * step.architecture.num_layers * step.block_size(sharded=True)
    outer = _WIDE * step.architecture.vocab_size * step.architecture.dim  # the head's, not yet summed
    if step.num_micro_batches > 1:
        earlier = _WIDE * step.outer_size(sharded=True)
        outer = outer + earlier if step.layout.shard > 1 else max(outer, earlier)
    return {
        "gradients": blocks + outer + _gradients_in_flight(step),
        "gathered weights": _gathered(step, 2),
        "activations": _kept_by_a_block(step) + _kept_by_all(step) + _work_of_a_block(step),
        "weights in bf16": _kept_copies(step) + _copies_made_again(step),
    }


def _at_the_update(step: StepShape) -> dict[str, int]:
    in_flight = 2 * _WIDE * step.outer_size() if step.is_spread else 0  # whole, and being summed
    parts = {"gradients": _WIDE * step.size(sharded=True) + in_flight}
    if step.muon_size():
        parts["Muon's work"] = _orthogonalized(step)
    return parts


def _orthogonalized(step: StepShape) -> int:
    """Bytes of one matrix in Muon's hands, the largest: in float32 and twice in bf16, and two of D x D."""
    largest = max(
        local_size(w, step.layout.tensor, step.layout.shard)
        for w in block_weights(step.architecture)
        if len(w.shape) > 1
    )
    return (_WIDE + 2 + 2) * largest + 2 * 2 * step.architecture.dim**2


def _gathered(step: StepShape, blocks: int) -> int:
    """Bytes of what FSDP has gathered: what is outside the blocks, as wide as it is, and some blocks.

    In the backward pass these are the one in use, and the one that comes next.
    """
    if not step.is_spread:
        return 0
    if step.layout.shard == 1:
        blocks = min(blocks, 1)
    return _WIDE * step.outer_size() + blocks * step.element_bytes * step.block_size()


def _gradients_in_flight(step: StepShape) -> int:
    """Bytes of one block's gradients as autograd made them, and of another's that are being summed."""
    return (step.element_bytes + _WIDE) * step.block_size() if step.is_spread else 0


def _work_of_a_block(step: StepShape) -> int:
    """Bytes of activations that are there while one block's gradients are computed, beside what was kept."""
    architecture = step.architecture
    again = 0 if step.checkpointing == "none" else block_activations(step) - _kept_by_a_block(step)
    # The gradient that comes from above and what it becomes; two as wide as the MLP's hidden layer.
    widths = 2 * architecture.dim + 2 * architecture.hidden_dim // step.layout.tensor
    return again + step.micro_batch_tokens * step.element_bytes * widths


def _accumulated(step: StepShape) -> int:
    """Bytes of the gradients of earlier micro-batches; shards have summed and cut them up."""
    return _WIDE * step.size(sharded=True) if step.num_micro_batches > 1 else 0


def _block_matrices(step: StepShape) -> int:
    return sum(
        local_size(w, step.layout.tensor) for w in block_weights(step.architecture) if len(w.shape) > 1
    )


def _copies(step: StepShape, num_weights: int) -> int:
    """Bytes of copies of weights in the precision that is computed in; float32 needs none."""
    return step.element_bytes * num_weights if step.element_bytes < _WIDE else 0


def _kept_copies(step: StepShape) -> int:
    """Bytes of the copies of one block's matrices that autograd keeps, unless they are made again.

    A spread run gathers blocks in that precision, and lets go of them.
    """
    if step.is_spread or step.checkpointing != "none":
        return 0
    return _copies(step, _block_matrices(step))


def _copies_made_again(step: StepShape) -> int:
    if step.is_spread or step.checkpointing == "none":
        return 0
    return _copies(step, _block_matrices(step))


def kept_activations(step: StepShape) -> int:
    """Return the bytes of activations that the forward pass leaves for the backward pass."""
    return step.architecture.num_layers * _kept_by_a_block(step) + _kept_by_all(step)


def _kept_by_all(step: StepShape) -> int:
    """Bytes of what all blocks share: what goes into the last norm, the rotary angles, who sees whom."""
    architecture, tokens = step.architecture, step.micro_batch_tokens
    last_norm = _kept_by_a_norm(step)
    angles = tokens * architecture.rotary_dim * _WIDE
    pairs = tokens * step.row_tokens if step.device == "cpu" else 0  # FlexAttention holds blocks of them
    return last_norm + angles + pairs * (3 if step.precision == "bf16" else 1)


def _kept_by_a_norm(step: StepShape) -> int:
    """Bytes of what goes into a norm, and of each position's mean and deviation.

    `RMSNorm` keeps its input in float32, on a CPU also what it is divided to, and has no mean.
    """
    tokens, d = step.micro_batch_tokens, step.architecture.dim
    if step.architecture.form == "llama":
        return tokens * _WIDE * ((2 if step.device == "cpu" else 1) * d + 1)
    return tokens * (step.element_bytes * d + 2 * _WIDE)


def block_activations(step: StepShape) -> int:
    """Return the bytes that autograd saves in one block if nothing is computed again.

    In widths of the residual stream, D: what goes into the block's norm and into its two branches (2),
    queries, keys and values (3), the first two again after rotation (2), what attention gives (1), the MLP's
    hidden layer before and after GELU (8). All but the first two are cut along ``tensor``.
    `BlockedAttention` keeps copies of rotated queries, keys and values alone, and probabilities. The form
    ``llama`` has two norms, and a gate beside the hidden layer, before and after SiLU, too.
    """
    architecture, tokens, e = step.architecture, step.micro_batch_tokens, step.element_bytes
    d, t = architecture.dim, step.layout.tensor
    if step.device == "cpu" and step.precision == "bf16":
        probabilities = tokens // step.row_tokens * _kept_pairs(step.row_tokens) * architecture.num_heads
        attention = e * (tokens * 4 * d + probabilities) // t
    else:
        attention = (
            tokens * (e * 6 * d + _WIDE * architecture.num_heads) // t
        )  # with the softmax's normalizers
    if step.device == "cpu" and step.precision == "fp32":
        attention += _WIDE * tokens * step.row_tokens  # the mask, as numbers, in every block
    mlp = 2 * architecture.num_hidden_maps * tokens * e * architecture.hidden_dim // t
    norms = 2 if architecture.form == "llama" else 1
    return norms * (_kept_by_a_norm(step) + tokens * e * d) + attention + mlp


def _kept_pairs(row_tokens: int) -> int:
    """Count the pairs of query and key in a row whose probability `BlockedAttention` keeps."""
    pairs = 0
    for start in range(0, row_tokens, TILE_QUERIES):
        stop = min(start + TILE_QUERIES, row_tokens)
        pairs += (stop - start) * stop if stop <= KEPT_KEYS else 0
    return pairs


def _kept_by_a_block(step: StepShape) -> int:
    architecture, t = step.architecture, step.layout.tensor
    d, hidden = architecture.dim, architecture.num_hidden_maps * architecture.hidden_dim
    entrance = step.micro_batch_tokens * step.element_bytes * d
    if step.checkpointing == "none":
        return block_activations(step)
    if step.checkpointing == "full":
        return entrance
    # The results of the matrix products: 3 D and D of attention, the hidden layer and D of the MLP.
    return entrance + step.micro_batch_tokens * step.element_bytes * (2 * d + (3 * d + hidden) // t)
