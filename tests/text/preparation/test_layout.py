"""Headers are text in front of a file, drawn by its bytes; a repository is its files in a row; each is found
again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.text.preparation.layout import LaidOut, join_repositories, lay_out
from spanmix.types import Document


def document(text="x = 1\n", **fields):
    return Document(text, "code", **({"path": "src/a.py", "language": "python"} | fields))


def text_of(file, config, key=5, seed=3):
    return lay_out(file, key, config, seed).document.text


def test_nothing_is_written_by_default():
    assert lay_out(document(), 5, LayoutConfig(), 0) == LaidOut(document())


def test_headers():
    config = LayoutConfig(language_tag=True, repository_share=1, path_share=1, stars_share=1)
    whole = document(repository="me/mine", stars=55)
    assert text_of(whole, config) == (
        "<|repository|>me/mine\n<|path|>src/a.py\n<|stars|>10-100\n<|python|>x = 1\n"
    )
    assert text_of(document(language=""), config) == "<|path|>src/a.py\nx = 1\n"
    assert text_of(document(path="a\nb.py"), LayoutConfig(path_share=1)) == "<|path|>a b.py\nx = 1\n"


@pytest.mark.parametrize(
    ("stars", "shown"),
    [(0, "0"), (1, "1-10"), (10, "1-10"), (11, "10-100"), (1000, "100-1000"), (1001, "1000+")],
)
def test_stars_are_shown_as_ranges(stars, shown):
    assert text_of(document(stars=stars), LayoutConfig(stars_share=1)).startswith(f"<|stars|>{shown}\n")


def test_shares_are_drawn_by_the_file_and_independent():
    config = LayoutConfig(repository_share=0.2, path_share=0.5)
    texts = [text_of(document(repository="a/b"), config, key) for key in range(4000)]
    assert texts == [text_of(document(repository="a/b"), config, key) for key in range(4000)]
    with_repository = sum("<|repository|>" in text for text in texts) / 4000
    with_path = sum("<|path|>" in text for text in texts) / 4000
    both = sum("<|repository|>" in text and "<|path|>" in text for text in texts) / 4000
    assert 0.17 < with_repository < 0.23 and 0.46 < with_path < 0.54 and 0.08 < both < 0.12
    others = [text_of(document(repository="a/b"), config, key, seed=4) for key in range(4000)]
    assert sum(a != b for a, b in zip(texts, others, strict=True)) > 1000


def test_a_header_belongs_to_the_prompt():
    found = lay_out(
        document("ask: tell", prompt_characters=5), 5, LayoutConfig(language_tag=True), 0
    ).document
    assert found.text[: found.prompt_characters] == "<|python|>ask: "
    assert found.text[found.prompt_characters :] == "tell"


def test_a_repository_is_its_files_in_a_row():
    files = [
        document("no end", path="a/1.py", repository="a/a", licence="MIT"),
        document("two\n", path="a/2.md", repository="a/a", language="markdown", licence="ISC"),
        document("alone\n", path="b/1.py"),
        document("more\n", path="c/1.py", repository="c/c", licence="MIT"),
        document("last\n", path="c/2.py", repository="c/c", licence="MIT AND Zlib"),
    ]
    laid = list(join_repositories(map(LaidOut, files), LayoutConfig(unit="repository")))
    joined = [one.document for one in laid]
    assert [one.text for one in joined] == [
        "<|file|>a/1.py\nno end\n<|file|>a/2.md\ntwo\n",
        "alone\n",
        "<|file|>c/1.py\nmore\n<|file|>c/2.py\nlast\n",
    ]
    assert [one.language for one in joined] == ["", "python", "python"]
    assert [one.licence for one in joined] == ["ISC AND MIT", "", "MIT AND Zlib"]
    assert [(one.repository, one.path) for one in joined] == [("a/a", "a/a"), ("", "b/1.py"), ("c/c", "c/c")]
    told = [(file.repository, file.path, file.licence) for one in laid for file in one.each_file]
    assert told == [(file.repository, file.path, file.licence) for file in files]


def test_a_repository_with_a_file_of_unknown_licence_has_none_that_is_known():
    files = [
        document(path=f"{i}.py", repository="a/a", licence=one) for i, one in enumerate(["MIT", "", "ISC"])
    ]
    (joined,) = join_repositories(map(LaidOut, files), LayoutConfig(unit="repository"))
    assert joined.document.licence == ""
    assert [file.licence for file in joined.files] == ["MIT", "", "ISC"]


def test_a_large_repository_is_cut_between_files():
    files = [document("x" * 400, path=f"{i}.py", repository="a/a") for i in range(7)]
    config = LayoutConfig(unit="repository", max_repository_bytes=1000)
    joined = list(join_repositories(map(LaidOut, files), config))
    assert [laid.document.text.count("<|file|>") for laid in joined] == [2, 2, 2, 1]


TEXTS = ["x = 1\n", "no end", "", "\n", "<|file|>b.py\nfake\n", "é = 你\r\n", "<|path|>src/a.py\n<|python|>"]
files = st.builds(
    Document,
    st.lists(st.sampled_from(TEXTS), max_size=3).map("".join),
    st.just("code"),
    st.sampled_from(["a.py", "b.py", "ä b.py", "a\nb.py"]),
    st.sampled_from(["python", "markdown", ""]),
    st.sampled_from(["MIT", ""]),
    st.just(0),
    st.sampled_from(["", "", "a/a", "b/b"]),
    st.sampled_from([None, 5]),
)
configs = st.builds(
    LayoutConfig,
    st.sampled_from(["file", "repository"]),
    st.booleans(),
    *[st.sampled_from([0.0, 0.5, 1.0])] * 3,
    st.just(1000),
)


def test_every_file_is_found_where_the_layout_put_it():
    """Whatever a file holds, its bytes stand where the corpus says, under its own path.

    In between stands only what the layout wrote; a document without a list is one file as it was read.
    """
    cases = Counter()

    @given(st.lists(files, max_size=12), configs)
    def check(given, config):
        given = sorted(given, key=lambda file: file.repository)
        laid = [lay_out(file, key, config, 0) for key, file in enumerate(given)]
        if config.unit == "repository":
            laid = list(join_repositories(laid, config))
        found = []
        for one in laid:
            content = one.document.text.encode()
            if not one.files:
                found.append((one.document.path, one.document.language, one.document.licence, content))
                cases["as it was read"] += 1
            between = 0
            for file in one.files:
                text = content[file.start : file.end]
                found.append((file.path, file.language, file.licence, text))
                assert file.start > between and content[between : file.start].lstrip(b"\n").startswith(b"<|")
                between = file.end
                cases["imitates a header"] += b"<|" in text
                cases["empty"] += not text
            assert content[between:] in (b"", b"\n") or not one.files
            cases["joined"] += len(one.files) > 1
        told = [(file.path, file.language, file.licence, file.text.encode()) for file in given]
        assert found == told

    check()
    assert min(cases[case] for case in ("as it was read", "imitates a header", "empty", "joined")) > 20


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"unit": "folder"}, "layout.unit is 'folder'"),
        ({"path_share": 1.5}, "layout.path_share is 1.5"),
        ({"max_repository_bytes": 10}, "max_repository_bytes is 10"),
    ],
)
def test_settings_are_checked(fields, said):
    with pytest.raises(InputError, match=said):
        LayoutConfig(**fields)
