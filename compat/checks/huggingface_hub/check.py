"""Hugging Face's InferenceClient and Ollama's client for Python."""

from __future__ import annotations

from pathlib import Path

from own_python import install, run_script
from report import Report

_SCRIPT = Path(__file__).with_name("ask.py")


def check(url: str, scratch: Path, model: Path) -> Report:
    """Ask for the same text through both, whole and streamed."""
    python = install(scratch / "venv", "huggingface_hub", "ollama")
    return run_script(python, _SCRIPT, url, model.name)
