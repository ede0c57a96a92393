"""What the tests of a corpus's page share: a corpus of hostile documents, and a reader of pages."""

import json
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import pyarrow
import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.text.pipeline import prepare

HOSTILE = [
    "<script>alert(1)</script>",
    "a\nb\x1b[2J\x07",
    "\u202egnp.exe",
    "\u2066x\u2069 & 'y' \"z\"",
    "</code></pre><img src=x onerror=alert(1)>",
    "| a | `b` **c** [d](javascript:e)",
    "\U000e0041\u200b\ufeff",
]
LICENCES = ["MIT", "Apache-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", "<b>|licence", ""]


class Page(HTMLParser):
    """A page's tags, words and tables; it proves that tags are closed in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.attributes, self.tables = [], [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in {"meta"}:
            self.open.append(tag)
        if tag == "table":
            self.tables.append(SimpleNamespace(caption="", rows=[]))
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in {"td", "th"}:
            self.tables[-1].rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append((self.open[-1] if self.open else "", data))
        if "table" in self.open:
            if "caption" in self.open:
                self.tables[-1].caption += data
            elif self.tables[-1].rows and self.tables[-1].rows[-1]:
                self.tables[-1].rows[-1][-1] += data

    def table(self, first_head, caption=""):
        """The rows below the heads of the one table with such a first head and caption, as dicts."""
        found = [t for t in self.tables if t.rows[0][0] == first_head and t.caption.startswith(caption)]
        assert len(found) == 1, [(t.rows[0], t.caption) for t in self.tables]
        heads, *rows = found[0].rows
        return [dict(zip(heads, row, strict=True)) for row in rows]

    def tables_by_heads(self, *heads):
        """The same of the one table whose first heads are these."""
        found = [t for t in self.tables if t.rows[0][: len(heads)] == list(heads)]
        assert len(found) == 1
        return [dict(zip(found[0].rows[0], row, strict=True)) for row in found[0].rows[1:]]

    def svg_titles(self):
        return [words for tag, words in self.words if tag == "title"]

    @property
    def text(self):
        return "".join(words for tag, words in self.words if tag != "style")


def number(words):
    return int(words.replace(",", ""))


def rows_of(folder):
    rows = []
    for i in range(50):
        lines = [f"def function_{i}_{j}(x):\n    return x * {i * j}  # naïve\n" for j in range(6 + i % 9)]
        row = {
            "path": f"src/f{i}.py",
            "repository": f"owner/r{i % 5}",
            "license": LICENCES[i % 5],
            "lang": ["Python", "<img src=x>", "C++", ""][i % 4],
            "text": "\n".join(lines),
        }
        rows.append(row)
        if i < 2 * len(HOSTILE):
            end = "" if i % 2 else "\n# the end\n"
            rows.append(row | {"path": f"{HOSTILE[i // 2]}{i}", "text": row["text"] + end})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(folder, **layout):
    """Write sources and prepare a corpus of them, which has all kinds of audit files."""
    folder.mkdir(parents=True)
    rows_of(folder)
    plain = folder / "plain"
    plain.mkdir()
    for i in range(20):
        (plain / f"p{i:02}.txt").write_text(f"Chapter {i}.\n" + "It was a dark night. " * (i + 3))
    (plain / "zero.bin").write_bytes(b"\0")
    (plain / "none.txt").write_bytes(b"")
    (plain / "odd<b>\nname.txt").write_bytes(b"\xff")
    sources = (
        SourceFilesConfig("rows", (str(folder / "rows.jsonl"),)),
        SourceFilesConfig("plain", (str(plain),)),
    )
    config = CorpusConfig(
        "",
        sources,
        held_out_share=0.2,
        seed=3,
        duplicates=DuplicatesConfig(near="drop"),
        layout=LayoutConfig(**layout),
    )
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=20), folder / "out")
    return folder / "out"


def redaction(path, kind, detector="rule"):
    return {"path": path, "kind": kind, "detector": detector, "line": 1, "column": 1, "length": 3, "hash": ""}


def match(path, benchmark, task_id, method="exact", **fields):
    row = {"path": path, "source": "rows", "benchmark": benchmark, "task_id": task_id, "method": method}
    return row | {"kind": "solution", "matched": "x = 1", "line": 7, "share": 0.5, "action": "drop"} | fields


def write_notes(corpus, source, kind, rows):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (corpus / "audit" / f"{source}.{kind}.jsonl").write_text(lines)


def write_dropped(path, rows, per_group=10**6):
    """Write a table of dropped documents, in row groups of some size."""
    text = pyarrow.string()
    schema = pyarrow.schema(
        [("path", text), ("reason", text), ("value", text), ("num_bytes", pyarrow.int64()), ("excerpt", text)]
    )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path, row_group_size=per_group)


def with_everything(corpus):
    """Add audit files of notes, and hostile excerpts and values, to a corpus; all its numbers stay right."""
    path = corpus / "audit" / "rows.dropped.parquet"
    rows = pyarrow.parquet.read_table(path).to_pylist()
    for i, row in enumerate(rows):
        row["excerpt"] = HOSTILE[i % len(HOSTILE)] + "tail" * (i % 3)
        row["value"] = HOSTILE[(i + 1) % len(HOSTILE)]
    write_dropped(path, rows)
    kinds = ["email", "email", "key", "<i>kind"]
    notes = [redaction(f"{HOSTILE[i % 7]}{i}", kinds[(i + j) % 4]) for i in range(30) for j in range(i % 3)]
    write_notes(corpus, "rows", "redactions", notes)
    matches = [match(f"{words}{i}", "human-eval", f"HumanEval/{i % 3}") for i, words in enumerate(HOSTILE)]
    matches += [match("p", words, words, matched=words * 9) for words in HOSTILE]
    write_notes(corpus, "rows", "contamination", matches)
    write_notes(corpus, "rows", "attribution", [])
    return corpus


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    return with_everything(make(tmp_path_factory.mktemp("page") / "in"))


@pytest.fixture
def corpus(original, tmp_path):
    """A copy of a corpus with everything, to be changed."""
    return shutil.copytree(original, tmp_path / "corpus")


@pytest.fixture(scope="session")
def helpers():
    """All of the above by its name."""
    return SimpleNamespace(**globals())
