"""Write ``docs/compat.md``: a row and a section for each check; what was not run now stays as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HEAD = """\
# Tried with real clients

`make compat` starts `spanmix serve` with a tiny random model and lets the clients themselves ask it. Each is
installed from its registry, the newest that there is when it is first installed, and what it gets is compared
with what it is to get. That needs the network; a client that cannot be installed is a failure. What came of
it is written here. One by one:

```sh
.venv/bin/python compat/run.py --only openai_node playground --write docs/compat.md
```

| check | client | result | seconds | day | Spanmix, Python |
| --- | --- | --- | --- | --- | --- |
"""
_ROW = re.compile(r"^\| \[(\w+)\]\(#\w+\) \|.*$", re.MULTILINE)
_SECTION = re.compile(r"^## (\w+)\n\n(.*?)(?=\n## |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Args:
        name: of the check's folder.
        client: name and version of what asked.
        lines: what was seen to work, or why it failed.
        passed: whether all of it did.
        seconds: how long it took, with its installation if there was one.
        day: of the run, as ``2026-01-31``.
        ours: the versions of Spanmix and Python.
    """

    name: str
    client: str
    lines: list[str]
    passed: bool
    seconds: float
    day: str
    ours: str

    @property
    def row(self) -> str:
        """Its row of the table."""
        result = "passed" if self.passed else "**failed**"
        fields = (self.client, result, f"{self.seconds:.0f}", self.day, self.ours)
        return f"| [{self.name}](#{self.name}) | {' | '.join(fields)} |"

    @property
    def section(self) -> str:
        """What stands below its heading."""
        return "".join(f"- {line}\n" for line in self.lines)


def written(page: str, outcomes: list[Outcome], names: list[str]) -> str:
    """Return the page with these outcomes in it.

    Args:
        page: as it was, or an empty text.
        outcomes: of the checks that ran.
        names: all checks that there are; what the page says of others is dropped.
    """
    rows = {found[1]: found[0] for found in _ROW.finditer(page)}
    sections = {found[1]: found[2] for found in _SECTION.finditer(page)}
    rows |= {outcome.name: outcome.row for outcome in outcomes}
    sections |= {outcome.name: outcome.section for outcome in outcomes}
    shown = [name for name in names if name in rows]
    table = "".join(f"{rows[name]}\n" for name in shown)
    return _HEAD + table + "".join(f"\n## {name}\n\n{sections[name].strip()}\n" for name in shown)


def write_page(path: Path, outcomes: list[Outcome], names: list[str]) -> None:
    """Bring the page up to date; see `written`."""
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    path.write_text(written(page, outcomes, names), encoding="utf-8")
