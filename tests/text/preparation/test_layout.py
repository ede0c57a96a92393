"""Headers are text in front of a file, drawn by its bytes; a repository is its files in a row."""

import pytest

from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.text.preparation.layout import join_repositories, lay_out
from spanmix.types import Document


def document(text="x = 1\n", **fields):
    return Document(text, "code", **({"path": "src/a.py", "language": "python"} | fields))


def test_nothing_is_written_by_default():
    assert lay_out(document(), 5, LayoutConfig(), 0) == document()


def test_headers():
    config = LayoutConfig(language_tag=True, repository_share=1, path_share=1, stars_share=1)
    whole = document(repository="me/mine", stars=55)
    assert lay_out(whole, 5, config, 0).text == (
        "<|repository|>me/mine\n<|path|>src/a.py\n<|stars|>10-100\n<|python|>x = 1\n"
    )
    assert lay_out(document(language=""), 5, config, 0).text == "<|path|>src/a.py\nx = 1\n"
    assert (
        lay_out(document(path="a\nb.py"), 5, LayoutConfig(path_share=1), 0).text == "<|path|>a b.py\nx = 1\n"
    )


@pytest.mark.parametrize(
    ("stars", "shown"),
    [(0, "0"), (1, "1-10"), (10, "1-10"), (11, "10-100"), (1000, "100-1000"), (1001, "1000+")],
)
def test_stars_are_shown_as_ranges(stars, shown):
    assert lay_out(document(stars=stars), 5, LayoutConfig(stars_share=1), 0).text.startswith(
        f"<|stars|>{shown}\n"
    )


def test_shares_are_drawn_by_the_file_and_independent():
    config = LayoutConfig(repository_share=0.2, path_share=0.5)
    texts = [lay_out(document(repository="a/b"), key, config, 3).text for key in range(4000)]
    assert texts == [lay_out(document(repository="a/b"), key, config, 3).text for key in range(4000)]
    with_repository = sum("<|repository|>" in text for text in texts) / 4000
    with_path = sum("<|path|>" in text for text in texts) / 4000
    both = sum("<|repository|>" in text and "<|path|>" in text for text in texts) / 4000
    assert 0.17 < with_repository < 0.23 and 0.46 < with_path < 0.54 and 0.08 < both < 0.12
    others = [lay_out(document(repository="a/b"), key, config, 4).text for key in range(4000)]
    assert sum(a != b for a, b in zip(texts, others, strict=True)) > 1000


def test_a_header_belongs_to_the_prompt():
    found = lay_out(document("ask: tell", prompt_characters=5), 5, LayoutConfig(language_tag=True), 0)
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
    joined = list(join_repositories(files, LayoutConfig(unit="repository")))
    assert [one.text for one in joined] == [
        "<|file|>a/1.py\nno end\n<|file|>a/2.md\ntwo\n",
        "alone\n",
        "<|file|>c/1.py\nmore\n<|file|>c/2.py\nlast\n",
    ]
    assert [one.language for one in joined] == ["", "python", "python"]
    assert [one.licence for one in joined] == ["ISC AND MIT", "", "MIT AND Zlib"]


def test_a_large_repository_is_cut_between_files():
    files = [document("x" * 400, path=f"{i}.py", repository="a/a") for i in range(7)]
    config = LayoutConfig(unit="repository", max_repository_bytes=1000)
    joined = list(join_repositories(files, config))
    assert [one.text.count("<|file|>") for one in joined] == [2, 2, 2, 1]


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
