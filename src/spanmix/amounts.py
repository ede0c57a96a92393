"""Write amounts for people: sizes, shares and times, with as many digits as they can use."""

from __future__ import annotations


def size(num_bytes: float) -> str:
    """Write a number of bytes with a unit, in thousands.

    >>> size(999), size(1_234_567), size(999_999), size(123_456), size(2.5e12)
    ('999 B', '1.23 MB', '1 MB', '123 kB', '2.5 TB')
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(num_bytes) >= 0.9995 * factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def share(part: float, whole: float) -> str:
    """Write a share in percent; a dash where there is no whole, and never 0 % or 100 % for what is not.

    >>> share(1, 3), share(1, 10**6), share(999_999, 10**6), share(0, 5), share(0, 0)
    ('33.3 %', '< 0.1 %', '> 99.9 %', '0 %', '–')
    """
    if not whole:
        return "–"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def count(number: int, noun: str) -> str:
    """Write a number of things.

    >>> count(1, "document"), count(1234, "document"), count(0, "place")
    ('1 document', '1,234 documents', '0 places')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Write a time in the largest units that matter.

    >>> duration(0.4), duration(59.6), duration(754), duration(3 * 3600 + 120)
    ('0 s', '1 min', '13 min', '3 h 2 min')
    """
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
