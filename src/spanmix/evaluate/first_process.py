"""Let the first process of a run ask a model in training, while the others wait.

What a model writes decides how long it goes on, so processes that write together could part ways. The tensors
are therefore gathered, as for the model folder, and the first process asks a plain decoder of its own: whole,
with LoRA's additions in its matrices, and neither compiled, cut up nor in float8. The model in training is
left alone. The copy takes memory while it is asked: the host's for float32, and the device's for what the run
computes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from spanmix.config import Recipe
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.decoder import Decoder
from spanmix.model.layers import Linear
from spanmix.train.lora import merged
from spanmix.train.machine import compute_dtype
from spanmix.train.parallel import gathered
from spanmix.train.ranks import is_first_process

_PATIENCE = timedelta(days=1)
"""How long the others wait; a process that ends ends the waiting, too."""
_CACHE_BYTES = 1 << 30


class FirstProcess:
    """Asks models of a run; to be made in all of its processes, in the same order.

    Args:
        recipe: a resolved recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        # Of its own: the run's other groups lose patience within minutes.
        self._group = dist.new_group(backend="gloo", timeout=_PATIENCE) if dist.is_initialized() else None

    def figures(self, model: Decoder, measure: Callable[[TorchEngine], dict[str, float]]) -> dict[str, float]:
        """Return what `measure` finds with an engine of the model as it is now; {} in the other processes.

        All processes enter, and leave together.
        """
        state = gathered(model)
        figures: dict[str, float] = {}
        if is_first_process():
            with _free_to_choose_kernels():
                figures = measure(self._engine(model, state))
        if self._group is not None:
            dist.barrier(group=self._group)
        return figures

    def _engine(self, model: Decoder, state: dict[str, torch.Tensor]) -> TorchEngine:
        lora, dtype = self._recipe.model.lora, compute_dtype(self._recipe)
        with torch.device("meta"):
            copied = Decoder(model.architecture)
        copied.load_state_dict(merged(state, lora) if lora else state, assign=True)
        if self._recipe.run.device == "cuda":
            for module in copied.modules():
                if isinstance(module, Linear):
                    module.to(dtype)  # before it goes there, where memory is scarce
            copied.to("cuda")
        return TorchEngine(copied, dtype, cache_bytes=_CACHE_BYTES, pack=True)


@contextmanager
def _free_to_choose_kernels() -> Iterator[None]:
    """Allow kernels that a training step may not use: some that sampling needs have no other on a GPU."""
    strict = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict)
