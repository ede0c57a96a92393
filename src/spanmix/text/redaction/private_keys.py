"""Find the body of private keys, in files of their own and inside the strings of programs.

The lines BEGIN and END stay, and so does what a program writes between the pieces of a key: quotes, ``\\n``,
plus signs. A BEGIN line without a body is no key, as in a program that looks for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import KEY, Found

_BEGIN = re.compile(r"BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-{2,5}|PuTTY-User-Key-File-\d:[^\n]*")
_END = re.compile(r"-{2,5}END |Private-MAC:")
_RUN = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")
_LONG_RUN, _LEAST_BODY = 16, 48
_MOST_CHARACTERS = 40_000
"""The longest key in use, of 16,384 bits, has 13,000 in its file."""
_ESCAPE = re.compile(r"\\(?:[nrt]|x0[aAdD])")


def private_keys(text: str) -> Iterator[Found]:
    """Yield the runs of base64 between the lines BEGIN and END of private keys."""
    if "PRIVATE KEY" not in text and "PuTTY-User-Key-File" not in text:
        return
    begins = list(_BEGIN.finditer(text))
    for number, begin in enumerate(begins):
        limit = begins[number + 1].start() if number + 1 < len(begins) else len(text)
        limit = min(limit, begin.end() + _MOST_CHARACTERS)
        end = _END.search(text, begin.end(), limit)
        stop = end.start() if end is not None else _last_long_line(text, begin.end(), limit)
        # Escapes are blanked, or the n of "\n" would count as the first character of a line of the key.
        body = _ESCAPE.sub(lambda match: " " * len(match[0]), text[begin.end() : stop])
        runs = list(_RUN.finditer(body))
        long = [run for run in runs if len(run[0]) >= _LONG_RUN]
        if sum(len(run[0]) for run in long) < _LEAST_BODY or all(len(set(run[0])) <= 3 for run in long):
            continue
        for run in runs:
            if len(run[0]) >= _LONG_RUN or (run is runs[-1] and run.start() > long[-1].end()):
                yield Found(begin.end() + run.start(), begin.end() + run.end(), KEY, "Private Key")


def _last_long_line(text: str, start: int, limit: int) -> int:
    """Return where a key without an END line stops: behind lines with a long run and the shorter one after
    them."""
    stop = start
    for number, line in enumerate(text[start:limit].splitlines(keepends=True)):
        is_long = any(len(run) >= _LEAST_BODY - 8 for run in _RUN.findall(line))
        if number > 0 and not is_long:
            return stop + len(line) if _RUN.fullmatch(line.strip()) else stop
        stop += len(line)
    return stop
