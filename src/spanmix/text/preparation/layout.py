"""Lay files out as documents: write headers in front of them, and join those of a repository."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from spanmix import seeding
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.text.document_files import DocumentFile
from spanmix.types import Document

_STARS = ((0, "0"), (10, "1-10"), (100, "10-100"), (1000, "100-1000"))


@dataclass(frozen=True)
class LaidOut:
    """A document as it goes into the corpus.

    Args:
        document: its text is all that is encoded, headers too.
        files: where its files stand in it; none if it is one file, as it was read.
    """

    document: Document
    files: tuple[DocumentFile, ...] = ()

    @property
    def each_file(self) -> tuple[DocumentFile, ...]:
        """The files in it, also if it is one as it was read."""
        one = self.document
        alone = DocumentFile(one.path, one.language, one.licence, 0, len(one.text.encode()), one.repository)
        return self.files or (alone,)


def lay_out(document: Document, key: int, config: LayoutConfig, seed: int) -> LaidOut:
    """Return a file as it goes into the corpus, with the headers that its layout gives it.

    ``<|repository|>owner/name`` and ``<|path|>`` and ``<|stars|>``, each on a line of its own, then the
    language tag with the text right behind it.

    Args:
        document: the file.
        key: 63 bits of a hash of its bytes, by which headers are drawn.
        config: which headers there are.
        seed: the corpus's seed.
    """
    head = ""
    fields = {"repository": document.repository, "path": document.path, "stars": _stars(document.stars)}
    words = seeding.draw_one(seed, "headers", 0, 0, key, len(fields))
    for word, (name, value) in zip(words, fields.items(), strict=True):
        share = getattr(config, f"{name}_share")
        if value and word < int(share * 2**64):
            head += f"<|{name}|>{_one_line(value)}\n"
    if config.language_tag and document.language:
        head += f"<|{document.language}|>"
    laid = LaidOut(document)
    return _behind(head, laid) if head else laid


def join_repositories(files: Iterable[LaidOut], config: LayoutConfig) -> Iterator[LaidOut]:
    """Join the files of each repository, given one after the other; a file without a repository stays alone.

    The files stand in the order of their paths' folders, each behind a line ``<|file|>path``. They are one
    document, which is called by the repository. It has the language that all of them have, and a licence if
    all of them have one: what holds for some is not said of the whole. Of each file, its own are told.
    """
    for repository, group in groupby(files, lambda file: file.document.repository):
        if not repository:
            yield from group
            continue
        together: list[LaidOut] = []
        num_bytes = 0
        for file in group:
            headed = _behind(f"<|file|>{_one_line(file.document.path)}\n", file)
            size = len(headed.document.text.encode())
            if together and num_bytes + size > config.max_repository_bytes:
                yield _joined(together)
                together, num_bytes = [], 0
            together.append(headed)
            num_bytes += size
        if together:
            yield _joined(together)


def _behind(head: str, laid: LaidOut) -> LaidOut:
    document = laid.document
    # A header is shown before the prompt, and is no part of what is answered.
    cut = document.prompt_characters + len(head) if document.prompt_characters else 0
    whole = dataclasses.replace(document, text=head + document.text, prompt_characters=cut)
    return LaidOut(whole, _moved(laid.each_file, len(head.encode())))


def _moved(files: Iterable[DocumentFile], num_bytes: int) -> tuple[DocumentFile, ...]:
    return tuple(dataclasses.replace(file, start=file.start + num_bytes) for file in files)


def _joined(together: list[LaidOut]) -> LaidOut:
    files = [laid.document for laid in together]
    texts = [file.text if file.text.endswith("\n") else file.text + "\n" for file in files]
    parts: list[DocumentFile] = []
    done = 0
    for laid, text in zip(together, texts, strict=True):
        parts += _moved(laid.files, done)
        done += len(text.encode())
    languages = {file.language for file in files}
    licences = [] if any(not file.licence for file in files) else _all_licences(files)
    whole = dataclasses.replace(
        files[0],
        text="".join(texts),
        path=files[0].repository,
        language=languages.pop() if len(languages) == 1 else "",
        licence=" AND ".join(f"({one})" if " OR " in one and len(licences) > 1 else one for one in licences),
        prompt_characters=0,
    )
    return LaidOut(whole, tuple(parts))


def _all_licences(files: Iterable[Document]) -> list[str]:
    return sorted({part for file in files for part in _licences(file.licence)})


def _licences(expression: str) -> list[str]:
    """Return what all has to hold, as far as that is plain to see.

    >>> _licences("MIT AND ISC"), _licences("MIT AND (ISC OR 0BSD)"), _licences("")
    (['MIT', 'ISC'], ['MIT AND (ISC OR 0BSD)'], [])
    """
    if "(" in expression or " OR " in expression:
        return [expression]
    return [part for part in expression.split(" AND ") if part]


def _stars(stars: int | None) -> str:
    """Return stars as the range that StarCoder was shown."""
    if stars is None:
        return ""
    return next((name for most, name in _STARS if stars <= most), "1000+")


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\r", " ")
