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

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def resolve(recipe: Recipe) -> Recipe:
    """Replace every ``auto`` in the recipe by what this machine will use.

    Raises:
        InputError: the recipe asks for a GPU and there is none.
    """
    run = recipe.run
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("run.device is 'cuda', but PyTorch sees no GPU here; use 'cpu' or 'auto'")
    precision = run.precision
    if precision == "auto":
        precision = "bf16" if _computes_bf16(device) else "fp32"
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of this run on this machine
    num_threads = run.num_threads or max(1, len(os.sched_getaffinity(0)) // beside)
    return replace(recipe, run=replace(run, device=device, precision=precision, num_threads=num_threads))


def compute_dtype(recipe: Recipe) -> torch.dtype:
    """Return the number format of a resolved recipe."""
    return _DTYPES[recipe.run.precision]


def prepare_process(num_threads: int) -> None:
    """Set threads, deterministic algorithms and the allocator for training.

    By default glibc gives every large buffer back to the system when it is freed, and takes it again
    page by page at the next step. Keeping it makes large matrix products up to twice as fast.
    """
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def matmul_peak_flops(dtype: torch.dtype, device: str, repeats: int = 5) -> float:
    """Measure the processor's speed in multiplying 2,048-cube matrices, in operations a second.

    Used to report a share of the peak, never to decide anything.
    """
    import time

    size = 2048
    a = torch.ones(size, size, dtype=dtype, device=device)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return float(2 * size**3 / sorted(seconds[1:])[repeats // 2])


def _computes_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
