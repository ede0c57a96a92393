"""Check the fields of a recipe: an error names the field, its value and what to use instead."""

from __future__ import annotations

import math
from dataclasses import is_dataclass

from spanmix.errors import InputError

MANY = 1_000_000_000_000
"""Far above any real run, and below where integers stop fitting into floats and tables."""
MAX_ENTRIES = 1_048_576
"""Most entries of a vocabulary."""


def require_above_zero(field_name: str, value: float) -> None:
    """Check a finite number above 0."""
    require(0 < value < math.inf, field_name, value, "use a number above 0")


def require_from_to(field_name: str, value: int, least: int, most: int, zero: str = "") -> None:
    """Check a whole number; `zero` says what 0 means where it is more than a number."""
    rule = f"use {least:,}{f' ({zero})' if zero else ''} to {most:,}"
    require(least <= value <= most, field_name, value, rule)


def require_seed(field_name: str, value: int) -> None:
    """Check a seed."""
    # Random draws keep 64 bits of it: beyond them two seeds would be one.
    require(-(2**63) <= value < 2**63, field_name, value, "use -2**63 to 2**63 - 1")


def require_weight(field_name: str, value: float) -> None:
    """Check a relative weight."""
    require(1e-6 <= value <= 1e6, field_name, value, "use a number from 0.000001 to 1,000,000")


def require(holds: bool, field_name: str, value: object, rule: str) -> None:
    """Raise `InputError` with the field, its value and the rule unless the rule holds."""
    if not holds:
        raise InputError(f"{field_name} is {shown(value)}; {rule}")


def shown(value: object) -> str:
    """Write a field's value as a recipe has it, or in a word.

    >>> shown(("code", "prose")), shown(None), shown(0.5), shown("text")
    ("['code', 'prose']", 'not set', '0.5', "'text'")
    """
    if value is None:
        return "not set"
    if is_dataclass(value):
        return "set"
    if isinstance(value, tuple):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)
