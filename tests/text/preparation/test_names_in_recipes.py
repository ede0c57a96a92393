"""A name that no file and no benchmark has stops `prepare` before it reads, and the nearest is named."""

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.filters.names import check_names
from spanmix.text.filters.presets import CODEGEN2_LANGUAGES
from spanmix.text.languages.endings import LANGUAGE_OF, LANGUAGE_OF_NAME
from spanmix.text.languages.known import known_languages
from spanmix.text.pipeline import prepare


@pytest.fixture
def refusal(tmp_path):
    """Return what `prepare` says of a source with these filters, or a corpus with these fields."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.py").write_text("a = 1\n" * 20)

    def ask(filters=None, **fields):
        source = SourceFilesConfig("code", (str(tmp_path / "in"),), filters=filters)
        seen = []
        with pytest.raises(InputError) as caught:
            prepare(
                CorpusConfig("", (source,), **fields),
                TokenizerConfig(512),
                tmp_path / "out",
                lambda *call: seen.append(call),
            )
        assert seen == [] and [path.name for path in tmp_path.iterdir()] == ["in"]
        return str(caught.value)

    return ask


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        (
            {"languages": ("python", "pyhton")},
            "filters.languages names 'pyhton', which is no language (did you mean",
        ),
        ({"languages": ("Javascrpt",)}, "(did you mean 'javascript'?)"),
        (
            {"languages": ("qqqq",)},
            "use the names of GitHub's linguist, such as python or c++, and unknown for",
        ),
        ({"comment_languages": ("jav",)}, "filters.comment_languages names 'jav'"),
        ({"min_characters_per_token": {"pythn": 2.0}}, "filters.min_characters_per_token names 'pythn'"),
        ({"prose_languages": ("english",)}, "filters.prose_languages names 'english'"),
    ],
)
def test_languages_that_are_none(refusal, filters, said):
    assert said in refusal(FiltersConfig("none", **filters))


def test_benchmarks_that_are_none(refusal):
    said = refusal(decontamination=DecontaminationConfig(("human-evl",)))
    assert "did you mean 'human-eval'?" in said and "no file of that name" in said


def test_names_that_files_can_have_are_taken():
    assert known_languages() >= {*LANGUAGE_OF.values(), *LANGUAGE_OF_NAME.values(), *CODEGEN2_LANGUAGES}
    assert len(known_languages()) > 650
    names = (
        "C++",
        "Shell",
        "Objective-C",
        "Jupyter Notebook",
        "Common Lisp",
        "unknown",
        "Protocol Buffer",
        "SCSS",
    )
    check_names(FiltersConfig(languages=names, comment_languages=("Python",), prose_languages=("en", "zh")))
    check_names(FiltersConfig(languages=None, prose_languages=None, min_characters_per_token={"python": 2.0}))


@pytest.mark.parametrize(
    ("name", "close"), [("MTI", "MIT"), ("permisive", "permissive"), ("Apache2.0", "Apache-2.0")]
)
def test_licences_that_are_none(tmp_path, name, close):
    (tmp_path / "a.py").write_text("a = 1\n" * 20)
    source = SourceFilesConfig("code", (str(tmp_path),), licences=LicencesConfig((name,)))
    with pytest.raises(
        InputError, match=rf"holds '{name}', which is no SPDX id .*\(did you mean '{close}'\?\)"
    ):
        prepare(CorpusConfig("", (source,)), TokenizerConfig(512), tmp_path / "out")


def test_a_short_salt_is_counted_and_not_shown():
    for salt in ("x", "sesames"):
        with pytest.raises(
            InputError, match=rf"redaction.salt has {len(salt)} characters?; use 8 or more"
        ) as caught:
            RedactionConfig(salt=salt)
        assert "sesame" not in str(caught.value)
    assert RedactionConfig(salt="12345678").salt
