"""Run the tests of the current folder with pytest or unittest, and say how many passed.

The text of this file is run by the interpreter that has the tests' packages (``python -c TEXT RUNNER
ARGUMENT ...``), which may be older than the one that runs Spanmix and does not have it. Standard input
brings a text that lies in no file; behind it, the number of tests that passed is printed at the very end.
"""

from __future__ import annotations

import os
import sys


def main(runner: str, arguments: list[str]) -> int:
    """Run the tests; return the code to end with."""
    nonce = sys.stdin.read()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(1, 2)  # errors stand where they belong in the output
    own_output = os.dup(1)  # what tests do to standard output does not reach it
    code, num_passed = {"pytest": with_pytest, "unittest": with_unittest}[runner](arguments)
    sys.stdout.flush()
    os.write(own_output, f"\n{nonce} {num_passed}\n".encode())
    return code


class PassCounter:
    """A plugin of pytest that counts the tests that pass."""

    def __init__(self) -> None:
        self.num_passed = 0

    def pytest_runtest_logreport(self, report: object) -> None:
        """Called by pytest for the beginning, the test itself and the end of each test."""
        if report.when == "call" and report.passed:  # type: ignore[attr-defined]
            self.num_passed += 1


def with_pytest(arguments: list[str]) -> tuple[int, int]:
    """Return the code that pytest ends with, and how many tests passed."""
    import pytest

    counter = PassCounter()
    return int(pytest.main(arguments, plugins=[counter])), counter.num_passed


def with_unittest(arguments: list[str]) -> tuple[int, int]:
    """Return the code that unittest ends with, and how many tests passed."""
    import unittest

    result = unittest.main(module=None, argv=["python -m unittest", *arguments], exit=False).result
    others = (result.failures, result.errors, result.skipped, result.expectedFailures)
    return int(not result.wasSuccessful()), result.testsRun - sum(map(len, others))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
