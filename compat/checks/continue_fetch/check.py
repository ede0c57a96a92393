"""What Continue asks with, for each of the providers that docs/clients.md sets up."""

from __future__ import annotations

from pathlib import Path

from node import install, run_script
from report import Report

_PACKAGES = ("@continuedev/fetch", "@continuedev/openai-adapters")


def check(url: str, scratch: Path, model: Path) -> Report:
    """Let Continue's adapter and fetch read streams of every interface, and compare the texts."""
    versions = install(scratch, *_PACKAGES)
    told = run_script(scratch, [Path(__file__).with_name("ask.mjs")], url)
    version = f"{versions[_PACKAGES[0]]}, openai-adapters {versions[_PACKAGES[1]]}, Node {versions['node']}"
    return Report(_PACKAGES[0], version, [line["checked"] for line in told])
