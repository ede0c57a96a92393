"""OpenAI's own client for Node, against an open server and one with keys and room for one request."""

from __future__ import annotations

from pathlib import Path

from node import install, run_script
from report import Report
from serving import serving

_SCRIPT = Path(__file__).with_name("ask.mjs")


def check(url: str, scratch: Path, model: Path) -> Report:
    """Ask for completions in each way that the client has, and provoke its classes of errors."""
    versions = install(scratch, "openai")
    keys = scratch / "keys.txt"
    keys.write_text("right\n", encoding="utf-8")
    with serving(model, scratch / "locked.log", "--api-keys", str(keys), "--max-requests", "1") as locked:
        told = run_script(scratch, [_SCRIPT], url, locked, model.name)
    version = f"{versions['openai']}, Node {versions['node']}"
    return Report("openai (npm)", version, [line["checked"] for line in told])
