"""Turn a recipe file plus dotted overrides into a checked `Recipe`, and back into YAML.

Unknown keys are errors that name the nearest known key: a silently ignored setting is worse than none.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import types
import typing
from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from spanmix.bounds import shown
from spanmix.config import CorpusRecipe, DataRecipe, Recipe
from spanmix.errors import InputError, nearest


class _Loader(yaml.SafeLoader):
    """YAML in which ``3e-4`` is a number, as people mean it, and a key that stands twice is an error.

    YAML 1.1 reads the one as text, and PyYAML lets the last of equal keys win.
    """

    # Where nodes are composed, not where values are built: there, merged keys (<<) are among a mapping's own.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    first = lines[key.value]
                    raise yaml.YAMLError(
                        f"the key {key.value!r} stands in line {first} and again in line {line}; keep one"
                    )
                lines[key.value] = line
        return node


_BARE_PATTERN = re.compile(r"(?:^|[\[,{:])\s*([*&!%@`][^\s,\]}]*)")
"""A value that begins with a mark of YAML's, such as ``*.py``."""


_CUT_OFF = re.compile(r"\{[^}]*|\[[^\]]*")
"""The beginning of a mapping or a list, which a shell cut off at a space."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file (or a built-in recipe by its name) and apply ``section.field=value`` overrides.

    Raises:
        InputError: the file is missing or not YAML; a key is unknown; a value has the wrong type.
    """
    return recipe_from_fields(_overridden_fields(name, overrides), name)


def load_corpus_recipe(name: str, overrides: Sequence[str] = ()) -> CorpusRecipe | Recipe:
    """Read what ``spanmix prepare`` needs: a recipe of ``corpus`` and ``tokenizer`` alone, or a whole one.

    A recipe that has any other section is checked whole, so that a slip shows before the work and not after.

    Raises:
        InputError: as `load_recipe`.
    """
    return corpus_recipe_from_fields(read_fields(name), name, overrides)


def corpus_recipe_from_fields(
    fields: dict[str, Any], name: str, overrides: Sequence[str] = ()
) -> CorpusRecipe | Recipe:
    """Do what `load_corpus_recipe` does with the fields of the recipe `name`, which are changed."""
    for override in overrides:
        _apply_override(fields, override)
    if fields.keys() <= {field.name for field in dataclasses.fields(CorpusRecipe)}:
        return typing.cast(CorpusRecipe, _checked(fields, name, CorpusRecipe))
    return recipe_from_fields(fields, name)


def load_data_recipe(name: str, overrides: Sequence[str] = ()) -> DataRecipe | Recipe:
    """Read what decides the rows of a run, from a recipe of that alone or a whole one.

    A recipe of that alone has the sections ``corpus``, ``tokenizer``, ``objectives`` and ``data``, and
    ``run`` with its ``seed``. One that has any other section, or another field of ``run``, is checked whole.

    Raises:
        InputError: as `load_recipe`.
    """
    fields = _overridden_fields(name, overrides)
    run = fields.get("run")
    seed_alone = not isinstance(run, dict) or run.keys() <= {"seed"}
    if seed_alone and fields.keys() <= {field.name for field in dataclasses.fields(DataRecipe)}:
        return typing.cast(DataRecipe, _checked(fields, name, DataRecipe))
    if fields.keys() <= {field.name for field in dataclasses.fields(DataRecipe)}:
        others = ", ".join(f"run.{key}" for key in run if key != "seed") if isinstance(run, dict) else "run"
        raise InputError(
            f"recipe {name} is one of the data alone, which has run.seed and not {others}; leave that out, "
            "or add the sections model, optimizer and schedule"
        )
    return recipe_from_fields(fields, name)


def _overridden_fields(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    fields = read_fields(name)
    for override in overrides:
        _apply_override(fields, override)
    return fields


def read_fields(name: str) -> dict[str, Any]:
    """Read a recipe's fields as plain YAML values."""
    path = Path(name)
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"recipe {name} is not UTF-8 text (byte {error.start}); save it as UTF-8"
            ) from None
    elif name in builtin_recipes():
        text = builtin_recipes()[name].read_text(encoding="utf-8")
    elif path.is_dir():
        raise InputError(f"recipe {name} is a folder; name a recipe file")
    else:
        raise InputError(f"recipe {name}: no such file or built-in recipe{nearest_recipe(name)}")
    return parse_fields(text, name)


