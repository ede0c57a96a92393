"""Say which rules can find something in a line, by the text that each of them needs.

A rule of ``detect-secrets`` or of ours finds nothing without some text: a fixed word, and a run of characters
behind it as long as the rule asks for. All needs together are what a file is searched for, and those of each
rule decide which rules see the line that was found. A test compares with the library on generated secrets.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import re2  # type: ignore[import-untyped]

from spanmix.text.redaction.presearch import Line, lines_with, options, without_surrogates
from spanmix.text.redaction.service_tokens import RULES

KEYWORD, ASSIGNED, PRIVATE_KEY = "KeywordDetector", "Assigned Token", "PrivateKeyDetector"
VARIABLE, NAMED_VALUE, HEADER, COMMAND = "Variable", "Named Value", "Request Header", "Command Option"
BESIDE_NAME, ADDRESS = "Beside a Name", "Password in an Address"

_DIGIT = r"\p{Nd}"  # as the library writes \d, which in Python are the digits of all scripts
_SPACE = r"[ \t\r\f\v\x1c-\x1f\x85\p{Z}]"  # what \s is in Python, without the end of a line
_NAMES = ("api", "auth", "service", "account", "db", "database", "priv", "private", "client")
_KEYWORDS = (
    *("password", "passwd", "pwd", "secret", "contrase", "(?:db|database|key)_?pass"),
    f"(?:{'|'.join(_NAMES)})_?key",
)
_ASSIGNMENT = r"(?i:key|pwd|pw|pass|password|token)[\"']?\]?[ =:>]+[\"']?[a-zA-Z0-9_-]{24}"
_WORD = r"(?:\w|[^\x00-\x7f])*"
_PARTS = "PASSW|_PASS|PWD|SECRET|TOKEN|CREDENTIAL|_KEY|APIKEY"
_ENDS = r"\s\"'`;|<>&,()\[\]{}$\\"
_UNQUOTED = rf"[^{_ENDS}=]*(?:[^{_ENDS}=A-Za-z_.:/-]|[^{_ENDS}=]=)"  # no secret is of letters alone
_TOKEN = rf"[a-zA-Z{_DIGIT}_-]"

NEEDS = {
    "ArtifactoryDetector": (
        rf"(?:(?m:^)|{_SPACE}|[=:\"])(?:AKC[a-zA-Z0-9]{{10}}|AP[{_DIGIT}A-F][a-zA-Z0-9]{{8}})"
    ),
    "AWSKeyDetector": (
        r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}|(?i:aws)[^\n]{0,20}(?i:key|pwd?|pass|token)"
    ),
    "AzureStorageKeyDetector": r"AccountKey=[a-zA-Z0-9+/=]{88}",
    "BasicAuthDetector": r"://[^:/?#\[\]@!$&'()*+,;=\s]+:[^:/?#\[\]@!$&'()*+,;=\s]+@",
    "CloudantDetector": rf"(?i:cloudant\.com)|{_ASSIGNMENT}",
    "DiscordBotTokenDetector": rf"\.{_TOKEN}{{6}}\.{_TOKEN}{{27}}",  # from its first dot
    "GitHubTokenDetector": r"gh[pousr]_[A-Za-z0-9_]{36}",
    "GitLabTokenDetector": (r"(?:gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-|GR1348941)[A-Za-z0-9_-]{20}"),
    "IbmCloudIamDetector": _ASSIGNMENT,
    "IbmCosHmacDetector": _ASSIGNMENT,
    "JwtTokenDetector": r"eyJ[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]",
    KEYWORD: f"(?i:{'|'.join(_KEYWORDS)})",
    "MailchimpDetector": rf"-us{_DIGIT}",
    "NpmDetector": ":_authToken=",
    "OpenAIDetector": r"T3BlbkFJ[A-Za-z0-9]{20}",
    "PypiTokenDetector": r"pypi-AgE[A-Za-z0-9_-]{70}",
    "SendGridDetector": r"SG\.[a-zA-Z0-9_-]{22}\.[a-zA-Z0-9_-]{43}",
    "SlackDetector": rf"(?i:xox[abposr]-{_DIGIT}|hooks\.slack\.com/services/)",
    "SoftlayerDetector": rf"(?i:softlayer)|{_ASSIGNMENT}",
    "SquareOAuthDetector": r"sq0csp-[0-9A-Za-z\\_-]{43}",
    "StripeDetector": r"[rs]k_live_[0-9a-zA-Z]{24}",
    "TelegramBotTokenDetector": rf"{_DIGIT}{{8}}:[0-9A-Za-z_-]{{35}}",
    "TwilioKeyDetector": r"(?:AC|SK)[a-z0-9]{32}",
    ASSIGNED: (
        rf"(?i:token|auth|credential|(?:access|signing|encryption)_?key){_WORD}[\"']?\]?{_SPACE}*[:=]>?{_SPACE}*"
        r"[\"']?[A-Za-z0-9+/=_-]{20}"
    ),
    VARIABLE: (
        rf"(?:PASS|(?i:{_PARTS}))[A-Za-z0-9_]*={_UNQUOTED}"
        rf"|ENV[ \t]+(?i:\w*(?:PASS|{_PARTS})\w*)[ \t]+{_UNQUOTED}"
    ),
    NAMED_VALUE: rf"name[\"']?[ \t]*:[ \t]*[\"']?(?i:\w*(?:PASS|{_PARTS}))",
    HEADER: (
        r"(?i:bearer|basic|authorization[\"']?[ \t]*[:=,][ \t]*[\"'`]?token)[ \t]+[A-Za-z0-9._~+/-]{8}"
        r"|(?i:api-?key|-token)[\"']?[ \t]*:[ \t]*[\"'`]?[A-Za-z0-9._~+/-]{10}"
    ),
    COMMAND: (
        rf"[ \t](?:-u|--user|-a|--auth)[ =]?[\"']?[^\s:\"'$<>]+:[\"']?{_UNQUOTED}"
        rf"|(?:mysql|mariadb|sshpass|login)[^\n;|]*[ \t]-p[ =\t]?[\"']?{_UNQUOTED}"
        rf"|redis-cli[^\n;|]*[ \t]-a|ldap(?:search|modify|add|passwd|delete|whoami)[^\n;|]*[ \t]-w"
        r"|-(?i:pass(?:word|wd)?|pwd|token|secret|api-?key|(?:access|secret|private)-key)"
        rf"(?:[= \t]|[\"'],[ \t]*)[\"']?{_UNQUOTED}"
    ),
    BESIDE_NAME: (
        rf"(?i:passw|pass_?phrase|pwd|secret|identified[ \t]+by|{_KEYWORDS[-2]}"
        rf"|(?:access|{'|'.join(_NAMES)})[_-]?key|(?:token|credential)[\w-]*[\"'`\\\])]*"
        rf"(?:(?:[ \t]*:[ \t]*\w+)?[ \t]*[:=,>(]+[ \t]*|[ \t]+)[bfru]?[\"'`\\]*{_UNQUOTED})"
    ),
    ADDRESS: r"://[^\s/:\"'`<>?#@]*(?:@|:[^\s\"'`<>?#@]*@)",
    PRIVATE_KEY: r"PRIVATE KEY|PuTTY-User-Key-File",
    **RULES,
    # Three letters and a long run are in all encoded data, so what is in front of a token counts.
    "Facebook Token": r"(?:(?m:^)|[^A-Za-z0-9\n])EAA[A-Za-z0-9]{90}",
    # With the rule's run of any letters in front, the automaton would count the letters of every word.
    "Terraform Cloud Token": r"\.atlasv1\.[A-Za-z0-9_=-]{60}",
}
"""For each rule a pattern of RE2 that fits into whatever the rule finds, and no line end. What it counts, it
counts behind something rare: states of the automaton are made as texts need them, and that is what takes
time."""

_NAMES_OF_RULES = tuple(NEEDS)
_ANY = "|".join(NEEDS.values())


def candidate_lines(text: str) -> Iterator[Line]:
    """Yield the lines in which there can be a secret, without their line ends."""
    return lines_with(text, _ANY)


def rules_for(line: str) -> frozenset[str]:
    """Return the names of the rules that can find something in a line.

    >>> sorted(rules_for("login(password)")), sorted(rules_for("x = 'AKIAABCDEFGHIJKLMNOP'"))
    (['Beside a Name', 'KeywordDetector'], ['AWSKeyDetector'])
    """
    return frozenset(_NAMES_OF_RULES[number] for number in _all_needs().Match(without_surrogates(line)) or ())


@cache
def _all_needs() -> Any:
    patterns = re2.Set.SearchSet(options())
    for pattern in NEEDS.values():
        patterns.Add(pattern)
    patterns.Compile()
    return patterns
