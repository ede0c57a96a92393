"""The playground in Chromium, led by Playwright: with the mouse, with the keyboard, and on a phone."""

from __future__ import annotations

from pathlib import Path

from node import install, run_script
from report import Report
from serving import serving

_FOLDER = Path(__file__).parent
# Playwright's own download of a browser is not on npm; this package holds one for servers.
_PACKAGES = ("playwright-core", "@sparticuz/chromium", "axe-core")


def check(url: str, scratch: Path, model: Path) -> Report:
    """Use the page as people do; screenshots stay in ``scratch/screenshots``."""
    versions = install(scratch, *_PACKAGES)
    keys = scratch / "keys.txt"
    keys.write_text("right\n", encoding="utf-8")
    for name in ("screenshots", "browser"):
        (scratch / name).mkdir(exist_ok=True)
    browser = {"TMPDIR": str(scratch / "browser")}  # where the package unpacks it
    with serving(model, scratch / "locked.log", "--api-keys", str(keys)) as locked:
        told = run_script(scratch, [_FOLDER / "page.mjs", _FOLDER / "use.mjs"], url, locked, **browser)
    chromium = next(line["browser"] for line in told if "browser" in line)
    version = f"{chromium}, Playwright {versions['playwright-core']}, axe-core {versions['axe-core']}"
    checks = [line["checked"] for line in told if "checked" in line]
    return Report("Chromium", f"{version}, Node {versions['node']}", checks)
