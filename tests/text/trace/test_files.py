"""A match is told with the files it stands in and their lines, whatever the layout wrote around them."""

import dataclasses
import json
import random
from collections import Counter

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.document_files import DocumentFile
from spanmix.text.pipeline import prepare
from spanmix.text.preparation.layout import join_repositories, lay_out
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings
from spanmix.types import Document

EVERY_HEADER = LayoutConfig("repository", language_tag=True, repository_share=1, path_share=1, stars_share=1)


def file(path, text, licence="MIT", language="python", repository="me/mine"):
    return Document(text, "code", path, language, licence, repository=repository, stars=7)


def opened(traced, tokenizer, folder, files, config=EVERY_HEADER):
    """The index of a corpus of some files in a layout, and the documents."""
    laid = [lay_out(one, key, config, 0) for key, one in enumerate(files)]
    if config.unit == "repository":
        laid = list(join_repositories(laid, config))
    made_with = {"corpus": {"layout": dataclasses.asdict(config)}}
    traced.write_corpus(folder, tokenizer, {"code": laid}, made_with=made_with)
    build_index(folder, IndexSettings(4))
    return TraceIndex.open(folder), laid


FIRST = "import this\n\n\ndef first(value):\n    return value\n"
SECOND = "<|file|>src/other.py\nimport that\n\ndef second():\n    pass"
THIRD = "# Über\nthird words, at length\n"


@pytest.fixture(scope="module")
def joined(traced, tokenizer, tmp_path_factory):
    files = [
        file("src/a.py", FIRST),
        file("src/b.py", SECOND, licence="Zlib"),
        file("src/empty.py", ""),
        file("README.md", THIRD, licence="", language="markdown"),
    ]
    return opened(traced, tokenizer, tmp_path_factory.mktemp("joined") / "corpus", files)


def files_of(index, text):
    (match,) = index.longest_matches(text, index.shortest_bytes)
    (place,) = match.occurrences
    return [(one.path, one.licence, one.language, one.line, one.start, one.num_bytes) for one in place.files]


@pytest.mark.parametrize(
    ("text", "path", "licence", "language", "line"),
    [
        ("def first(value):\n", "src/a.py", "MIT", "python", 4),
        ("    return value\n", "src/a.py", "MIT", "python", 5),
        ("def second():\n    pass", "src/b.py", "Zlib", "python", 4),
        ("third words, at length\n", "README.md", "", "markdown", 2),
    ],
)
def test_a_match_is_of_the_file_it_stands_in(joined, text, path, licence, language, line):
    own = {"src/a.py": FIRST, "src/b.py": SECOND, "README.md": THIRD}[path].encode()
    size = len(text.encode())
    assert files_of(joined[0], text) == [(path, licence, language, line, own.index(text.encode()), size)]


def test_lines_that_imitate_a_header_are_text(joined):
    assert files_of(joined[0], "<|file|>src/other.py\nimport that\n") == [
        ("src/b.py", "Zlib", "python", 1, 0, len("<|file|>src/other.py\nimport that\n"))
    ]


def test_a_match_in_a_header_is_of_the_file_behind_it_and_has_no_line(joined):
    assert files_of(joined[0], "<|file|>src/b.py\n<|repository|>me/") == [
        ("src/b.py", "Zlib", "python", 0, 0, 0)
    ]
    assert files_of(joined[0], "<|path|>src/empty.py\n") == [("src/empty.py", "MIT", "python", 0, 0, 0)]


def test_of_a_match_that_begins_in_a_header_the_files_part_is_told(joined):
    text = "<|stars|>1-10\n<|python|>import this\n\n\ndef"
    assert files_of(joined[0], text) == [("src/a.py", "MIT", "python", 1, 0, len("import this\n\n\ndef"))]


def test_a_match_over_borders_is_of_all_its_files(joined):
    index, (laid,) = joined
    document = laid.document.text
    start, end = document.index("return value"), document.index("third") + 5
    assert files_of(index, document[start:end]) == [
        ("src/a.py", "MIT", "python", 5, FIRST.index("return"), len("return value\n")),
        ("src/b.py", "Zlib", "python", 1, 0, len(SECOND)),
        ("README.md", "", "markdown", 1, 0, len("# Über\nthird".encode())),
    ]


def test_what_stands_behind_the_last_file_counts_to_it(traced, tokenizer, tmp_path):
    config = LayoutConfig("repository")
    index, (laid,) = opened(traced, tokenizer, tmp_path / "end", [file("a.py", "no end")], config)
    assert laid.document.text == "<|file|>a.py\nno end\n"
    assert files_of(index, "end\n") == [("a.py", "MIT", "python", 1, 3, 3)]


def test_a_header_shifts_no_line_of_a_file_alone(traced, tokenizer, tmp_path):
    config = dataclasses.replace(EVERY_HEADER, unit="file")
    files = [file("a.py", FIRST), file("b.py", "one\ntwo, alone\n", repository="")]
    index, laid = opened(traced, tokenizer, tmp_path / "alone", files, config)
    assert laid[0].document.text.count("\n") == FIRST.count("\n") + 3
    assert files_of(index, "def first(value)") == [("a.py", "MIT", "python", 4, 14, 16)]
    assert files_of(index, "two, alone\n") == [("b.py", "MIT", "python", 2, 4, 11)]


