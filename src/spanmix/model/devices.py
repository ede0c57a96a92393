"""What a device can compute."""

from __future__ import annotations

import torch

from spanmix.errors import InputError


def check_device(name: str) -> None:
    """Look whether PyTorch can compute on a device of this name.

    Raises:
        InputError: this machine has none.
    """
    known = ["cpu"]
    if (own := torch.accelerator.current_accelerator(check_available=True)) is not None:
        known += [own.type, *(f"{own.type}:{index}" for index in range(torch.accelerator.device_count()))]
    if name not in known:
        raise InputError(f"there is no device {name!r} here; PyTorch can compute on {', '.join(known)}")


def computes_bf16(device: str) -> bool:
    """Return whether a device, ``cpu`` or ``cuda``, has instructions for bf16."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
