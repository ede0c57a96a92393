"""Put other files in front of the one that is written, as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel

CHARACTERS_PER_TOKEN = 64
"""A text of more characters for each token of the room is not counted: it does not fit."""


class ExtraFile(BaseModel):
    """A file, or a part of one, that the model is shown.

    Args:
        filename: its path; may be empty.
        text: what it holds.
    """

    filename: str = ""
    text: str = ""


def shown(file: ExtraFile) -> str:
    r"""Return a file as it is written in front of the text: its path as a comment, then what it holds.

    >>> shown(ExtraFile(filename="a.py", text="x = 1")), shown(ExtraFile(filename="b.js", text="y\n"))
    ('# a.py\nx = 1\n', '// b.js\ny\n')
    """
    text = file.text if file.text.endswith("\n") or not file.text else f"{file.text}\n"
    name = " ".join(file.filename.split())
    if not name:
        return text
    return f"{_comment_mark(name)} {name}\n{text}"


def with_files(
    files: Sequence[ExtraFile], prefix: str, num_tokens: Callable[[str], int], room: int
) -> tuple[str, int]:
    """Return a prefix with as many of the files in front of it as there is room for, and how many were not.

    Files that come later are nearer to what is written, so the first are left out first; each is shown whole
    or not at all.

    Args:
        files: in the order in which they are shown.
        prefix: what stands in front of the cursor.
        num_tokens: counts those of a text.
        room: most tokens of all files together.
    """
    taken: list[str] = []
    for file in reversed(files):
        text = shown(file)
        # Hardly any token is longer, and to count those of a long text takes time.
        if len(text) > CHARACTERS_PER_TOKEN * room or (needed := num_tokens(text)) > room:
            break
        room -= needed
        taken.append(text)
    return "".join([*reversed(taken), prefix]), len(files) - len(taken)


def _comment_mark(name: str) -> str:
    ending = name.rpartition(".")[2].lower()
    if ending in ("py", "rb", "sh", "yaml", "yml", "toml", "r", "pl", "mk", "jl", "ex", "tf", "cfg", "ini"):
        return "#"
    return "--" if ending in ("sql", "lua", "hs", "elm", "ada") else "//"
