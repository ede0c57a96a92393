"""Store the numbers of matrices as llama.cpp does: float32, float16, bfloat16, or 8 bits in blocks of 32."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spanmix.errors import InputError

if TYPE_CHECKING:
    import gguf

_LARGEST_FLOAT16 = 65504.0


@dataclass(frozen=True)
class Packing:
    """How the numbers of matrices are stored.

    Args:
        kind: what matrices are stored in, one of the types of ``gguf`` in `spanmix.interchange.layouts`;
            vectors are always float32.
        type: llama.cpp's type of matrices.
        vector_type: and of vectors.
        file_type: llama.cpp's number for a file of such matrices.
        block: numbers in a row that are stored together.
        block_bytes: what they take.
    """

    kind: str
    type: gguf.GGMLQuantizationType
    vector_type: gguf.GGMLQuantizationType
    file_type: int
    block: int
    block_bytes: int

    def require_width(self, width: int) -> None:
        """Raise `InputError` if rows of so many numbers are not whole blocks."""
        if width % self.block:
            raise InputError(
                f"the model has matrices of width {width}, and {self.kind} stores blocks of {self.block} "
                "numbers; use f16 or bf16"
            )

    def require_held(self, name: str, tensor: Tensor) -> None:
        """Raise `InputError` if a matrix has numbers that are too large; a block of q8_0 has a float16."""
        most = {"f16": _LARGEST_FLOAT16, "q8_0": 127 * _LARGEST_FLOAT16}.get(self.kind, math.inf)
        if tensor.ndim == 2 and float(tensor.abs().amax()) > most:
            raise InputError(f"the tensor {name} holds numbers that {self.kind} cannot; use bf16 or f32")

    def num_bytes(self, shape: tuple[int, ...]) -> int:
        """Return the bytes of a tensor."""
        if len(shape) == 1:
            return 4 * shape[0]
        return math.prod(shape) // self.block * self.block_bytes

    def pack(self, tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        """Return a float32 tensor as it is stored."""
        import gguf

        return gguf.quantize(tensor.contiguous().numpy(), self.type if tensor.ndim == 2 else self.vector_type)

    def rounded(self, tensor: Tensor) -> Tensor:
        """Return a tensor with every number as it comes back from a file, float32."""
        import gguf

        if tensor.ndim != 2:
            return tensor.float()
        return torch.from_numpy(gguf.dequantize(self.pack(tensor.float()), self.type))


def packing_of(kind: str) -> Packing:
    """Return how a kind is stored.

    Raises:
        InputError: ``gguf`` is not installed.
    """
    try:
        import gguf
    except ImportError:
        raise InputError("to write GGUF files install `pip install 'spanmix[gguf]'`") from None
    matrix = gguf.GGMLQuantizationType[kind.upper()]
    file_types = {
        "f32": gguf.LlamaFileType.ALL_F32,
        "f16": gguf.LlamaFileType.MOSTLY_F16,
        "bf16": gguf.LlamaFileType.MOSTLY_BF16,
        "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }
    vector = gguf.GGMLQuantizationType.F32
    return Packing(kind, matrix, vector, int(file_types[kind]), *gguf.GGML_QUANT_SIZES[matrix])
