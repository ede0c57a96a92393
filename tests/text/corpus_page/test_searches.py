"""A figure stands only where something was looked for; where nobody looked, page and card say so."""

import json
import re
import shutil

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.filters import PRESETS, FiltersConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.text.corpus_page.card import write_card
from spanmix.text.corpus_page.figures import read_figures
from spanmix.text.corpus_page.page import write_corpus_page
from spanmix.text.corpus_page.searches import KINDS, redacted_kinds, searches
from spanmix.text.filters.step import has_rules
from spanmix.text.pipeline import prepare

PROBLEM = "Return the number of islands in a grid of land and water where diagonals do not count at all."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two sources without a secret, a benchmark's problem or a licence, and a benchmark."""
    folder = tmp_path_factory.mktemp("searches")
    for name in ("code", "more"):
        (folder / name).mkdir()
        for i in range(12):
            lines = [f"def {name}_{i}_{j}(x):\n    return x + {i * j}\n" for j in range(9)]
            (folder / name / f"f{i}.py").write_text("\n".join(lines))
    (folder / "islands.jsonl").write_text(json.dumps({"task_id": "1", "prompt": PROBLEM}) + "\n")
    (folder / "optout.txt").write_text("someone\n")
    (folder / "kept_out.py").write_text("y = 5\n" * 40)
    return folder


def make(folder, out, searched):
    fields, of_code = {}, {}
    if searched:
        fields = {
            "redaction": RedactionConfig(passwords=False),
            "decontamination": DecontaminationConfig((str(folder / "islands.jsonl"),)),
            "duplicates": DuplicatesConfig(near="drop", against=(str(folder / "kept_out.py"),)),
        }
        of_code = {
            "licences": LicencesConfig(unknown="keep", opt_out=str(folder / "optout.txt")),
            "filters": FiltersConfig("thorough", max_line_length=777, drop_vendored=False),
        }
    sources = (
        SourceFilesConfig("code", (str(folder / "code"),), **of_code),
        SourceFilesConfig("more", (str(folder / "more"),)),
    )
    config = CorpusConfig("", sources, held_out_share=0.2, **fields)
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=20), out)
    write_corpus_page(out)
    write_card(out)
    return out


@pytest.fixture(scope="module")
def searched(folder, tmp_path_factory):
    return make(folder, tmp_path_factory.mktemp("yes") / "out", searched=True)


@pytest.fixture(scope="module")
def unsearched(folder, tmp_path_factory):
    return make(folder, tmp_path_factory.mktemp("no") / "out", searched=False)


def rows_of(corpus, helpers):
    """What the page and the card say, which is the same: (what, sources) to (looked for, how, found)."""
    page = helpers.Page((corpus / "report.html").read_text())
    rows = {
        (row["what"], row["sources"]): (row["looked for"], row["how"], row["found"])
        for row in page.tables_by_heads("what", "sources", "looked for")
    }
    section = (corpus / "README.md").read_text().split("\n## What was looked for\n")[1].split("\n## ")[0]
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("| ")]
    plain = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in line] for line in lines[1:]]
    assert {(row[0], row[1]): tuple(row[2:]) for row in plain} == rows
    return rows


NOT_DONE = ("no", "–", "–")


def test_what_was_not_looked_for_has_no_figure(unsearched, helpers):
    rows = rows_of(unsearched, helpers)
    kinds = ["licences", "opt-outs", "filters", "benchmarks", "secrets and personal data"]
    for what in [*kinds, "copies of what is kept out"]:
        assert rows[what, "all"] == NOT_DONE
    assert rows["exact copies", "all"][0] == rows["near-copies", "all"][0] == "yes"
    page = helpers.Page((unsearched / "report.html").read_text()).text
    card = (unsearched / "README.md").read_text()
    for words in (
        "Secrets and personal data were not looked for",
        "Benchmarks were not looked for",
        "Licences were not looked for in code, more",
    ):
        assert words in page and words.split(" in ")[0] in card.replace("**", "")
    assert "no match" not in page and "No replacement" not in page + card


