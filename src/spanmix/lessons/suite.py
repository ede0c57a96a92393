"""Read an experiment suite: scales, arms, lessons and their claims, all written as YAML.

::

    SUITE/scales/<scale>.yaml          how large the runs are, which arms and seeds there are, what is
    measured SUITE/<lesson>/lesson.yaml         the question, what the paper found, and the claims
    SUITE/<lesson>/arms.yaml           what is trained for it: differences to the scale's recipe, by name

An arm belongs to the folder that it is named in, and may be used by the claims of every lesson. The suite
that comes with the package is the paper's five lessons; a folder of the same form is one of your own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from spanmix.errors import InputError, nearest
from spanmix.files import parse_json
from spanmix.lessons.parts import Arm, Lesson, Scale
from spanmix.recipes import parse_fields

T = TypeVar("T")

SCALES, LESSON, ARMS = "scales", "lesson.yaml", "arms.yaml"


@dataclass(frozen=True)
class Suite:
    """Everything that can be run."""

    arms: dict[str, Arm]
    lessons: tuple[Lesson, ...]
    scales: dict[str, Scale]

    def scale(self, name: str) -> Scale:
        """Return a scale; raises `InputError` if there is none of that name."""
        if name not in self.scales:
            raise InputError(f"--scale: there is no {name!r}{nearest(name, self.scales)}")
        return self.scales[name]

    def of(self, only: tuple[int, ...]) -> tuple[Lesson, ...]:
        """Return the lessons of some numbers, or all; raises `InputError` for a number that is not there."""
        numbers = [lesson.number for lesson in self.lessons]
        for number in only:
            if number not in numbers:
                raise InputError(f"--only: there is no lesson {number}; there are {numbers}")
        return tuple(lesson for lesson in self.lessons if not only or lesson.number in only)


def load_suite(folder: Path | None = None) -> Suite:
    """Read the package's suite, or that of a folder.

    Raises:
        InputError: a file is missing or wrong, a name stands twice, or names what is not there.
    """
    root: Traversable = folder if folder is not None else resources.files("spanmix") / "lessons" / "suite"
    if not root.is_dir() or not (root / SCALES).is_dir():
        raise InputError(f"{root} is not a suite of lessons: there is no folder {SCALES} in it")
    arms: dict[str, Arm] = {}
    lessons = []
    for place in sorted(root.iterdir(), key=lambda one: one.name):
        if not (place / LESSON).is_file():
            continue
        lessons.append(_checked(_yaml(place / LESSON), Lesson, str(place / LESSON), folder=place.name))
        for name, fields in (_yaml(place / ARMS) if (place / ARMS).is_file() else {}).items():
            if name in arms:
                raise InputError(f"{place / ARMS}: the arm {name!r} stands in another lesson too")
            arms[name] = _checked(fields, Arm, f"{place / ARMS}, {name}", name=name)
    files = {file.name.removesuffix(".yaml"): file for file in (root / SCALES).iterdir() if _is_yaml(file)}
    scales = {
        name: _checked(_yaml(files[name]), Scale, str(files[name]), name=name) for name in sorted(files)
    }
    suite = Suite(arms, tuple(sorted(lessons, key=lambda one: one.number)), scales)
    _check_names(suite, str(root))
    return suite


def _is_yaml(file: Traversable) -> bool:
    return file.name.endswith(".yaml")


def _yaml(file: Traversable) -> dict[str, Any]:
    return parse_fields(file.read_text(encoding="utf-8"), str(file))


def _checked(fields: Any, kind: type[T], where: str, **more: str) -> T:
    if not isinstance(fields, dict):
        raise InputError(f"{where} holds {type(fields).__name__}, not a mapping of fields")
    try:
        return parse_json(json.dumps({**fields, **more}), kind, where)
    except InputError as error:
        said = str(error)
        raise InputError(said if said.startswith(where) else f"{where}: {said}") from None


def _check_names(suite: Suite, where: str) -> None:
    numbers = [lesson.number for lesson in suite.lessons]
    if len(set(numbers)) != len(numbers) or not numbers:
        raise InputError(f"{where}: the lessons have the numbers {numbers}; number each once")
    needed = {f"lesson {lesson.number}": lesson.arms for lesson in suite.lessons}
    needed |= {f"scale {scale.name}": scale.needed_arms for scale in suite.scales.values()}
    for who, names in needed.items():
        for name in names:
            if name not in suite.arms:
                raise InputError(f"{where}: {who} names the arm {name!r}{nearest(name, suite.arms)}")
