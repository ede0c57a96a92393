"""What a device can compute."""

from __future__ import annotations

import torch


def computes_bf16(device: str) -> bool:
    """Return whether a device, ``cpu`` or ``cuda``, has instructions for bf16."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
