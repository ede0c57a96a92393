"""Give the elements of `RowDataset` the form that models of transformers train on, with their Trainer.

transformers shifts labels itself, so a row of T positions becomes one of T + 1 tokens: the token behind the
last position of a segment, which is only predicted, becomes a label at the next place. The loss over a batch
is then the same as ours. ::

    args = TrainingArguments(..., remove_unused_columns=False)
    Trainer(model, args, train_dataset=RowDataset(loader), data_collator=TransformersCollator())
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spanmix.data.torch_rows import Element
from spanmix.data.visible import allowed
from spanmix.errors import InputError

_IGNORED = -100


class TransformersCollator:
    """Makes ``input_ids``, ``labels``, ``position_ids`` and ``attention_mask`` of elements of `RowDataset`.

    Args:
        dtype: of the mask, which is added to the attention scores: that of the model's activations.
        mask: whether to make the mask, float [B, 1, T + 1, T + 1]. Without it transformers tells documents
            apart where ``position_ids`` start again, which costs no memory and lets its FlashAttention and
            FlexAttention kernels skip; that is right for causal objectives with ``document_mask: true`` and
            ``positions: restart``, and anything else is refused.
    """

    def __init__(self, dtype: torch.dtype = torch.float32, mask: bool = True) -> None:
        self._dtype = dtype
        self._mask = mask

    def __call__(self, elements: Sequence[Element]) -> dict[str, Any]:
        """Return a batch of all rows of the elements, in their order.

        Raises:
            InputError: the rows are no neighbors in the run, so the trainer has mixed their order; or they
                need a mask.
        """
        _check_order(elements)
        tensors = [name for name, value in elements[0].items() if isinstance(value, Tensor)]
        rows = {name: torch.cat([element[name] for element in elements]) for name in tensors}
        weights, targets = rows["loss_weights"], rows["targets"].long()
        assert bool(((weights == 0) | (weights == 1)).all()), "transformers knows no weights between 0 and 1"
        labels = torch.full((len(targets), targets.shape[1] + 1), _IGNORED)
        labels[:, 1:] = targets.masked_fill(weights == 0, _IGNORED)
        batch = {
            "input_ids": _widened(rows["token_ids"].long(), targets[:, -1]),
            "labels": labels,
            "position_ids": _widened(rows["positions"].long(), 0),
            # With a cache, which it makes by default, transformers does not look where positions start again.
            "use_cache": False,
        }
        if self._mask:
            return batch | {"attention_mask": self._additive(rows["segment_ids"], rows["in_prefix"])}
        _check_needs_no_mask(rows["segment_ids"], rows["in_prefix"], rows["positions"])
        return batch

    def _additive(self, segment_ids_BT: Tensor, in_prefix_BT: Tensor) -> Tensor:
        """Return 0 where a query may look and -inf where it may not: [B, 1, T + 1, T + 1]."""
        segments, prefix = _widened(segment_ids_BT, -1), _widened(in_prefix_BT, False)
        index = torch.arange(segments.shape[1])
        visible = allowed(
            segments[:, :, None], segments[:, None, :], index[:, None], index[None, :], prefix[:, None, :]
        )
        return torch.zeros(visible.shape, dtype=self._dtype).masked_fill_(~visible, float("-inf"))[:, None]


def _widened(values_BT: Tensor, last: Any) -> Tensor:
    """Return the values with one more column."""
    wide = values_BT.new_empty(values_BT.shape[0], values_BT.shape[1] + 1)
    wide[:, :-1], wide[:, -1] = values_BT, last
    return wide


def _check_order(elements: Sequence[Element]) -> None:
    if not elements or "token_ids" not in elements[0]:
        raise InputError(
            f"the elements hold {', '.join(elements[0]) if elements else 'nothing'}, not what RowDataset "
            "makes; give TrainingArguments remove_unused_columns=False"
        )
    expected = elements[0]["first_row"]
    for element in elements:
        if element["first_row"] != expected:
            raise InputError(
                f"row {element['first_row']} comes where row {expected} was due: each worker of a DataLoader "
                "makes every n-th element of RowDataset, so with more than one let an element be a batch "
                "(RowDataset(loader, rows=N), and a batch size of 1), or use one"
            )
        expected += len(element["token_ids"])


def _check_needs_no_mask(segment_ids_BT: Tensor, in_prefix_BT: Tensor, positions_BT: Tensor) -> None:
    starts = segment_ids_BT[:, 1:] != segment_ids_BT[:, :-1]
    restarts = positions_BT[:, 1:] != positions_BT[:, :-1] + 1
    if bool(in_prefix_BT.any()) or not torch.equal(starts, restarts):
        raise InputError(
            "these rows need TransformersCollator(mask=True): transformers could not tell from the positions "
            "who may see whom (a bidirectional prefix, document_mask: false or positions: continue)"
        )