def test_nothing_found_is_a_figure_where_it_was_looked_for(searched, helpers):
    rows = rows_of(searched, helpers)
    answer, how, found = rows["keys", "all"]
    assert (answer, found) == ("yes", "0 places in 0 documents")
    assert how.startswith("tokens of known services") and how.endswith("replaced in the style parsable")
    assert rows["passwords", "all"] == rows["names of persons", "all"] == NOT_DONE
    answer, how, found = rows["benchmark islands", "all"]
    assert (answer, found) == ("yes", "0 documents with a problem of it")
    assert "8 words" in how and "13-word" in how and how.endswith("dropped")
    assert rows["opt-outs", "code"] == ("yes", "the list optout.txt", "0 dropped (0 %)")
    assert rows["opt-outs", "more"] == rows["filters", "more"] == rows["licences", "more"] == NOT_DONE
    assert rows["filters", "code"][1] == "preset thorough; max_line_length: 777; off: drop_vendored"
    assert rows["licences", "code"][1].endswith("permitted: permissive; unknown: keep")
    assert rows["copies of what is kept out", "all"][1] == "copies and near-copies of kept_out.py"
    assert "by its contents" in rows["languages", "code"][1]
    assert "by its contents" not in rows["languages", "more"][1]
    page = helpers.Page((searched / "report.html").read_text())
    replaced = {(row["source"], row["kind"]): row for row in page.tables_by_heads("source", "kind")}
    kinds = ("key", "email", "ip_address")
    assert set(replaced) == {(source, kind) for source in ("code", "more") for kind in kinds}
    assert {(row["places"], row["documents"]) for row in replaced.values()} == {("0", "0")}
    assert "Not looked for either: passwords." in page.text
    (islands,) = page.tables_by_heads("source", "benchmark")
    assert (islands["benchmark"], islands["tasks"], islands["documents"]) == ("islands", "0", "0")
    card = (searched / "README.md").read_text()
    assert "Benchmarks were looked for as said above, and there was no match with one." in card
    assert "Licences were **not looked for** in more:" in card
    assert str(searched.parent) not in card and "optout.txt" in card


def test_a_search_counts_only_if_it_was_done(searched, unsearched):
    numbers = counted = 0
    for corpus in (searched, unsearched):
        for one in searches(read_figures(corpus)):
            has_number = any(character.isdigit() for character in one.found)
            assert bool(one.how) == one.done and not (has_number and not one.done)
            numbers += has_number
            counted += 1
    assert counted >= 25 and numbers >= 10


def test_what_is_not_on_record_is_neither_yes_nor_no(unsearched, tmp_path, helpers):
    corpus = shutil.copytree(unsearched, tmp_path / "old")
    report = json.loads((corpus / "corpus.json").read_text())
    del report["content_sha256"]
    for made_with in (None, {"corpus": {"sources": [{"name": "code", "paths": 3}]}}):
        (corpus / "corpus.json").write_text(json.dumps(report | {"made_with": made_with}))
        write_corpus_page(corpus)
        write_card(corpus)
        rows = rows_of(corpus, helpers)
        assert set(rows.values()) == {("not on record", "–", "–")} and len(rows) >= 8
        page, card = (corpus / "report.html").read_text(), (corpus / "README.md").read_text()
        for text in (page, card):
            assert "not on record whether" in text and "were not looked for" not in text


@pytest.mark.parametrize("field", ["keys", "passwords", "emails", "ip_addresses"])
def test_only_the_kinds_that_are_on_were_looked_for(folder, tmp_path, helpers, field):
    off = dict.fromkeys(("keys", "passwords", "emails", "ip_addresses"), False)
    for redaction in (RedactionConfig(**off), RedactionConfig(**off | {field: True})):
        sources = (SourceFilesConfig("code", (str(folder / "code"),), filters=FiltersConfig("none")),)
        config = CorpusConfig("", sources, held_out_share=0.2, redaction=redaction)
        out = tmp_path / ("some" if getattr(redaction, field) else "none")
        prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=20), out)
        rows = rows_of(out, helpers)
        card, page = (out / "README.md").read_text(), (out / "report.html").read_text()
        assert rows["filters", "all"] == NOT_DONE  # the preset has no rule
        said = card.split("\n## Personal data\n")[1].split("\n## ")[0]
        if getattr(redaction, field):
            assert sum(row[0] == "yes" for (what, _), row in rows.items() if what in KINDS.values()) == 1
            others = [name for kind, name in KINDS.items() if not redacted_kinds(config)[kind]]
            assert len(others) == 3 and f"Not looked for: {', '.join([*others, 'names of persons'])}." in said
            assert "there was no replacement of any" in said
        else:
            assert rows["secrets and personal data", "all"] == NOT_DONE
            assert "**Secrets and personal data were not looked for**" in said and "as said above" not in card
            assert "were not looked for" in helpers.Page(page).text


def test_filters_are_looked_for_only_if_a_rule_is_on():
    on = {"max_bytes": 9, "drop_xml": True, "languages": ("python",), "per_extension": True}
    for name, value in on.items():
        assert has_rules(FiltersConfig("none", **{name: value}), False)
    assert not has_rules(FiltersConfig("none", max_words=9), False)  # of prose, and all is code
    assert has_rules(FiltersConfig("none", kind="prose", max_words=9), False)
    assert has_rules(FiltersConfig("none", kind="by_language", max_words=9), False)
    by_tokens = FiltersConfig("none", min_characters_per_token={"python": 2.5})
    assert has_rules(by_tokens, True) and not has_rules(by_tokens, False)
    assert [preset for preset in PRESETS if not has_rules(FiltersConfig(preset), False)] == [
        "none",
        "stack-permissive",
    ]
