"""lm-eval's `local-completions` against its own `hf`, on the same weights in float32."""

from __future__ import annotations

import os
from pathlib import Path

from own_python import install, run_script
from report import Report

_SCRIPT = Path(__file__).with_name("ask.py")


def check(url: str, scratch: Path, model: Path) -> Report:
    """Evaluate small tasks of our own with both; nothing is asked of the hub."""
    python = install(scratch / "venv", "lm-eval[api,hf]", beside_ours=True)
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    environment = os.environ | offline | {"HF_HOME": str(scratch / "hf"), "OMP_NUM_THREADS": "1"}
    return run_script(python, _SCRIPT, url, model, scratch / "tasks", environment=environment)
