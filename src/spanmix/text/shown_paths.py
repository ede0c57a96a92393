"""Leave out of a record where files lay on a machine: such paths often have the name of a person."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

_WHOLE = re.compile(r"(the [a-z -]+ )?((?:[/~]|[A-Za-z]:[/\\]).*)", re.DOTALL)
"""A path from the root or from a home, and what it is, as the names of a corpus's files have it in front."""


def without_places(record: Any) -> Any:
    """Return a record of JSON with the last part alone of each path that leads from the root or from a home.

    >>> without_places({"paths": ["/home/anna/api", "~/web/", "src/a.py", "hf:us/data"], "seed": 1})
    {'paths': ['…/api', '…/web', 'src/a.py', 'hf:us/data'], 'seed': 1}
    >>> without_places({"the opt-out list /home/anna b/out.txt": "5a"})
    {'the opt-out list …/out.txt': '5a'}
    """
    if isinstance(record, dict):
        return {_shown(name): without_places(value) for name, value in record.items()}
    if isinstance(record, list):
        return [without_places(value) for value in record]
    return _shown(record) if isinstance(record, str) else record


def _shown(text: str) -> str:
    match = _WHOLE.fullmatch(text)
    if match is None:
        return text
    return f"{match[1] or ''}…/{PurePath(match[2].replace(chr(92), '/')).name}"
