"""Type in a Vim that runs in a terminal, and wait for what its plugin shows."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from report import CheckFailedError

_SECONDS = 120
_TRIGGER, _ESCAPE = "\x06", "\x1b"


def type_in_vim(vim: list[str], file: Path, vimrc: str, accept: str) -> None:
    """Trigger a completion, wait until it is shown, accept it with a key, and save the file.

    Args:
        vim: the command.
        file: what is edited.
        vimrc: its settings; they leave Vim in insert mode, at the place of the completion.
        accept: the key.

    Raises:
        CheckFailedError: nothing was shown, or Vim did not end.
    """
    seen = {name: file.with_suffix(f".{name}") for name in ("ready", "shown")}
    for path in seen.values():
        path.unlink(missing_ok=True)
    settings = file.with_suffix(".vim")
    settings.write_text(
        f"{vimrc}autocmd InsertEnter * call writefile([], '{seen['ready']}')\n"
        "autocmd InsertEnter * call timer_start(50, {-> llama#is_fim_hint_shown() && !writefile([], "
        f"'{seen['shown']}')}}, {{'repeat': -1}})\n",
        encoding="utf-8",
    )
    ours, theirs = pty.openpty()
    command = [*vim, "-N", "-u", str(settings), "-i", "NONE", str(file)]
    environment = os.environ | {"TERM": "vt100", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    screen = bytearray()
    try:
        _wait(seen["ready"].exists, ours, screen, "insert mode")
        os.write(ours, _TRIGGER.encode())
        _wait(seen["shown"].exists, ours, screen, "a completion that is shown")
        os.write(ours, f"{accept}{_ESCAPE}:wq\r".encode())
        _wait(lambda: process.poll() is not None, ours, screen, "the end of Vim")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def _wait(happened: Callable[[], bool], terminal: int, screen: bytearray, what: str) -> None:
    """Read what Vim draws, as it stands still if nobody does, until something has happened."""
    end = time.monotonic() + _SECONDS
    while not happened():
        if time.monotonic() > end:
            raise CheckFailedError("Vim", what, f"a screen that ends {bytes(screen[-300:])!r}")
        if select.select([terminal], [], [], 0.05)[0]:
            screen += os.read(terminal, 65536)
