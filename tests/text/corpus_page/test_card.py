"""A card's header is what the Hub reads, its numbers are the corpus's, and its programs run."""

import contextlib
import io
import json
import re
from types import SimpleNamespace

import pyarrow.parquet
import pytest
import yaml
from huggingface_hub import DatasetCard, DatasetCardData

from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.text.corpus_page.card import write_card
from spanmix.text.corpus_page.card_header import hub_licences, spoken_languages

SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>1T"}


@pytest.fixture
def card(corpus):
    write_card(corpus)
    return (corpus / "README.md").read_text()


def table_below(card, heading, first_head):
    """The rows of a Markdown table in a section, split at bars that are not escaped."""
    section = card.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_head} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert len({len(row) for row in rows} | {lines[start].count("|") - 1}) == 1
    return rows


def test_the_header_is_the_hubs(corpus, card):
    data = DatasetCard(card).data
    fields = yaml.safe_load(card.split("---\n")[1])
    known = {name for name in vars(DatasetCardData()) if not name.startswith("_")}
    assert set(fields) <= known | {"tags", "configs", "license_name"}
    assert data.to_dict() == fields and DatasetCardData(**fields).to_dict() == fields
    assert fields["license"] == ["apache-2.0", "mit", "other", "unknown"]
    assert fields["language"] == ["code"] and fields["task_categories"] == ["text-generation"]
    assert set(fields["size_categories"]) < SIZES
    assert fields["pretty_name"] == "Spanmix corpus: rows, plain"


def test_the_hub_finds_the_tables_that_the_header_names(corpus, card):
    configs = DatasetCard(card).data.configs
    report = json.loads((corpus / "corpus.json").read_text())["sources"]
    assert [config["config_name"] for config in configs] == ["rows", "plain"]
    assert [config.get("default", False) for config in configs] == [True, False]
    for config in configs:
        assert [one["split"] for one in config["data_files"]] == ["train", "held_out"]
        for one in config["data_files"]:
            table = pyarrow.parquet.read_table(corpus / one["path"])
            assert table.num_rows == report[config["config_name"]][one["split"]]["documents"]


def test_a_side_without_documents_is_not_named(tmp_path, helpers):
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.text.pipeline import prepare

    (tmp_path / "a.py").write_text("x = 1\n" * 50)
    sources = (SourceFilesConfig("code", (str(tmp_path / "a.py"),)),)
    config = CorpusConfig("", sources, held_out_share=0.0)
    prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=20), tmp_path / "out")
    write_card(tmp_path / "out")
    data = DatasetCard((tmp_path / "out" / "README.md").read_text()).data
    files = [{"split": "train", "path": "code.documents.parquet"}]
    assert data.configs == [{"config_name": "code", "data_files": files, "default": True}]
    assert data.license == "unknown" and data.size_categories == ["n<1K"]


def test_numbers_are_those_of_corpus_json(corpus, card):
    report = json.loads((corpus / "corpus.json").read_text())["sources"]
    rows = {(row[0], row[1]): row[2:] for row in table_below(card, "What is in it", "source")}
    made = {row[0]: row[1:] for row in table_below(card, "How it was made", "source")}
    removed = table_below(card, "What was removed, and why", "source")
    for name, source in report.items():
        for side, words in (("train", "train"), ("held_out", "held out")):
            assert rows[name, words] == [f"{source[side][f]:,}" for f in ("documents", "tokens", "bytes")]
        kept, dropped = source["read"]["kept"], sum(source["dropped"].values())
        assert made[name][:3] == [f"{source['read']['documents']:,}", f"{dropped:,}", f"{kept:,}"]
        mine = {row[1].replace("\\", ""): row[2] for row in removed if row[0] == name}
        assert mine == {reason: f"{count:,}" for reason, count in source["dropped"].items()}
    licences = {row[0]: row[1] for row in table_below(card, "Licences and attribution", "licence")}
    unknown = sum(source["licences"].get("", 0) for source in report.values())
    assert licences["not known"] == f"{unknown:,}" and f"**{unknown:,} files have no licence" in card


