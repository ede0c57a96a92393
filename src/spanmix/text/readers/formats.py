"""What a file is by the ending of its name: one document, lines of JSON, a table or an archive."""

from __future__ import annotations

FILE, JSONL, PARQUET, ARROW, TAR, TOKENS = "file", "jsonl", "parquet", "arrow", "tar", "tokens"

_KINDS = {
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".parquet": PARQUET,
    ".arrow": ARROW,
    ".tar": TAR,
    ".tgz": TAR,
}
_COMPRESSIONS = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


def kind_of(name: str) -> str:
    """Return what a file is by its name; all that is not known is one document.

    >>> kind_of("a.py"), kind_of("a.jsonl.zst"), kind_of("a.tar.gz"), kind_of("a.json"), kind_of("a.json.gz")
    ('file', 'jsonl', 'tar', 'file', 'jsonl')
    """
    ending = _ending(name)
    if ending in (".gz", ".zst", ".zstd"):
        inner = _ending(name.lower().removesuffix(ending))
        # Packed lines of JSON are mostly called .json.gz: by dolma and datatrove, too.
        return JSONL if inner == ".json" else kind if (kind := _KINDS.get(inner)) in (JSONL, TAR) else FILE
    return _KINDS.get(ending, FILE)


def is_of_kind(name: str, kind: str) -> bool:
    """Return whether a file of a folder is taken if the source's `format` is `kind`."""
    if kind == ARROW and name.startswith("cache-"):  # what the datasets library keeps of its own
        return False
    return kind_of(name) == kind or (kind == JSONL and _ending(name) == ".json")


def compression_of(name: str) -> str:
    """Return ``gzip``, ``zstd`` or ``""``.

    >>> compression_of("a.jsonl"), compression_of("a.tgz"), compression_of("a.jsonl.ZST")
    ('', 'gzip', 'zstd')
    """
    return _COMPRESSIONS.get(_ending(name), "")


def is_remark(name: str) -> bool:
    """Return whether a file may lie beside tables or archives without being one of the documents."""
    stem = name.lower().partition(".")[0]
    return stem in ("readme", "license", "licence", "notice") or _ending(name) in (".md", ".json", ".lock")


def _ending(name: str) -> str:
    stem, dot, ending = name.lower().rpartition(".")
    return dot + ending if stem.rpartition("/")[2] else ""
