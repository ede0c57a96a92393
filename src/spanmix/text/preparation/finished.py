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
from spanmix.text.document_table import MEND
from spanmix.text.preparation.differences import differences
from spanmix.text.preparation.made_of import MadeOf
from spanmix.text.readers.files import local_path
from spanmix.text.report import CORPUS_FILE, CorpusReport
from spanmix.text.written_files import changes

_MOST_SHOWN = 5


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

    Every file is compared with what was written. A report page that is missing or was changed is written
    anew, a data card only if it is missing, since people write into it. Other files are left alone.

    Args:
        out: the folder.
        made_of: what the corpus is to be made of.
        progress: called with the stage "check" from 1 GB on.

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
    if report.made_from != made_of.hash:
        raise InputError(
            f"--out {out} holds a corpus that was made with other settings or from other files: "
            f"{_difference(report, made_of)}. Choose another folder, or remove it to make it anew"
        )
    with _damage_named(out):
        Corpus.open(out, progress)
        _check_files(out, report)
    return report


@contextmanager
def _damage_named(out: Path) -> Iterator[None]:
    """Say of whatever cannot be read that it lies in `out`, and what to do."""
    try:
        yield
    except InputError as error:
        text = str(error).removesuffix(MEND).rstrip(". ")
        raise InputError(f"--out {out} holds a damaged corpus: {text}. {MEND}") from None


def _difference(report: CorpusReport, made_of: MadeOf) -> str:
    if report.made_with is None:
        return "it is too old to say which"
    return differences(report.made_with, made_of.record) or (
        "the recipe is the same, so a file that it reads or names was changed or written again (or "
        "corpus.redaction.salt is another)"
    )


def _check_files(out: Path, report: CorpusReport) -> None:
    if report.files is None:  # of a Spanmix that did not write them down
        read_figures(out)
        return
    changed = dict(changes(out, report.files))
    page_is_whole = changed.pop(PAGE_FILE, None) is None
    changed.pop(CARD_FILE, None)
    if changed:
        more = f", and {len(changed) - _MOST_SHOWN} more" if len(changed) > _MOST_SHOWN else ""
        raise InputError(", ".join([*changed.values()][:_MOST_SHOWN]) + more)
    card_is_there = (out / CARD_FILE).exists()
    if page_is_whole and card_is_there:
        return
    figures = read_figures(out)
    if not page_is_whole:
        write_corpus_page(out, figures)
    if not card_is_there:
        write_card(out, figures)
