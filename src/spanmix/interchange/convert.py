"""Convert a checkpoint into another layout, tensor by tensor, and prove that it still computes the same.

The memory it takes is that of a few matrices, whatever the size of the model. What is written appears when
its logits have been compared with the original's, and not before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanmix import __version__
from spanmix.errors import InputError, SpanmixError, nearest
from spanmix.files import write_json
from spanmix.interchange.checkpoint import CodeGen2Target, CodeGenTarget, NativeTarget
from spanmix.interchange.ctranslate2.target import CTranslate2Target
from spanmix.interchange.gguf.target import GGUFTarget
from spanmix.interchange.grouping import Grouping
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.parity import Parity, Progress, check
from spanmix.interchange.sources import Source, open_source, require_apart
from spanmix.interchange.target import REPORT, Options, Target, report_beside
from spanmix.model.folder import MAX_SHARD_BYTES

TARGETS: dict[str, type[Target]] = {
    "native": NativeTarget,
    "codegen": CodeGenTarget,
    "codegen2": CodeGen2Target,
    "ctranslate2": CTranslate2Target,
    "gguf": GGUFTarget,
}
"""What writes each of `LAYOUTS`."""

REPORT_VERSION = 2


@dataclass(frozen=True)
class Report:
    """What a conversion has done; ``export_report.json`` holds it.

    Args:
        source: as it was named.
        source_layout: what it is, for people.
        grouping: of its `qkv_proj`, and how that is known; None where it has none.
        to: the layout that was written.
        stored_as: what the weights were written in.
        num_parameters: of the model.
        num_bytes: of its weights.
        corrections: a sentence for everything that was wrong in the source, or left out.
        warnings: a sentence for everything that should be looked at.
        parity: the comparison with the source; None where there is no memory for it, which is a warning.
    """

    source: str
    source_layout: str
    grouping: Grouping | None
    to: str
    stored_as: str
    num_parameters: int
    num_bytes: int
    corrections: tuple[str, ...]
    warnings: tuple[str, ...]
    parity: Parity | None

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``export_report.json``."""
        return {"format_version": REPORT_VERSION, "spanmix": __version__, **asdict(self)}


def convert(
    source_name: str,
    dest: Path,
    to: str,
    stored_as: str | None = None,
    mp_num: int | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Convert a checkpoint.

    Args:
        source_name: a folder, a run or a hub model; see `spanmix.interchange.sources`.
        dest: the folder to make, or for ``gguf`` the file ``NAME.gguf``; a model that is there is replaced.
        to: one of `LAYOUTS`.
        stored_as: one of the layout's types; None keeps what the weights are stored in for a checkpoint, and
            takes the first of the layout's types otherwise.
        mp_num: how many groups the rows of the source's `qkv_proj` are in; None finds it out.
        max_shard_bytes: larger checkpoints are cut into several files.
        progress: is told of the bytes written and of the blocks compared.

    Returns:
        What was done. It is in ``export_report.json`` too: in the folder, or beside the file as
        ``NAME.gguf.export_report.json``.

    Raises:
        InputError: the source or `dest` cannot be used, or the layout or the type cannot hold the model, or
            a library that writes the layout is not installed.
        SpanmixError: the written model does not compute what the source computes, or the disk is full.
            Nothing is at `dest` then, or what was there before.
    """
    _require_layout(to, stored_as)
    TARGETS[to].require_place(dest)
    source = open_source(source_name, mp_num)
    if not TARGETS[to].is_file:
        require_apart(source, dest)
    target = TARGETS[to](source, Options(Path(source_name).resolve().name, stored_as, max_shard_bytes))
    with target.whole(dest) as place:
        written = target.write(place, progress)
        parity, warnings = _compare(source, target, place, dest, progress)
        report = Report(
            source=source_name,
            source_layout=source.layout,
            grouping=source.grouping,
            to=to,
            stored_as=target.stored_as,
            num_parameters=source.shape.num_parameters,
            num_bytes=written.num_bytes,
            corrections=source.corrections,
            warnings=(*source.warnings, *written.warnings, *warnings),
            parity=parity,
        )
        if target.is_file:
            # That of an older file must not be taken for the new one's, should the process end now.
            report_beside(dest).unlink(missing_ok=True)
        else:
            write_json(place / REPORT, report.to_json())
    if target.is_file:
        write_json(report_beside(dest), report.to_json())
    return report


def _require_layout(to: str, stored_as: str | None) -> None:
    """Refuse a layout that there is not, or a type that it does not have."""
    if to not in LAYOUTS:
        raise InputError(f"the layout is {to!r}, which is unknown{nearest(to, LAYOUTS)}")
    if stored_as is not None and stored_as not in LAYOUTS[to]:
        raise InputError(
            f"the type is {stored_as!r}, which {to} does not have{nearest(stored_as, LAYOUTS[to])}"
        )


def _compare(
    source: Source, target: Target, place: Path, dest: Path, progress: Progress
) -> tuple[Parity | None, list[str]]:
    """Compare the source with what was written; return what was found, and a warning if nothing was."""
    sides = target.sides(place)
    if sides is None:
        return None, ["the model was not compared with its source: there is no memory to load it here"]
    parity = check(sides, source, None if target.is_file else place, progress)
    if parity.failures:
        raise SpanmixError(
            f"{dest} is not written, because it would not be the same model as {source.path}: "
            f"{'; '.join(parity.failures)}. {_how_it_was_read(source)}"
        )
    return parity, []


def _how_it_was_read(source: Source) -> str:
    if source.grouping is None:
        return f"It was read as {source.layout}"
    return f"It was read as {source.layout}, by {source.grouping.decided_by}"
