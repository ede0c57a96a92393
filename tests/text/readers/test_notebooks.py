"""A notebook becomes a script that parses: code as it is, prose as comments, no outputs."""

import ast
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import SourceFilesConfig
from spanmix.text.readers.notebook import MalformedNotebookError, to_script
from spanmix.text.readers.source import read_source


def notebook(*cells, language="python", **others):
    """Cells are a kind and a source each."""
    written = [{"cell_type": kind, "source": source, "metadata": {}} for kind, source in cells]
    for cell in written:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"data": {"image/png": "iVBOR" * 100}, "output_type": "display_data"}]
    return json.dumps({"cells": written, "metadata": {"language_info": {"name": language}}} | others).encode()


def script(*cells, **kwargs):
    return to_script(notebook(*cells, **kwargs))[0]


def test_cells_stand_in_their_order():
    made = script(
        ("markdown", ["# Title\n", "\n", "of *it*"]), ("code", "x = 1"), ("raw", "no"), ("code", ["y = 2\n"])
    )
    assert made == "# # Title\n#\n# of *it*\n\nx = 1\n\ny = 2\n"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%matplotlib inline\nx = 1", "# %matplotlib inline\nx = 1"),
        ("!pip install \\\n    numpy\nx = 1", "# !pip install \\\n# numpy\nx = 1"),
        ("for i in y:\n    !echo {i}", "for i in y:\n    pass  # !echo {i}"),
        ("files = !ls\nx?\nx.y??\n?x", "# files = !ls\n# x?\n# x.y??\n# ?x"),
        ("%%bash\nls -l\nx = $(y)", "# %%bash\n# ls -l\n# x = $(y)"),
        ("%%time\nx = 1\n%load_ext y", "# %%time\nx = 1\n# %load_ext y"),
        ("%%timeit", "# %%timeit"),
        ("s = '''\n!not a command\n%s\n''' % x\n%time y", "s = '''\n!not a command\n%s\n''' % x\n# %time y"),
        ("x = (a\n % b)\n!ls", "x = (a\n % b)\n# !ls"),
        ("x = 1 if y else 2", "x = 1 if y else 2"),
    ],
)
def test_what_only_ipython_knows_becomes_comments(cell, expected):
    made = script(("code", cell))
    assert made == expected + "\n"
    ast.parse(made)


def test_what_does_not_parse_otherwise_stays():
    assert script(("code", "%time\nprint 'two'\n!ls")) == "# %time\nprint 'two'\n# !ls\n"


def test_any_python_stays_and_any_magic_goes():
    met = Counter()
    line = st.sampled_from(
        [
            *(
                "x = 1",
                "if x:\n    y = 2",
                "s = '''\n%a\n!b\n'''",
                "z = (1\n  % 2)",
                "def f():\n    return 1",
            ),
            *("%magic a", "!ls -l", "!a \\\n  b", "x = !ls", "x = %who", "help?", "?help", "if x:\n    !ls"),
            "%%x in a line",
        ]
    )

    @given(st.lists(line, min_size=1, max_size=6))
    def check(lines):
        made = script(("code", "\n".join(lines)))
        ast.parse(made)
        met["magic"] += "# " in made
        met["as it was"] += made == "\n".join(lines) + "\n"
        met["in a string"] += "'''\n%a\n!b" in made and "# " in made

    check()
    assert len(met) == 3 and min(met.values()) >= 8, met


def test_other_languages_have_their_own_comments():
    made = to_script(
        notebook(("markdown", "a\nb"), ("code", "val x = 1"), ("code", "%%sh\nls"), language="Scala")
    )
    assert made == ("// a\n// b\n\nval x = 1\n\n// %%sh\n// ls\n", "scala")
    old = {
        "worksheets": [
            {"cells": [{"cell_type": "code", "input": ["x = 1"]}, {"cell_type": "heading", "source": "A"}]}
        ]
    }
    assert to_script(json.dumps(old).encode()) == ("x = 1\n\n# A\n", "python")
    assert to_script(b'{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}') == ("", "r")


@pytest.mark.parametrize(
    "data",
    [
        *(b"{", b"[]", b"3", b"{}", b'{"cells": 3}', b'{"cells": [3]}', b'{"cells": [{"source": 3}]}'),
        *(b'{"cells": [{"source": [3]}]}', b'{"worksheets": 3}', b"[" * 100_000),
        b'{"cells": [' + b"{}," * 3_000_000 + b"{}]}",
    ],
)
def test_what_is_no_notebook_is_refused(data):
    with pytest.raises(MalformedNotebookError):
        to_script(data)


def test_a_notebook_in_a_folder_is_a_document(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(notebook(("code", "x = 1"), ("code", "y" * 20)))
    (tmp_path / "b.ipynb").write_bytes(b'{"cells": 3}')
    (tmp_path / "c.ipynb").write_bytes(notebook())
    (tmp_path / "d.ipynb").write_bytes(notebook(("code", "x" * 1001)))
    (tmp_path / "e.ipynb").write_bytes(b" " * 5000)
    (tmp_path / "f.ipynb").write_bytes(b"")
    (tmp_path / "g.ipynb").write_bytes(b"\xff{}")
    kept, *dropped = read_source(SourceFilesConfig("code", (str(tmp_path),)), 1000)
    assert (kept.text, kept.language, kept.path) == (
        "x = 1\n\n" + "y" * 20 + "\n",
        "python",
        f"{tmp_path.name}/a.ipynb",
    )
    assert (tmp_path / "a.ipynb").stat().st_size > 1000  # its outputs do not count
    too_long = "longer than 1,000 bytes"
    reasons = ["malformed notebook", "empty", too_long, too_long, "empty", "not UTF-8"]
    assert [item.reason for item in dropped] == reasons
    assert "it has no cells" in dropped[0].value
