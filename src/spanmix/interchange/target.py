"""What every layout that can be written has to offer; `spanmix.interchange.convert` does the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from spanmix.files import require_makable
from spanmix.interchange.parity import Progress, Sides
from spanmix.interchange.sources import Source
from spanmix.model.folder import require_place

WRITING = "write the weights, bytes"
REPORT = "export_report.json"


@contextmanager
def system_errors_named(folder: Path) -> Iterator[None]:
    """Name what the system refuses where tokenizers are written.

    Their library raises bare exceptions, and tells what the system said in their text alone: "(os error 28)".

    Raises:
        OSError: the disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except Exception as error:
        if found := re.search(r"os error (\d+)", str(error)):
            code = int(found[1])
            raise OSError(code, os.strerror(code), str(folder / "tokenizer.json")) from error
        raise


def report_beside(file: Path) -> Path:
    """Return where the report on a layout that is one file lies."""
    return file.with_name(f"{file.name}.{REPORT}")


def require_model_place(dest: Path) -> None:
    """Raise `InputError` if `dest` cannot be made, or holds anything but a model, which may be replaced."""
    require_place(dest)
    require_makable(dest)


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Args:
        name: what the model is called, in layouts that keep a name.
        stored_as: one of the layout's types in `spanmix.interchange.layouts`; None if none was named.
        max_shard_bytes: larger checkpoints are cut into several files; other layouts are one file always.
    """

    name: str
    stored_as: str | None
    max_shard_bytes: int


@dataclass(frozen=True)
class Written:
    """What lies in the new folder or file.

    Args:
        num_bytes: of the weights.
        warnings: a sentence for everything that its user must know.
    """

    num_bytes: int
    warnings: tuple[str, ...]


class Target(Protocol):
    """A layout, for one source and one type of weights.

    Making one raises `InputError` if the layout or the type cannot hold the source, or a library that writes
    it is not installed.

    Args:
        source: what is converted.
        options: what was asked for.
    """

    is_file: ClassVar[bool]
    """One file rather than a folder."""

    stored_as: str
    """The type of the weights, in the words of those who read the layout."""

    def __init__(self, source: Source, options: Options) -> None: ...

    @staticmethod
    def require_place(dest: Path) -> None:
        """Raise `InputError` if `dest` may not be written."""
        ...

    @staticmethod
    def whole(dest: Path) -> AbstractContextManager[Path]:
        """Give a place aside to write; it is put at `dest` if the block ends without an error."""
        ...

    def write(self, place: Path, progress: Progress) -> Written:
        """Write the model.

        Raises:
            InputError: the weights hold numbers that the type cannot, or NaN.
            OSError: the disk is full.
        """
        ...

    def sides(self, place: Path) -> Sides | None:
        """Return the source and what was written, to be compared; None if it cannot be opened here."""
        ...
