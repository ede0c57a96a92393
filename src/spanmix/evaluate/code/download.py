"""Fetch the random-span sets of HumanEval-Infilling (Bavarian et al., 2022), which nothing here can make.

They are kept in ``$XDG_CACHE_HOME/spanmix`` (``~/.cache/spanmix``), so a machine without a network can be
given the file. What comes is not believed: every problem has to be one of HumanEval's programs with a part
taken out, and all of them have to be there.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.humaneval import humaneval_problems
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.evaluate.code.readers import read_problems

SOURCE = "https://github.com/openai/human-eval-infilling/raw/88062ff9859c875d04db115b698ed4b0f0395170/data/"
_CORRECTED = re.compile(r"/HumanEval/(47|130)/")
"""Their programs are those of an older HumanEval, whose median and tri had faults."""

_MOST_BYTES = 1 << 24
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class PublishedSet:
    """A file and how many problems are in it."""

    file: str
    num_problems: int


PUBLISHED = {
    "random-span": PublishedSet("HumanEval-RandomSpanInfilling.jsonl.gz", 1640),
    "random-span-light": PublishedSet("HumanEval-RandomSpanInfillingLight.jsonl.gz", 164),
}


def published_problems(name: str, download: bool = False, source: str = SOURCE) -> list[CodeProblem]:
    """Return a published set, from where it is kept.

    Args:
        name: one of `PUBLISHED`.
        download: fetch it if it is not there.
        source: the address in front of the file's name.

    Raises:
        InputError: it is not there, or what is there is not the published set.
        SpanmixError: it could not be fetched.
    """
    published = PUBLISHED[name]
    path = cache_folder() / published.file
    if not path.is_file():
        if not download:
            raise InputError(
                f"the set {name} is not on this machine; fetch it with --download, or put "
                f"{published.file} of openai/human-eval-infilling at {path}"
            )
        _fetch(source + published.file, path)
    problems = read_problems(path)
    _check(problems, published, path)
    return problems


def cache_folder() -> Path:
    """Return where files are kept that were fetched."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "spanmix"


def _fetch(url: str, path: Path) -> None:
    """Fetch a file, whole or not at all."""
    import httpx

    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_SECONDS, follow_redirects=True) as response:
            if not response.is_success:
                raise SpanmixError(f"{url} answers {response.status_code}; try again later")
            data = b""
            for part in response.iter_raw():
                data += part
                if len(data) > _MOST_BYTES:
                    raise SpanmixError(f"{url} is longer than {_MOST_BYTES:,} bytes, which the set is not")
    except (httpx.HTTPError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise SpanmixError(f"{url} cannot be fetched: {reason}. Put the file at {path} by hand") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as aside:
        aside.write(data)
    Path(aside.name).replace(path)


def _check(problems: list[CodeProblem], published: PublishedSet, path: Path) -> None:
    """Raise `InputError` unless the problems are the published number of HumanEval's programs with a gap.

    Blanks are passed over: the published programs begin with an empty line more, and a few lines are blank
    in one and empty in the other.
    """
    whole = {_letters(problem) for problem in humaneval_problems()}
    right = [one for one in problems if _letters(one) in whole or _CORRECTED.search(one.task_id)]
    if len(right) != len(problems) or len(problems) != published.num_problems:
        raise InputError(
            f"{path} has {len(problems):,} problems, {len(right):,} of them HumanEval's with a part taken "
            f"out; the published set has {published.num_problems:,}. Remove the file and fetch it with "
            "--download"
        )


def _letters(problem: CodeProblem) -> str:
    return "".join(problem.program(problem.canonical).split())
