"""What can be wrong with a file, and whether that stops the work or is counted."""

from __future__ import annotations

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped, printable
from spanmix.text.readers.origin import Origin

INVALID_JSON = "invalid JSON"
NO_TEXT = "no text in its field"
NO_COLUMN = "no column that holds the text"
DAMAGED = "damaged file"
BOMB = "decompresses to far too much"
LONG_LINE = "JSON line too long for any document"
NOTEBOOK = "malformed notebook"
PAGE = "malformed web page"
HIDDEN, CORPUS = "hidden", "corpus of Spanmix"
IGNORED, SUBMODULE = "ignored by git", "git submodule"
SYMBOLIC_LINK, HARD_LINK = "symbolic link", "hard link"
GENERATED, VENDORED = "linguist-generated", "linguist-vendored"
BARE, LFS_POINTER = "bare git repository", "Git LFS pointer"


class BombError(Exception):
    """A file decompresses to far more than any text would; the text says how much."""


def fault(source: SourceFilesConfig, origin: Origin, reason: str, message: str) -> Dropped:
    """Return what is counted for a file or line that cannot be read, if the source is to go on.

    Args:
        source: its `on_error` decides.
        origin: the file, or the line in it.
        reason: one of the few that are counted.
        message: the rest of the sentence that begins with its path: what happened and what to change.

    Raises:
        InputError: the source is to stop.
    """
    if source.on_error == "stop":
        raise InputError(f"source {source.name}: {origin.file} {message}")
    return origin.dropped(reason, printable(f"{origin.path} {message}"))
