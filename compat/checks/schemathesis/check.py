"""Schemathesis over ``/openapi.json``: made-up requests, right and wrong, to every route."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

from own_python import install
from report import CheckFailedError, Report
from serving import serving

_NUM_EXAMPLES = 50
_SEED = 1
_EXCLUDED = {
    "negative_data_rejection": "numbers in quotation marks are read as numbers",
    "positive_data_acceptance": "what ids and lengths there are, the model says and not the document",
    "allow_header_conformance": "Allow names the methods of one route, and two share a path",
}
"""Checks of other expectations than ours, and why."""
_CONTEXT = "128"
"""Tokens: a request that names no number of them is answered with half of that."""
_SECONDS = 3600


def check(url: str, scratch: Path, model: Path) -> Report:
    """Ask each route what its declaration allows, and what it does not."""
    python = install(scratch / "venv", "schemathesis")
    program = str(python.with_name("schemathesis"))
    with serving(model, scratch / "short.log", "--max-model-len", _CONTEXT) as short:
        told = _run(program, short, scratch)
    (scratch / "schemathesis.log").write_text(told, encoding="utf-8")
    counted = re.search(r"Tested: (\d+)\n.*?(\d+) generated, (.*?)\n", told, re.DOTALL)
    failures = re.findall(r"❌ (ST.*)", told)
    if failures or counted is None:
        raise CheckFailedError("schemathesis run", "no failure", "; ".join(failures) or told[-400:])
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    checks = [
        f"{counted[2]} requests to {counted[1]} operations, {_NUM_EXAMPLES} examples each, seed {_SEED}: "
        f"{counted[3]}; no 5xx, and status, content type and body as declared",
        *(f"not looked at: {name}, as {reason}" for name, reason in _EXCLUDED.items()),
    ]
    return Report("Schemathesis", re.sub(r"[^\d.]", "", version), checks)


def _run(program: str, url: str, scratch: Path) -> str:
    """Return what it says of a server."""
    document = scratch / "openapi.json"
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=120) as response:
        document.write_bytes(response.read())
    command = [
        *(program, "run", str(document), "--url", url, "--seed", str(_SEED)),
        *("--max-examples", str(_NUM_EXAMPLES), "--phases", "examples,coverage,fuzzing", "--mode", "all"),
        *("--exclude-checks", ",".join(_EXCLUDED), "--suppress-health-check", "all"),
        *("--request-timeout", "120", "--no-color"),
    ]
    ran = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=_SECONDS)
    return ran.stdout + ran.stderr
