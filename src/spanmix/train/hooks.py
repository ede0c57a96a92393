"""What the loop calls now and then: `Hook`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from spanmix.model.decoder import Decoder


class Hook(Protocol):
    """Measures a model during training. The command line builds hooks, so the loop never imports them."""

    every_steps: int
    kind: str
    """What its figures are filed under in ``metrics.jsonl``."""

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return named figures for this step; the model must be left as it was."""
        ...