def owners(laid):
    """The number of the file that each byte of a document is of, or None."""
    files = laid.files or (DocumentFile(laid.document.path, "", "", 0, len(laid.document.text.encode())),)
    found = [None] * len(laid.document.text.encode())
    for number, one in enumerate(files):
        found[one.start : one.end] = [number] * one.num_bytes
    return files, found


def expected_places(laid, own, start, end):
    """Path, line, first byte and bytes of each file that some bytes of a document are of, byte by byte."""
    files, owner = owners(laid)
    numbers = dict.fromkeys(number for number in owner[start:end] if number is not None)
    if not numbers:  # of the file behind them, or the last
        behind = [one for one in files if one.start > start] or [files[-1]]
        return [(behind[0].path, 0, 0, 0)]
    found = []
    for number in numbers:
        one = files[number]
        bytes_ = [at - one.start for at in range(start, end) if owner[at] == number]
        assert bytes_ == list(range(bytes_[0], bytes_[-1] + 1))
        found.append((one.path, 1 + own[one.path].count(b"\n", 0, bytes_[0]), bytes_[0], len(bytes_)))
    return found


@pytest.mark.parametrize(
    "config",
    [EVERY_HEADER, LayoutConfig("repository"), LayoutConfig(language_tag=True), LayoutConfig(path_share=0.5)],
)
def test_every_place_is_told_as_counting_byte_by_byte_tells_it(traced, tokenizer, tmp_path, config):
    random_ = random.Random(3)
    cases = Counter()
    words = ["é = 1\n", "<|file|>c.py\n", "\n", "x", "def f():\n    return 2\n", "你佡"]
    texts = ["".join(f"{random_.choice(words)}" for _ in range(random_.randint(0, 9))) for _ in range(40)]
    files = [file(f"{number}.py", text) for number, text in enumerate(texts)]
    own = {one.path: one.text.encode() for one in files}
    index, laid = opened(traced, tokenizer, tmp_path / "made", files, config)
    for _ in range(150):
        document = random_.choice(laid).document.text
        at = random_.randrange(max(1, len(document)))
        text = document[at : at + random_.choice([8, 30, 250])]
        for match in index.longest_matches(text, 4, max_occurrences=20):
            for place in match.occurrences:
                end = place.start + match.num_bytes
                told = [(one.path, one.line, one.start, one.num_bytes) for one in place.files]
                assert told == expected_places(laid[place.document], own, place.start, end)
                cases["several files"] += len(told) > 1
                cases["in a header"] += told[0][1] == 0
                cases["in the middle"] += told[0][1] > 1
                cases["in a header and a file"] += 0 < sum(one[3] for one in told) < match.num_bytes
    assert cases["in the middle"] > 50
    assert cases["in a header"] > 20 or config.path_share == config.repository_share == 0
    assert cases["in a header and a file"] > 30
    assert (cases["several files"] > 50) == (config.unit == "repository")


def test_of_a_prepared_repository_every_file_is_found_by_its_own_name(tmp_path):
    """From rows of a dataset to a trace: an excerpt of any file is told with its path, licence and line."""
    rows = [
        {
            "path": f"src/f{i}.py",
            "repository": f"owner/r{i % 3}",
            "license": ["MIT", "ISC"][i % 2],
            "text": "\n".join(f"def function_{i}_{j}(x):\n    return x * {i * j}  # naïve" for j in range(9)),
        }
        for i in range(15)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sources = (SourceFilesConfig("rows", (str(tmp_path / "rows.jsonl"),)),)
    layout = LayoutConfig("repository", language_tag=True, path_share=0.5)
    corpus = tmp_path / "corpus"
    prepare(CorpusConfig("", sources, 0.0, layout=layout), TokenizerConfig(512, 20), corpus)
    build_index(corpus)
    index = TraceIndex.open(corpus)
    assert Corpus.open(corpus).report.sources["rows"].train.documents == 3
    for row in rows:
        text = row["text"][200:320]
        line = 1 + row["text"].count("\n", 0, 200)
        start, size = len(row["text"][:200].encode()), len(text.encode())
        assert files_of(index, text) == [(row["path"], row["license"], "python", line, start, size)]
        (match,) = index.longest_matches(text)
        assert match.occurrences[0].files[0].repository == row["repository"]
    source = Corpus.open(corpus).train["rows"]
    assert [source.name_of(i) for i in range(3)] == ["owner/r0", "owner/r1", "owner/r2"]


def without_files(folder):
    for path in folder.glob("*.documents.parquet"):
        pyarrow.parquet.write_table(
            pyarrow.parquet.read_table(path).drop_columns(["files", "repository"]), path
        )


def test_an_older_corpus_is_traced_where_its_documents_are_files(traced, tokenizer, tmp_path):
    config = LayoutConfig(max_repository_bytes=5000)
    files = [file("a.py", FIRST), file("b.py", THIRD)]
    index, _ = opened(traced, tokenizer, tmp_path / "old", files, config)
    without_files(index.corpus)
    assert files_of(TraceIndex.open(index.corpus), "third words") == [("b.py", "MIT", "python", 2, 8, 11)]


@pytest.mark.parametrize("config", [LayoutConfig("repository"), LayoutConfig(language_tag=True)])
def test_an_older_corpus_that_does_not_know_its_files_is_refused(traced, tokenizer, tmp_path, config):
    index, _ = opened(traced, tokenizer, tmp_path / "old", [file("a.py", FIRST)], config)
    without_files(index.corpus)
    with pytest.raises(InputError, match=r"wrong file and line\. Remove the corpus and prepare"):
        TraceIndex.open(index.corpus)
