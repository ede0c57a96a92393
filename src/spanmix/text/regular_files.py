"""Read the beginning of a file that someone else wrote, if it is a regular file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path | str, max_bytes: int, follow_link: bool = True) -> bytes:
    """Return what a file holds, up to so many bytes.

    A named pipe would be waited for without end, and a device may have no end, so neither is read. The file
    that was opened is asked what it is, not its name: what the name leads to may change in between.

    Args:
        path: the file; links in the folders above it are followed.
        max_bytes: what lies behind them is not read.
        follow_link: whether the file itself may be a link.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket, a device, or a link that must not be.
        ValueError: the path holds a NUL byte.
    """
    flags = os.O_NONBLOCK | os.O_NOCTTY | (0 if follow_link else os.O_NOFOLLOW)
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read(max_bytes)
