"""Look at the tensors of a folder: whether all are there and none besides, and whether they are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from spanmix.interchange.sources import BUFFERS
from spanmix.interchange.tensors import Stored, Tensors
from spanmix.interchange.verify.result import Check, cannot_tell, ok, wrong
from spanmix.model.finite import first_not_finite

_WEIGHTS, _FINITE = "weights", "finite weights"


class WatchedTensors:
    """Tensors that are looked at as they are read, so that a model is read once.

    Args:
        tensors: what is read.
    """

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._seen: dict[str, bool] = {}

    @property
    def path(self) -> Path:
        """Where they are."""
        return self._tensors.path

    @property
    def stored(self) -> Mapping[str, Stored]:
        """What there is, by name."""
        return self._tensors.stored

    @property
    def num_seen(self) -> int:
        """How many were read."""
        return len(self._seen)

    @property
    def broken(self) -> list[str]:
        """The names of those that held NaN or an infinite number."""
        return [name for name, is_broken in self._seen.items() if is_broken]

    def read(self, name: str) -> Tensor:
        """Return a tensor; raises `InputError` if it cannot be read."""
        tensor = self._tensors.read(name)
        if name not in self._seen:
            self._seen[name] = first_not_finite({name: tensor}) is not None
        return tensor


def check_weights(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> Check:
    """Compare the tensors with those that ``config.json`` asks for.

    Args:
        tensors: what is there.
        shapes: name and shape of what has to be there.
    """
    remedy = "fetch the whole folder again; config.json and the weights have to be of one model"
    missing = sorted(shapes.keys() - tensors.stored.keys())
    if missing:
        detail = f"{len(missing)} of {len(shapes)} tensors are missing, first {missing[0]}"
        return wrong(_WEIGHTS, detail, remedy, missing=len(missing), expected=len(shapes))
    for name, shape in shapes.items():
        found = tensors.stored[name]
        if found.shape != shape:
            detail = f"{name} has shape {list(found.shape)}, and config.json asks for {list(shape)}"
            return wrong(_WEIGHTS, detail, remedy, expected=len(shapes))
        if found.dtype is None:
            return wrong(
                _WEIGHTS, f"{name} is stored in a type that is not float32, bfloat16 or float16", remedy
            )
    others = [name for name in sorted(tensors.stored.keys() - shapes.keys()) if not name.endswith(BUFFERS)]
    if others:
        detail = f"{len(others)} tensors are of no use to this decoder, first {others[0]}"
        mend = "merge the adapter, or name the model's own architecture in config.json"
        return wrong(_WEIGHTS, detail, mend, unexpected=len(others), expected=len(shapes))
    return ok(_WEIGHTS, f"all {len(shapes)} tensors are there, and none besides", expected=len(shapes))


def check_finite(tensors: WatchedTensors, num_expected: int) -> Check:
    """Say what was seen of the numbers in `tensors`, of which there are so many."""
    seen = tensors.num_seen
    if broken := tensors.broken:
        detail = f"{len(broken)} of {seen} tensors hold NaN or infinite numbers, first {broken[0]}"
        remedy = "fetch the weights again, or take an earlier checkpoint; nothing mends them"
        return wrong(_FINITE, detail, remedy, broken=len(broken), seen=seen)
    if seen < num_expected:
        return cannot_tell(
            _FINITE, f"only {seen} of {num_expected} tensors were read, and those are finite", seen=seen
        )
    return ok(_FINITE, f"all {seen} tensors hold finite numbers", seen=seen)