def test_sections_say_what_was_done_and_what_is_missing(card):
    for heading in ("Personal data", "Benchmarks", "Opting out", "Loading it"):
        assert f"\n## {heading}\n" in card
    assert "**Placeholder.** No contact is set" in card
    assert "audit/rows.attribution.jsonl" in card
    benchmarks = {row[1] for row in table_below(card, "Benchmarks", "source")}
    assert len(benchmarks) == 8 and r"\| a \| \`b\` \*\*c\*\* \[d\](javascript:e)" in benchmarks


def test_hostile_names_are_text_in_a_card(card):
    body = card.split("---\n", 2)[2]
    without_programs = re.sub(r"```.*?```", "", body, flags=re.S)
    assert "<" not in without_programs.replace("< 0.1 %", "").replace("&lt;", "")
    assert "&lt;img-src=x&gt;" in body and "&lt;b&gt;\\|licence" in body
    assert "](javascript" not in body.replace("\\](javascript", "")
    assert "\u202e" not in body and "⟨U+202E⟩" in body


@pytest.mark.filterwarnings("ignore")
def test_the_programs_in_a_card_run(corpus, card, monkeypatch):
    programs = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(programs) == 2 and "IndexedDataset" in programs[1]
    monkeypatch.chdir(corpus)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for program in programs:
            exec(program, {})
    report = json.loads((corpus / "corpus.json").read_text())["sources"]["rows"]
    documents = str(report["train"]["documents"])
    lines = said.getvalue().splitlines()
    assert lines[0].startswith(f"{documents} ") and any(
        line.startswith(f"{documents} [") for line in lines[1:]
    )


def test_every_licence_of_the_hub_comes_from_an_expression():
    pairs = {
        "MIT": ["mit"],
        "LGPL-2.1-or-later": ["lgpl-2.1"],
        "GPL-3.0+": ["gpl-3.0"],
        "(MIT OR Apache-2.0) AND BSD-3-Clause": ["apache-2.0", "bsd-3-clause", "mit"],
        "Apache-2.0 WITH LLVM-exception": ["other"],
        "LicenseRef-mine AND ISC": ["isc", "other"],
        "ODbL-1.0": ["odbl"],
        "GFDL-1.3-only": ["gfdl"],
        "": ["unknown"],
    }
    for expression, expected in pairs.items():
        assert hub_licences([expression]) == expected
    everything = hub_licences(list(pairs))
    assert everything[-2:] == ["other", "unknown"] and len(everything) == len(set(everything)) == 10


def test_a_language_that_a_rule_kept_prose_to_is_named():
    def figures(*sources):
        recipe = SimpleNamespace(
            sources=[SimpleNamespace(name=str(i), filters=f) for i, (f, _) in enumerate(sources)]
        )
        sides = [SimpleNamespace(languages=dict.fromkeys(names, 1)) for _, names in sources]
        empty = SimpleNamespace(languages={})
        found = [
            SimpleNamespace(name=str(i), train=s, held_out=empty, in_corpus=1) for i, s in enumerate(sides)
        ]
        return SimpleNamespace(recipe=recipe, sources=found)

    prose, thorough = FiltersConfig("prose"), FiltersConfig("thorough")
    assert spoken_languages(figures((prose, ["python"]), (None, ["text"]))) == ["en"]
    assert spoken_languages(figures((thorough, ["python", "markdown"]))) == ["en"]
    assert spoken_languages(figures((thorough, ["python"]))) == []
    german = FiltersConfig("prose", prose_languages=("de",))
    assert spoken_languages(figures((prose, [""]), (german, [""]))) == ["de", "en"]
    several = FiltersConfig("prose", prose_languages=("de", "fr"))
    assert (
        spoken_languages(figures((several, [""]), (FiltersConfig("prose", prose_languages=None), [""]))) == []
    )
