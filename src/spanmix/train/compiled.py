"""Compile the decoder's blocks with ``torch.compile``, each by itself.

All blocks run the same code, so one of them is compiled, and the others use what came out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanmix.model.decoder import Decoder


def compile_blocks(model: Decoder, backend: str | Any = "inductor") -> None:
    """Compile the blocks, in place; the names of parameters stay as they are.

    Args:
        model: the decoder. What wraps single blocks (tensor parallelism, recomputation) has to be there
            already; what cuts weights up (FSDP) comes after.
        backend: what makes code of the recorded operations.
    """
    for block in model.h:
        # Shapes are few: a batch's, that of its last rows, and those of evaluation.
        block.compile(backend=backend, dynamic=False)
