"""Say on what something was measured, for reports."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any


def measured_on() -> dict[str, Any]:
    """Return the machine, and the versions of what computes."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
