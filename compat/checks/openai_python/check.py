"""OpenAI's own client for Python, the newest and the oldest that has its present interface."""

from __future__ import annotations

from pathlib import Path

from own_python import install, run_script
from report import Report
from serving import serving

_SCRIPT = Path(__file__).with_name("ask.py")
_CLIENTS = {"newest": ("openai",), "oldest": ("openai==1.0.0", "httpx<0.28")}
"""The oldest passes a setting to httpx that later versions of that no longer take."""


def check(url: str, scratch: Path, model: Path) -> Report:
    """Ask for completions in each way that the client has, and provoke its classes of errors."""
    keys = scratch / "keys.txt"
    keys.write_text("right\n", encoding="utf-8")
    reports = []
    with serving(model, scratch / "locked.log", "--api-keys", str(keys), "--max-requests", "1") as locked:
        for name, requirements in _CLIENTS.items():
            python = install(scratch / name, *requirements)
            reports.append(run_script(python, _SCRIPT, url, locked, model.name))
    checks = [f"{report.version}: {line}" for report in reports for line in report.checks]
    return Report(reports[0].client, " and ".join(report.version for report in reports), checks)
