"""The page shows every setting whole, however long it is."""

import html
import json

import yaml

from spanmix.text.corpus_page.page import write_corpus_page


def code_below(page, title):
    """The program text of the figure with a title."""
    body = page.split(f"<figcaption>{title} ")[1]
    return html.unescape(body.split("<code>")[1].split("</code>")[0])


def test_sources_are_shown_as_they_would_stand_in_a_recipe(corpus):
    report = json.loads((corpus / "corpus.json").read_text())
    del report["content_sha256"]
    sources = report["made_with"]["corpus"]["sources"]
    sources[0]["paths"] = [f"data/part-{i:03}.jsonl" for i in range(200)]
    sources[1]["filters"] = {"preset": "bigcode", "kind": "preset", "max_bytes": 7, "drop_xml": "preset"}
    (corpus / "corpus.json").write_text(json.dumps(report))
    write_corpus_page(corpus)
    page = (corpus / "report.html").read_text()
    assert page.count("<summary>Settings of the source ") == len(sources) == 2
    (rows,) = yaml.safe_load(code_below(page, "rows"))
    assert rows == sources[0]
    (plain,) = yaml.safe_load(code_below(page, "plain"))
    assert plain == sources[1] | {"filters": {"preset": "bigcode", "max_bytes": 7}}


def test_a_long_value_is_folded_and_whole(corpus, helpers):
    report = json.loads((corpus / "corpus.json").read_text())
    del report["content_sha256"]
    names = [f"folder/benchmark-{i:04}.jsonl" for i in range(300)]
    made_with = report["made_with"]
    made_with["corpus"]["decontamination"] = {"benchmarks": names, "action": "drop"}
    (corpus / "corpus.json").write_text(json.dumps(report))
    write_corpus_page(corpus)
    page = helpers.Page((corpus / "report.html").read_text())
    rows = {row["setting"]: row["value"] for row in page.table("setting")}
    value = rows["corpus.decontamination.benchmarks"]
    assert value.endswith(", ".join(names)) and value.startswith("folder/benchmark-0000.jsonl, ")
    assert rows["corpus.seed"] == "3" and rows["corpus.redaction"] == "not set"
    assert rows["corpus.duplicates.against"] == "none" and rows["corpus.layout.language_tag"] == "no"
    versions = [name for name in rows if name.startswith("versions.")]
    assert len(versions) == len(made_with["versions"])