def nearest_recipe(name: str) -> str:
    """Return, as `nearest`, a file beside `name` or a built-in recipe that may have been meant."""
    beside = sorted(str(path) for ending in ("yaml", "yml") for path in Path(name).parent.glob(f"*.{ending}"))
    close = nearest(name, beside)
    return close if "did you mean" in close else nearest(name, builtin_recipes())


def parse_fields(text: str, name: str) -> dict[str, Any]:
    """Parse the text of a recipe."""
    fields = _parse_yaml(text, f"recipe {name}")
    if not isinstance(fields, dict):
        raise InputError(f"recipe {name} holds {type(fields).__name__}; it must be a mapping of sections")
    return fields


def _parse_yaml(text: str, what: str) -> Any:
    try:
        # _Loader is a SafeLoader; see there for what it adds.
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise InputError(f"{what} is nested too deeply; a recipe has four levels") from None
    except yaml.YAMLError as error:
        raise InputError(f"{what} is not valid YAML: {' '.join(str(error).split())}") from None
    except (ValueError, KeyError, AttributeError) as error:
        # What int(), date() and the like raise inside PyYAML.
        raise InputError(
            f"{what} holds a number, a date or a !!tag that cannot be read ({error}); "
            f"put text in quotation marks"
        ) from None


def builtin_recipes() -> dict[str, Traversable]:
    """Return the recipes that come with the package by name, those of corpora behind those of runs."""
    runs = resources.files("spanmix") / "recipe_files"
    files = [*runs.iterdir(), *(runs / "corpora").iterdir()]
    named = [(item.name.removesuffix(".yaml"), item) for item in files if item.name.endswith(".yaml")]
    return dict(sorted(named, key=lambda pair: pair[0]))


def recipe_from_fields(fields: dict[str, Any], name: str) -> Recipe:
    """Check plain fields and build the `Recipe`; errors name the recipe, the field and the value."""
    return typing.cast(Recipe, _checked(fields, name, Recipe))


def _checked(fields: dict[str, Any], name: str, kind: Any) -> Any:
    _check_keys(fields, kind, f"recipe {name}", "")
    from pydantic import ValidationError

    try:
        # JSON mode: lists may become tuples, yet strings never become numbers.
        return _adapter(kind).validate_json(json.dumps(fields), strict=True)
    except ValidationError as error:
        raise InputError(
            f"recipe {name}: {_first_fault(error.errors()[0], json.loads(json.dumps(fields)))}"
            + _hint_of_text(error.errors()[0], fields, kind)
        ) from None
    except (TypeError, ValueError) as error:
        raise InputError(f"recipe {name}: {error}; use text, numbers, lists and mappings only") from None


def _first_fault(error: Any, fields: Any) -> str:
    """Say in words what pydantic found first.

    Where a field may have one of several types, its place goes on with the name of one, as ``int``: no key.
    """
    place = []
    for part in error["loc"]:
        is_key = part in fields if isinstance(fields, dict) else isinstance(part, int)
        if is_key and isinstance(fields, dict | list):
            fields = fields[part]
            place.append(str(part))
    if error["type"] == "missing":
        place.append(str(error["loc"][-1]))
    field = ".".join(place)
    if not field:  # a lone surrogate: the text of no file
        return f"{error['msg'].lower()}; use text that UTF-8 can hold"
    if error["type"] == "missing":
        return f"{field} is missing, and it is required"
    return f"{field} is {shown(error['input'])}; {error['msg'].lower()}"


