"""The layouts that a checkpoint can be written in, and what each can store its weights in."""

from __future__ import annotations

_CHECKPOINT = ("fp32", "bf16", "fp16")
LAYOUTS = {
    "native": _CHECKPOINT,
    "codegen": _CHECKPOINT,
    "codegen2": _CHECKPOINT,
    "ctranslate2": ("int8", "int8_float16", "int8_bfloat16", "float16", "bfloat16", "float32"),
    "gguf": ("q8_0", "f16", "bf16", "f32"),
}
"""Name, and the types under the names that programs for that layout use. A checkpoint keeps the source's
type if none is asked for; the others take the first."""

QUANTIZED = ("ctranslate2", "gguf")
"""Layouts for one program, whose types include rounded ones."""
