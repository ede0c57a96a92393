"""Name a document for people: a path alone says little where several repositories have a ``README.md``."""

from __future__ import annotations


def document_name(repository: str, path: str) -> str:
    """Return the repository and the path inside it, as far as they are known.

    The files of a repository that were joined are called by its name alone, which is their path, too.

    >>> document_name("owner/name", "src/a.py"), document_name("", "folder/a.py")
    ('owner/name: src/a.py', 'folder/a.py')
    >>> document_name("owner/name", "owner/name")
    'owner/name'
    """
    return path if repository in ("", path) else f"{repository}: {path}"
