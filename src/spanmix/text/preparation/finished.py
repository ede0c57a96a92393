"""Tell whether a folder is the finished corpus of a recipe, with all files as they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.files import follow, replaceable, require_makable
from spanmix.text.corpus import Corpus, Progress
from spanmix.text.corpus_page.card import CARD_FILE, write_card
from spanmix.text.corpus_page.figures import read_figures
from spanmix.text.corpus_page.page import PAGE_FILE, write_corpus_page
from spanmix.text.preparation.differences import differences, few
from spanmix.text.preparation.inputs import INPUTS_FILE, fingerprint, input_differences, load_inputs
from spanmix.text.preparation.made_of import MadeOf
from spanmix.text.readers.files import local_path
from spanmix.text.report import CORPUS_FILE, HELD_OUT_SUFFIX, MEND, CorpusReport
from spanmix.text.written_files import STORE_ENDINGS, changes

CHECK_INPUTS = "inputs"
"""The stage in which files of the sources are compared that were written again since."""
_MOST_SHOWN = 5
_SIDES = ("", HELD_OUT_SUFFIX)
_QUIET_BYTES = 1_000_000_000
"""Reading fewer bytes than this again takes a second or two; it is not reported."""


def require_place(out: Path, sources: Sequence[SourceFilesConfig]) -> None:
    """Check that a corpus can be made at `out`, before anything is read; what lies there is not looked at.

    Raises:
        InputError: it is a file, below one, or the folder of a source; or nothing can be written there.
    """
    try:
        folder = replaceable(out)
        if not (folder / CORPUS_FILE).is_file():  # a finished one may lie where nothing can be written
            require_makable(folder)
            require_makable(folder.absolute().parent)  # it is made beside its place
    except InputError as error:
        raise InputError(f"--out: {error}") from None
    except OSError as error:
        raise InputError(f"--out {str(out)[:200]}: {error.strerror}; name another place") from None
    for source in sources:
        for path in map(local_path, source.paths):
            if path.is_dir() and folder.is_dir() and path.samefile(folder):
                raise InputError(
                    f"--out {out} is the folder of source {source.name}, whose files are never overwritten; "
                    "name another folder, such as one inside it, which is not read"
                )


def finished_corpus(out: Path, made_of: MadeOf, progress: Progress) -> CorpusReport | None:
    """Return the report of the corpus at `out` if it is what is asked for; None if there is nothing yet.

    A file of a source is the same if its bytes are; it is read again if its size is and its time of change is
    not. Every file of the corpus is compared with what was written. A report page that is missing or was
    changed is written anew, a data card only if it is missing, since people write into it. Other files are
    left alone.

    Args:
        out: the folder.
        made_of: what the corpus is to be made of.
        progress: called with the stages "inputs" and "check", each from 1 GB on.

    Raises:
        InputError: there is something else, the corpus of another recipe or of other files (it says in what
            they differ), or a damaged one (it names the files).
    """
    out = follow(out)
    if not out.is_dir() or not any(out.iterdir()):
        return None
    if not (out / CORPUS_FILE).exists():
        raise InputError(f"--out {out} is not empty and holds no corpus; choose another folder")
    with _damage_named(out):
        report = CorpusReport.load(out)
    if found := _differences(out, report, made_of, progress):
        raise InputError(
            f"--out {out} holds a corpus that was made with other settings or from other files: "
            f"{few(found)}. Choose another folder, or remove it to make it anew"
        )
    with _damage_named(out):
        _check_files(out, report, progress)
    return report


@contextmanager
def _damage_named(out: Path) -> Iterator[None]:
    """Say of whatever cannot be read that it lies in `out`, and what to do."""
    try:
        yield
    except InputError as error:
        text = str(error).removesuffix(MEND).rstrip(". ")
        raise InputError(f"--out {out} holds a damaged corpus: {text}. {MEND}") from None


def _differences(out: Path, report: CorpusReport, made_of: MadeOf, progress: Progress) -> list[str]:
    """Say in what a corpus differs from what is asked for: settings first, and files only if those agree."""
    table = {name: file for name, file in (report.files or {}).items() if name == INPUTS_FILE}
    if not table or report.made_with is None:
        return ["it is of a Spanmix that did not write down what it read, so it cannot be compared"]
    if any(changes(out, table)):
        return []  # what is damaged is named together
    with _damage_named(out):
        there = load_inputs(out)
    if fingerprint(made_of.settings, there) != report.made_from:
        return differences(report.made_with, made_of.record) or [
            "corpus.redaction.salt is another, or the folders in front of an absolute path are (neither is "
            "written down), or it was made by another Spanmix"
        ]
    done = 0

    def advance(num_bytes: int, total: int) -> None:
        nonlocal done
        done += num_bytes
        if total >= _QUIET_BYTES:
            progress(CHECK_INPUTS, done, total)

    return input_differences(out, there, made_of.inputs, advance)


def _check_files(out: Path, report: CorpusReport, progress: Progress) -> None:
    """Refuse a corpus that was damaged, with all that was; write page and card if they are lost."""
    changed = dict(changes(out, report.files or {}))
    page_is_whole = changed.pop(PAGE_FILE, None) is None
    changed.pop(CARD_FILE, None)
    stores = [
        f"{name}{side}{ending}" for name in report.sources for side in _SIDES for ending in STORE_ENDINGS
    ]
    changed |= {name: f"{name} is missing" for name in stores if not (out / name).is_file()}
    damages = [*changed.values()]
    if all(name.startswith("audit/") for name in changed):  # it can be opened
        try:
            Corpus.open(out, progress)
        except InputError as error:
            damages.insert(0, str(error).removesuffix(MEND).rstrip(". "))
    if damages:
        more = f", and {len(damages) - _MOST_SHOWN} more" if len(damages) > _MOST_SHOWN else ""
        raise InputError(", ".join(damages[:_MOST_SHOWN]) + more)
    card_is_there = (out / CARD_FILE).exists()
    if page_is_whole and card_is_there:
        return
    figures = read_figures(out)
    if not page_is_whole:
        write_corpus_page(out, figures)
    if not card_is_there:
        write_card(out, figures)
