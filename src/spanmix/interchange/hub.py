"""Find the folder of a checkpoint by name, and fetch the weights of hub models that are pickles."""

from __future__ import annotations

from pathlib import Path

from spanmix.errors import InputError
from spanmix.model.folder import fetch_from_hub, resolve_model

_PICKLES = ("pytorch_model*.bin",)


def source_folder(name: str) -> Path:
    """Return the folder of a model folder, a run or a hub model.

    Weights in pickles are fetched only if the hub's model has no others.

    Raises:
        InputError: there is no such model, or the hub did not give it.
    """
    if Path(name).is_file():
        of_it = "name the model that it was made from" if name.endswith(".gguf") else "name the folder of it"
        raise InputError(f"{name} is a file, and a model is a folder; {of_it}")
    path = resolve_model(name)
    weights = [*path.glob("*.safetensors"), *path.glob("model.bin")]
    return path if Path(name).exists() or weights else fetch_from_hub(name, _PICKLES)