def _hint_of_text(error: Any, fields: dict[str, Any], kind: Any) -> str:
    """Return what to say where YAML made a truth value of a word: which words the field takes, if few."""
    if error["type"] != "string_type" or not isinstance(error["input"], bool):
        return ""
    hint = " (YAML reads a bare yes, no, on or off as true or false; put text in quotation marks)"
    fields = json.loads(json.dumps(fields))
    *place, last = error["loc"]
    node: Any = fields
    for part in place:
        node = node[part]
    node[last] = word = "yes" if error["input"] else "no"
    try:
        _adapter(kind).validate_json(json.dumps(fields), strict=True)
    except InputError as refused:
        field = ".".join(part for part in error["loc"] if isinstance(part, str))
        said, _, rule = str(refused).partition("; ")
        if said.endswith(f" is {word!r}") and field.endswith(said.removesuffix(f" is {word!r}")):
            return f": {rule}{hint}"
    except ValueError:
        pass
    return hint


def to_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as plain values: the inverse of `recipe_from_fields`."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(recipe))))


def to_yaml(recipe: Recipe) -> str:
    """Write the recipe as YAML, in the order of its fields."""
    fields = to_fields(recipe)
    # PyYAML reads a NEL back as a space, unless it was escaped.
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode="\\x85" not in repr(fields))


@cache
def _adapter(kind: type[Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def refuse_cut_off(override: str) -> None:
    """Refuse a ``section.field=value`` whose value is the beginning of a mapping or a list.

    Raises:
        InputError: it says how to quote it.
    """
    key, _, text = override.partition("=")
    if _CUT_OFF.fullmatch(text.strip()):
        close = "}" if text.strip()[0] == "{" else "]"
        raise InputError(
            f"override {key}: {text} has no {close}, as when a shell cuts it at a space; put the whole in "
            f"quotation marks, as '{key}={text} …{close}'"
        )


def _apply_override(fields: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"override {override!r} is not of the form section.field=value")
    refuse_cut_off(override)
    *sections, last = key.split(".")
    node: Any = fields
    for section in sections:
        node = _descend(node, section, key)
    try:
        value = _parse_yaml(text, f"override {key}: its value")
    except InputError:
        if pattern := _BARE_PATTERN.search(text):
            quoted = shlex.quote(f'{key}=["{pattern[1]}"]')
            raise InputError(
                f"override {key}: {pattern[1]} begins with {pattern[1][0]}, which means something else in "
                f"YAML; put it in quotation marks, as {quoted}"
            ) from None
        raise
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    else:
        node[last] = value


def _descend(node: Any, part: str, key: str) -> Any:
    node = node[_index(node, part, key)] if isinstance(node, list) else node.setdefault(part, {})
    if not isinstance(node, dict | list):
        raise InputError(f"override {key}: {part} is {shown(node)}, which has no fields")
    return node


def _index(node: list[Any], part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(node):
        raise InputError(f"override {key}: {part!r} is not an index from 0 to {len(node) - 1}")
    return int(part)


def _check_keys(value: Any, kind: Any, name: str, prefix: str) -> None:
    """Raise on any key that `kind` (a dataclass, or a container of them) does not have."""
    origin = get_origin(kind)
    if origin is typing.Annotated:
        _check_keys(value, _named(value, get_args(kind)[0], name, prefix), name, prefix)
    elif origin in (typing.Union, types.UnionType):
        for option in get_args(kind):
            _check_keys(value, option, name, prefix)
    elif origin is tuple and isinstance(value, list):
        for i, item in enumerate(value):
            _check_keys(item, get_args(kind)[0], name, f"{prefix}{i}.")
    elif dataclasses.is_dataclass(kind) and isinstance(value, dict):
        known = get_type_hints(kind, include_extras=True)
        for key, item in value.items():
            if key not in known:
                raise InputError(f"{name}: unknown key {prefix}{key}{nearest(str(key), known)}")
            _check_keys(item, known[key], name, f"{prefix}{key}.")


def _named(value: Any, kinds: Any, name: str, prefix: str) -> Any:
    """Return the one of several dataclasses that the value's ``name`` asks for."""
    by_name = {option.name: option for option in get_args(kinds)}
    asked = value.get("name") if isinstance(value, dict) else None
    if asked not in by_name:
        raise InputError(f"{name}: {prefix}name is {shown(asked)}{nearest(str(asked), by_name)}")
    return by_name[asked]
