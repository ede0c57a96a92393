"""Say of anyone's model folder, hub model, GGUF file or endpoint whether it is loaded right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spanmix.generate.completions_client import Endpoint
from spanmix.generate.opening import is_url
from spanmix.interchange.verify.endpoint import verify_endpoint
from spanmix.interchange.verify.folder import verify_folder
from spanmix.interchange.verify.gguf import verify_gguf
from spanmix.interchange.verify.result import Verification

GGUF_SUFFIX = ".gguf"
_RETRIES = 2
"""Of a request to a server: an answer within a minute is worth more here than patience."""


def verify(
    target: str,
    seconds: float,
    model: str | None = None,
    api_key: str | None = None,
    timeout_seconds: float = 30.0,
    progress: Callable[[str], None] = lambda stage: None,
) -> Verification:
    """Look at a model from all sides.

    Args:
        target: a folder, a run, a hub model, a ``.gguf`` file, or the address of a server.
        seconds: what the pass through the weights may take; a model that needs more is not measured.
        model: what a server calls the model; None takes the first that it lists.
        api_key: for a server that wants one.
        timeout_seconds: longest wait for one answer of a server.
        progress: is told what is looked at now.

    Raises:
        InputError: it cannot be opened.
        SpanmixError: a server stopped answering.
    """
    if is_url(target):
        endpoint = Endpoint(target, model, api_key, timeout_seconds, _RETRIES)
        try:
            return verify_endpoint(endpoint, progress)
        finally:
            endpoint.close()
    if target.endswith(GGUF_SUFFIX) and Path(target).is_file():
        progress("read the file")
        return verify_gguf(Path(target), seconds)
    return verify_folder(target, seconds, progress)
