"""Decide, by static rules, what a run is computed on: device, number format, threads, memory.

Nothing here is measured, so a run that is started again computes the same bits.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import replace

import torch

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.model.devices import computes_bf16

_DTYPES = {"float8": torch.bfloat16, "bf16": torch.bfloat16, "fp32": torch.float32}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def resolve(recipe: Recipe) -> Recipe:
    """Replace every ``auto`` in the recipe by what this machine will use.

    Raises:
        InputError: the recipe asks for a GPU and there is none, or for what cannot be compiled.
    """
    run = recipe.run
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("run.device is 'cuda', but PyTorch sees no GPU here; use 'cpu' or 'auto'")
    precision = run.precision
    if precision == "auto":
        precision = "bf16" if computes_bf16(device) else "fp32"
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of this run on this machine
    num_threads = run.num_threads or max(1, len(os.sched_getaffinity(0)) // beside)
    resolved = replace(
        run,
        device=device,
        precision=precision,
        num_threads=num_threads,
        compile=_compile(recipe, device),
    )
    return replace(recipe, run=resolved)


def compute_dtype(recipe: Recipe) -> torch.dtype:
    """Return the number format of a resolved recipe, but for the products that are in float8."""
    return _DTYPES[recipe.run.precision]


def compiler(recipe: Recipe) -> str | None:
    """Return what compiles the blocks of a resolved recipe's decoder, or None if nothing does."""
    return "inductor" if recipe.run.compile == "blocks" else None


def prepare_process(num_threads: int) -> None:
    """Set threads, deterministic algorithms and the allocator for training.

    By default glibc gives every large buffer back to the system when it is freed, and takes it again
    page by page at the next step. Keeping it makes large matrix products up to twice as fast.

    cuBLAS reads the size of its workspace when it is used first, and is deterministic with a fixed one alone;
    this is PyTorch's own size on Hopper.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    # By default every new tensor is then filled with NaN, to show who reads what was never written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def matmul_peak_flops(dtype: torch.dtype, device: str, repeats: int = 5) -> float:
    """Measure the processor's speed in multiplying square matrices, in operations a second.

    On a machine that is busy with other work that is less than it could do. The matrices have 2,048 rows, and
    8,192 on a GPU, for which the smaller ones are too little work. Used to report a share of the peak, never
    to decide anything.
    """
    import time

    size = 8192 if device == "cuda" else 2048
    a = torch.ones(size, size, dtype=dtype, device=device)
    if device == "cuda":  # a GPU multiplies ones faster than other numbers: they take less power
        a.normal_(generator=torch.Generator(device).manual_seed(0))
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return float(2 * size**3 / sorted(seconds[1:])[repeats // 2])


def _compile(recipe: Recipe, device: str) -> str:
    """Return what is compiled: on a GPU the blocks, where they are not asked to stay as they are."""
    asked, lora = recipe.run.compile, recipe.model.lora is not None
    if asked == "auto":
        return "blocks" if device == "cuda" and not lora else "none"
    if asked == "blocks" and device == "cpu":
        raise InputError(
            "run.compile is 'blocks' and the device a CPU, whose attention is made of library calls that a "
            "compiler cannot join; use 'none' or 'auto'"
        )
    if asked == "blocks" and lora:
        raise InputError("run.compile is 'blocks' and model.lora is set, which is not compiled; use 'none'")
    return asked
