"""How programs of other languages are run as one with their test, and say that they came to its end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from spanmix.errors import InputError, nearest
from spanmix.evaluate.grade.setup import python

PATH = "/usr/local/bin:/usr/bin:/bin"
"""Where a sandbox finds programs."""


@dataclass(frozen=True)
class Language:
    """One language.

    Args:
        interpreter: name of the program; of Python, the one that runs this.
        arguments: with which it takes a program from its standard input, read to the end before it runs.
        report: what stands behind the test, and prints the text that ``NONCE`` stands for.
        runner: what a test may have that ends the process, and what takes its place.
        sparse: see `setup.Resources`.
    """

    interpreter: str
    arguments: tuple[str, ...]
    report: str
    runner: tuple[str, str] = ("", "")
    sparse: bool = False

    def command(self) -> tuple[str, ...] | None:
        """Return the command that takes a program; None if the interpreter is not on this machine."""
        found = python() if self.interpreter == "python" else shutil.which(self.interpreter, path=PATH)
        return (found, *self.arguments) if found else None

    def whole(self, answer: str, test: str, nonce: str) -> str:
        """Return the program that is run."""
        old, new = self.runner
        test = test.replace(old, new) if old else test
        return "\n".join([answer, test, self.report.replace(_NONCE, nonce), ""])


_NONCE = "SPANMIX_NONCE"
_RUBY_REPORT = f"""
if defined?(Test::Unit::AutoRunner)
  Test::Unit::AutoRunner.need_auto_run = false
  exit!(1) unless Test::Unit::AutoRunner.run
end
puts "{_NONCE}"
"""
LANGUAGES = {
    # A shell that reads a program from its standard input would share it with what it runs.
    "sh": Language("bash", ("-c", 'eval "$(cat)"'), f"printf '%s\\n' {_NONCE}"),
    "pl": Language("perl", ("-",), f'print "\\n{_NONCE}\\n";'),
    "js": Language("node", ("-",), f'console.log("{_NONCE}");', sparse=True),
    "py": Language("python", ("-S", "-s", "-P", "-"), f'print("{_NONCE}")'),
    "rb": Language("ruby", ("-",), _RUBY_REPORT),
    "lua": Language(
        "lua",
        ("-",),
        f'print("{_NONCE}")',
        ("os.exit(lu.LuaUnit.run())", "if lu.LuaUnit.run() ~= 0 then os.exit(1) end"),
    ),
}


def language_named(name: str) -> tuple[Language, tuple[str, ...]]:
    """Return a language and the command of its interpreter.

    Raises:
        InputError: it is not in `LANGUAGES`, or its interpreter is not installed.
    """
    if name not in LANGUAGES:
        raise InputError(f"programs of the language {name!r} cannot be run here{nearest(name, LANGUAGES)}")
    language = LANGUAGES[name]
    command = language.command()
    if command is None:
        raise InputError(
            f"programs of the language {name!r} need {language.interpreter}, which is not in {PATH}; install "
            "it there, or leave these problems out"
        )
    return language, command
