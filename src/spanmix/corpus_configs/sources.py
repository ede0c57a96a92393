"""The recipe's ``corpus.sources``: where the documents of a source come from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from spanmix.bounds import require
from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.corpus_configs.licences import LicencesConfig

FORMATS = ("auto", "files", "jsonl", "parquet", "arrow", "tar")
ON_ERROR = ("stop", "drop")
EVERY_FILE = ("*",)


@dataclass(frozen=True)
class ColumnsConfig:
    """The fields of a JSON line, or columns of a table, that hold what a document is made of.

    One that is not set is looked for under the names that the published data sets use; see
    `spanmix.text.readers.columns`. A dot leads into a field: ``metadata.path``.

    Args:
        text: the text.
        path: where the file lay.
        language: its language.
        licence: its licence, or a list of them that all hold.
        repository: the repository it was found in, ``owner/name``.
        stars: the stars of that repository.
    """

    text: str | None = None
    path: str | None = None
    language: str | None = None
    licence: str | None = None
    repository: str | None = None
    stars: str | None = None

    def __post_init__(self) -> None:
        for column in fields(self):
            _require_name(f"corpus.sources.columns.{column.name}", getattr(self, column.name))


@dataclass(frozen=True)
class SourceFilesConfig:
    """Where the documents of one source come from.

    Args:
        name: the source's name; its hash keys every random decision about it.
        paths: folders, files of text, ``.jsonl``, ``.parquet``, ``.arrow`` or ``.tar`` files (``.jsonl`` and
            ``.tar`` also with ``.gz`` or ``.zst``), or ``hf:owner/name[:config][:split]``, or
            ``python:stdlib`` and ``python:packages``, this interpreter's own; with a
            `tokenizer`, tokenized files or folders of them.
        include: glob patterns of the names of files to take from folders, or of their paths below those.
        text_field: the field of a ``.jsonl`` line, or column, that holds the text; where a file has none of
            the default name, ``content``, ``code`` or ``body``, which is said.
        prompt_field: the field that holds a prompt; then `text_field` is the response to it.
        tokenizer: a ``tokenizer.json``, or a folder that holds one, with which the source's files were
            tokenized; then its paths are ``.ds`` files, ``.bin`` files, or folders of them.
        format: what the paths are: ``auto`` goes by their names; ``files`` takes every file as a document;
            ``jsonl``, ``parquet``, ``arrow`` and ``tar`` open the files of folders too, and pass over those
            with other endings.
        columns: the fields or columns of a document, where they are not found by themselves.
        prose: turn Markdown, reStructuredText and HTML into plain text.
        git_rules: in git checkouts, take the repository's name, and leave out what ``.gitignore`` names, what
            ``.gitattributes`` calls generated or vendored, and submodules.
        submodules: take submodules too.
        follow_links: read what symbolic links in folders lead to, wherever that lies, but no folder twice;
            else links are left out. One that is itself named in `paths` is followed, and so are those of a
            cache of the Hub to its own files.
        on_error: what a file or a line does that cannot be read as what it should be: ``stop`` the work, or
            be counted, and passed over (``drop``).
        filters: which documents are dropped for what is in them; none by default.
        licences: which licences are permitted; all by default.
    """

    name: str
    paths: tuple[str, ...]
    include: tuple[str, ...] = EVERY_FILE
    text_field: str = "text"
    prompt_field: str | None = None
    tokenizer: str | None = None
    format: str = "auto"
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    prose: bool = False
    git_rules: bool = True
    submodules: bool = False
    follow_links: bool = False
    on_error: str = "stop"
    filters: FiltersConfig | None = None
    licences: LicencesConfig | None = None

    def __post_init__(self) -> None:
        kind = self.format
        require(kind in FORMATS, "corpus.sources.format", kind, f"use one of {', '.join(FORMATS)}")
        kind = self.on_error
        require(kind in ON_ERROR, "corpus.sources.on_error", kind, f"use one of {', '.join(ON_ERROR)}")
        rule = "leave it out, or write . for the current folder"
        for path in self.paths:
            require(bool(path.strip()), "corpus.sources.paths", path, rule)
        rule = "name at least one pattern of file names, such as *.py, or leave it out to take all"
        require(len(self.include) > 0, "corpus.sources.include", list(self.include), rule)
        rule = "it matches nothing; write it as *.py, or below the source's folder as src/*.py"
        for pattern in self.include:
            is_possible = bool(pattern.strip()) and pattern == pattern.strip("/").removeprefix("./")
            require(is_possible, "corpus.sources.include", pattern, rule)
        for name in ("text_field", "prompt_field", "tokenizer"):
            _require_name(f"corpus.sources.{name}", getattr(self, name))
        text = self.columns.text
        rule = "leave one of text_field and columns.text out: they say the same"
        alone = text is None or (self.text_field == "text" and self.prompt_field is None)
        require(alone, "corpus.sources.columns.text", text, rule)


def _require_name(field_name: str, value: str | None) -> None:
    require(value is None or value.strip() != "", field_name, value, "give it a name, or leave it out")
