"""Run an answer and its test as one program of another language.

The two share a process, so this protects less than `pairs`: the program has to come to its end, behind
the test, and print there a text that is made for it alone and lies in no file.
"""

from __future__ import annotations

import secrets
import threading

from spanmix.evaluate.code.problem import ExitCheck
from spanmix.evaluate.grade.feeding import Ended, run_fed
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.languages import language_named
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.setup import Resources, Setup
from spanmix.evaluate.grade.verdict import PASSED, Verdict

_SHOWN_BYTES = 200


def run_exit_check(
    answer: str, check: ExitCheck, isolation: Isolation, limits: Limits, stop: threading.Event
) -> Verdict:
    """Return the verdict about an answer in another language.

    Raises:
        InputError: the language is unknown or not installed.
        SandboxError: a sandbox did not start.
        StoppedError: told to stop.
    """
    language, command = language_named(check.language)
    nonce = secrets.token_hex(16)
    text = language.whole(answer, check.test, nonce).encode("utf-8", "surrogatepass")
    resources = Resources.of_program(limits, language.sparse)
    setup = Setup("interpreter", resources, limits.file_bytes, command)
    ended = run_fed(setup, text, isolation, limits, stop)
    return Verdict.of(_result(ended, nonce.encode()), ended.seconds)


def _result(ended: Ended, nonce: bytes) -> str:
    if ended.over is not None:
        return ended.over
    if ended.code:
        return f"failed: exit code {ended.code}"
    if not ended.printed.rstrip().endswith(nonce):
        shown = ended.printed[-_SHOWN_BYTES:].decode(errors="replace").strip()
        return f"failed: it ended before the end of the test, having printed {shown!r}"
    return PASSED
