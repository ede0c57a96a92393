"""Tell a value that may be a secret from a placeholder, a name or a sentence."""

from __future__ import annotations

import math
import re
from collections import Counter

_PLACEHOLDER = re.compile(
    r"example|sample|placeholder|change.?me|change.?it|your.?|xxx|\*\*\*|\.\.\.|…|dummy|redacted|foobar|"
    r"insert|replace|<|>|todo|fixme|not.?set|undefined|none$|null$|true$|false$|default|environ|getenv|process\.env|"
    r"lorem|12345|abcdef|abc123|qwert|asdf|hunter2$|test|fake|mock|invalid|secret.?key|^(?:sha|md|aes|rsa|utf|iso|base|oauth|hmac|ecdsa|bcrypt|scrypt|pbkdf|argon)[-_]?\d|password|passwd|passphrase|"
    r"(?:my|some|super|top|a|the|bad|wrong|new|old|no|s3cr3t|se?cr).?(?:secret|pass|token|key)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"[{}]|\$\w|\$\(|%[sdr(]|%\w+%|#\{|<%|\\[sdwbSDWB]|@@|\(\?")
_WORDS = re.compile(r"[A-Za-z]+[0-9]{0,2}(?:[_\-. /:]+[A-Za-z]*[0-9]{0,2})*")
_CALL = re.compile(r"\w[\w.]*[(\[].*|[\w.]+::\w+.*|(?:self|this|os|config|settings|args|options|env)\.\w.*")
_PATH = re.compile(r"(?:[~.]{0,2}/|[A-Za-z]:\\|\w+://)\S*")
_SAME = re.compile(r"(.)\1*|(.{1,3})\2+.?.?", re.DOTALL)
_MASKED = re.compile(r"[xö字𝔸]+|[Xö字𝔸]+|1+|(?:a1)+a?|(?:A1)+A?")
"""Letters and digits of what `spanmix.text.redaction.placeholders` writes."""
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_KEY_CHARACTERS = re.compile(r"[A-Za-z0-9+/=_.~-]+")
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_VERSION = re.compile(r"\d\.\d")
_MOST_RUN = 2.2
"""Mean length of the runs of capital letters, of small ones with a capital in front, and of digits, up to
which a value is random: 1.3 to 1.8 in random ones, 3 to 5 in the names of programs."""
_LEAST_PASSWORD, _LEAST_SHORT_KEY, _LEAST_KEY = 6, 10, 16
_MOST = 512


def bits_per_character(value: str) -> float:
    """Return the entropy of a value's characters, in bits; a word has 2 to 3, a random key of 32 about
    4.3."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def is_stand_in(value: str) -> bool:
    """Say whether a value stands for one that is put in later, or is what this module's house puts in."""
    return (
        _SAME.fullmatch(value) is not None
        or _PLACEHOLDER.search(value) is not None
        or _TEMPLATE.search(value) is not None
        or _MASKED.fullmatch("".join(filter(str.isalnum, value))) is not None
    )


def is_plausible_password(value: str) -> bool:
    """Say whether a value that is assigned to a password's name may be one.

    Short words, identifiers, sentences, paths, calls and placeholders are not: ``password`` is assigned in
    every second test and form. So a password that is one word of a dictionary is not found.
    """
    if not _LEAST_PASSWORD <= len(value) <= _MOST or any(c.isspace() for c in value) or is_stand_in(value):
        return False
    if any(pattern.fullmatch(value) for pattern in (_WORDS, _CALL, _PATH)):
        return False
    has_letter = any(c.isalpha() for c in value)
    has_other = any(c.isdigit() or not (c.isalnum() or c in "_-. :/,;()[]") for c in value)
    return has_letter and has_other and bits_per_character(value) >= 2.2


def is_plausible_key(value: str) -> bool:
    """Say whether a value that is assigned to a key's name may be one: long, of a key's characters, and
    random."""
    if not _LEAST_KEY <= len(value) <= _MOST or not _KEY_CHARACTERS.fullmatch(value) or is_stand_in(value):
        return False
    if any(pattern.fullmatch(value) for pattern in (_WORDS, _CALL, _PATH)):
        return False
    digits = sum(c.isdigit() for c in value)
    if _HEX.fullmatch(value) or _UUID.fullmatch(value):
        return 0 < digits < len(value) and bits_per_character(value) >= 2.9
    bits = bits_per_character(value)
    return (digits >= 2 and bits >= 3.3) or (digits == 1 and len(value) >= 32 and bits >= 4.2)


def is_plausible_short_key(value: str) -> bool:
    """Say whether a value too short for `is_plausible_key` may be one: letters of both cases mixed with
    digits."""
    if not _LEAST_SHORT_KEY <= len(value) < _LEAST_KEY or not is_plausible_password(value):
        return False
    digits = sum(c.isdigit() for c in value)
    has_cases = value != value.lower() and value != value.upper()
    return value.isalnum() and digits >= 2 and has_cases and bits_per_character(value) >= 3.0


def is_random(value: str) -> bool:
    """Say whether letters and digits change so often in a value that it is no name, version or word.

    >>> [is_random(one) for one in ("q8Zr2mPw9xK", "Base64String", "OAuth2Token1", "1.0.0-rc.1")]
    [True, False, False, False]
    """
    runs = _RUNS.findall(value)
    letters = sum(c.isalpha() for c in value)
    is_mixed = letters >= 4 and any(c.isdigit() for c in value) and len(value) >= 8
    return is_mixed and not _VERSION.search(value) and sum(map(len, runs)) <= _MOST_RUN * len(runs)


def is_plausible_token(value: str) -> bool:
    """Say whether a token of a service's own format is one: the documented examples are not."""
    body = value.rpartition("_")[2] or value
    return (
        "EXAMPLE" not in value.upper() and _SAME.fullmatch(body) is None and bits_per_character(value) >= 2.5
    )
