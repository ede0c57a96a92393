"""All names that the language of a document can have: what a recipe may ask for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from spanmix.text.languages.endings import LANGUAGE_OF, LANGUAGE_OF_NAME
from spanmix.text.languages.names import PROSE, language_name


@cache
def known_languages() -> frozenset[str]:
    """Return the names that files are given, and those of data sets, which use GitHub linguist's.

    The latter are the 658 of linguist 7.22 as `language_name` writes them (``lib/linguist/languages.yml``).

    >>> "cobol" in known_languages(), "pyhton" in known_languages()
    (True, False)
    """
    listed = (
        files("spanmix.text.languages").joinpath("linguist_names.txt").read_text(encoding="utf-8").split()
    )
    jupyter = language_name("Jupyter Notebook")
    return frozenset((*listed, *LANGUAGE_OF.values(), *LANGUAGE_OF_NAME.values(), *PROSE, jupyter))
