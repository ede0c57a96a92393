"""A tokenizer, a tiny decoder, and Python files that are as good as written by people."""

import random
from importlib.util import find_spec
from pathlib import Path

import pytest

from spanmix.evaluate.understanding.functions import functions_of

MODULES = [
    "argparse", "ast", "bisect", "calendar", "cmd", "colorsys", "configparser", "csv", "difflib", "fnmatch",
    "fractions", "getopt", "heapq", "html.parser", "json.decoder", "optparse", "pprint", "shlex",
    "statistics", "string", "textwrap", "tokenize",
]  # fmt: skip


@pytest.fixture(scope="session")
def library():
    """Texts of Python's own library, by path."""
    paths = [Path(find_spec(name).origin) for name in MODULES]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


@pytest.fixture(scope="session")
def library_functions(library):
    """Its functions of a usual length."""
    found = [function for path, text in library.items() for function in functions_of(text, path)]
    found = [function for function in found if 60 <= len(function.text) <= 1200]
    assert len(found) > 250
    return found


NAMES = ["total", "rows", "limit", "cells", "width", "words", "depth", "price"]


def made_up_function(seed):
    """A function that differs for every seed, and can have a fault and other names."""
    choose = random.Random(seed)
    a, b, c, d = choose.sample(NAMES, 4)
    return (
        f"def {a}_of_{b}_{seed}({c}, {d}):\n"
        f"    {a} = {seed}\n"
        f"    {b} = {choose.randrange(2, 9)}\n"
        f"    for step in range({choose.randrange(2, 9)}, {c}):\n"
        f"        if {a} < {d}:\n"
        f"            {a} += step * {b}\n"
        f"    return helper_{seed % 7}({a}, {b}) - {c}\n"
    )


@pytest.fixture(scope="session")
def made_up_folder(tmp_path_factory):
    """A folder of Python files with three functions each."""
    folder = tmp_path_factory.mktemp("code")
    for n in range(60):
        functions = [made_up_function(3 * n + k) for k in range(3)]
        (folder / f"file_{n}.py").write_text("import helpers\n\n\n" + "\n\n".join(functions))
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    """A tiny tokenizer of the made-up functions."""
    from spanmix.text.tokenizer import Tokenizer

    return Tokenizer.train([made_up_function(n) for n in range(50)], vocab_size=384, num_sentinels=9)
