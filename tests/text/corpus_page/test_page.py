"""What a page shows is what the corpus holds, hostile documents included, and a wrong corpus has none."""

import json
import re
import shutil
import unicodedata

import pyarrow.parquet
import pytest

from spanmix.errors import InputError
from spanmix.text.corpus_page.card import write_card
from spanmix.text.corpus_page.dropped import EXAMPLES
from spanmix.text.corpus_page.page import write_corpus_page


def read_report(corpus):
    """Return what corpus.json says, without the hash that would tell that a test changed it."""
    report = json.loads((corpus / "corpus.json").read_text())
    del report["content_sha256"]
    return report


def written(corpus):
    write_corpus_page(corpus)
    return (corpus / "report.html").read_text()


def test_sources_and_reasons_are_those_of_corpus_json(corpus, helpers):
    page, report = helpers.Page(written(corpus)), read_report(corpus)
    rows = {row["source"]: row for row in page.table("source", "Sources")}
    assert list(rows) == ["rows", "plain"]
    for name, source in report["sources"].items():
        row, read = rows[name], source["read"]
        assert helpers.number(row["read"]) == read["documents"]
        assert helpers.number(row["kept"]) == read["kept"]
        assert helpers.number(row["dropped"]) == sum(source["dropped"].values())
        assert helpers.number(row["read"]) == helpers.number(row["kept"]) + helpers.number(row["dropped"])
        for side, words in (("train", "train"), ("held_out", "held out")):
            assert helpers.number(row[words]) == source[side]["documents"] > 0
            assert helpers.number(row[f"tokens, {words}"]) == source[side]["tokens"]
            assert helpers.number(row[f"bytes, {words}"]) == source[side]["bytes"]
        reasons = page.table("reason", f"{name}: ")
        found = {row["reason"]: helpers.number(row["documents"]) for row in reasons}
        assert found == source["dropped"] and len(found) >= 2
        num_bytes = {row["reason"]: helpers.number(row["bytes, as far as known"]) for row in reasons}
        assert num_bytes == read["dropped_bytes"]
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_bytes_that_are_not_known_are_a_dash(corpus, helpers):
    """Something was in what was dropped, unless it was dropped for being empty."""
    report = read_report(corpus)
    read = report["sources"]["plain"]["read"]
    reasons = [reason for reason in read["dropped_bytes"] if reason != "empty"]
    assert len(reasons) >= 2 and "empty" in report["sources"]["plain"]["dropped"]
    read["dropped_bytes"] = dict.fromkeys(report["sources"]["plain"]["dropped"], 0)
    (corpus / "corpus.json").write_text(json.dumps(report))
    path = corpus / "audit" / "plain.dropped.parquet"
    rows = pyarrow.parquet.read_table(path).to_pylist()
    helpers.write_dropped(path, [row | {"num_bytes": 0} for row in rows])
    page = helpers.Page(written(corpus))
    shown = {row["reason"]: row for row in page.table("reason", "plain: ")}
    for reason, row in shown.items():
        expected = ("0", "0 %") if reason == "empty" else ("–", "–")
        assert (row["bytes, as far as known"], row["of all bytes"]) == expected
    assert set(shown) == {*reasons, "empty"}
    write_card(corpus)
    card = (corpus / "README.md").read_text()
    for reason in reasons:
        assert re.search(rf"^\| plain \| {re.escape(reason)} \| 1 \| [\d.]+ % \| – \|$", card, re.M)


def test_a_funnel_has_a_bar_for_each_reason(corpus, helpers):
    page, report = helpers.Page(written(corpus)), read_report(corpus)
    titles = page.svg_titles()
    for source in report["sources"].values():
        for reason, count in source["dropped"].items():
            assert any(title.startswith(f"{reason}: −{count:,}, ") for title in titles)
        for words, side in (("train", "train"), ("held out", "held_out")):
            assert f"in the corpus, {words}: {source[side]['documents']:,}" in titles


def test_languages_and_licences_are_whole_and_the_unknown_is_named(corpus, helpers):
    page, report = helpers.Page(written(corpus)), read_report(corpus)
    documents = sum(
        one[side]["documents"] for one in report["sources"].values() for side in ("train", "held_out")
    )
    for name in ("languages", "licences"):
        expected: dict[str, int] = {}
        for source in report["sources"].values():
            for key, count in source[name].items():
                expected[key or "not known"] = expected.get(key or "not known", 0) + count
        rows = page.table(name)
        found = {
            row[name]: helpers.number(row["files, train"]) + helpers.number(row["files, held out"])
            for row in rows
        }
        assert found == expected and sum(found.values()) == documents
    assert found["not known"] > 0
    assert "var(--c5)" in written(corpus)


def test_lengths_are_those_of_the_store(corpus, helpers):
    page = helpers.Page(written(corpus))
    for name, source in read_report(corpus)["sources"].items():
        rows = {row["length in"]: row for row in page.table("length in", f"{name}: ")}
        table = pyarrow.parquet.read_table(corpus / f"{name}.documents.parquet")
        sizes = sorted(table["num_bytes"].to_pylist())
        assert helpers.number(rows["bytes, train"]["longest"]) == sizes[-1]
        assert helpers.number(rows["bytes, train"]["median"]) == sizes[(len(sizes) - 1) // 2]
        assert helpers.number(rows["tokens, train"]["documents"]) == source["train"]["documents"]
        mean = source["train"]["tokens"] / source["train"]["documents"]
        assert rows["tokens, train"]["mean"] == f"{mean:,.1f}"


def test_copies_redactions_and_matches_are_counted(corpus, helpers):
    page, report = helpers.Page(written(corpus)), read_report(corpus)
    copies = [row["figure"] for row in page.table("near-copies")]
    fields = ("agreements", "pairs", "groups", "largest", "checked", "below_threshold")
    assert [helpers.number(figure) for figure in copies[:6]] == [report["copies"][name] for name in fields]
    notes = (corpus / "audit" / "rows.redactions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in notes]
    found = {row["kind"]: row for row in page.tables_by_heads("source", "kind")}
    assert set(found) == {"email", "key", "<i>kind"}
    for kind, row in found.items():
        mine = [note["path"] for note in rows if note["kind"] == kind]
        assert helpers.number(row["places"]) == len(mine)
        assert helpers.number(row["documents"]) == len(set(mine))
    matched = {row["benchmark"]: row for row in page.tables_by_heads("source", "benchmark")}
    assert (matched["human-eval"]["tasks"], matched["human-eval"]["documents"]) == ("3", "7")
    assert len(matched) == 1 + len(helpers.HOSTILE)
    assert ": 1 task, and what matched where" in page.text and ": 3 tasks, and what" in page.text
    examples = [row for table in page.tables if table.rows[0][0] == "document" for row in table.rows[1:]]
    assert [row[-1] for row in examples if row[0].endswith("none.txt")] == ["0"]


def test_hostile_text_is_shown_and_does_nothing(corpus, helpers):
    page = written(corpus)
    parsed = helpers.Page(page)
    assert not {"script", "img", "b", "i", "iframe", "link"} & set(parsed.tags)
    names = {name for name, _ in parsed.attributes}
    assert not {name for name in names if name.startswith("on")} and "src" not in names
    assert all(value.startswith("#") for name, value in parsed.attributes if name == "href")
    assert not re.search(r"https?:|@import|url\(", page)
    odd = {c for c in page if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")} - {"\n"}
    assert odd == set()
    shown = parsed.text
    for words in (
        "<script>alert(1)</script>",
        "⟨U+202E⟩gnp.exe",
        "␛[2J",
        "a␊b",
        "⟨U+E0041⟩",
        "onerror=alert(1)>",
    ):
        assert words in shown, words
    assert shown.count("<script>alert(1)</script>") > 3


def test_every_reason_has_examples(corpus, helpers):
    page = helpers.Page(written(corpus))
    report = read_report(corpus)
    summaries = [words for tag, words in page.words if tag == "summary"]
    for source in report["sources"].values():
        for reason, count in source["dropped"].items():
            noun = "example" if count == 1 else "examples"
            assert f"{reason}: {min(count, EXAMPLES)} {noun} of {count}" in summaries
    assert "odd<b>␊name.txt" in page.text


def test_an_old_corpus_has_a_page_and_a_card(corpus, helpers):
    report = read_report(corpus)
    for source in report["sources"].values():
        del source["languages"], source["read"]
    del report["copies"], report["settings"], report["made_with"]
    (corpus / "corpus.json").write_text(json.dumps(report))
    shutil.rmtree(corpus / "audit")
    page = helpers.Page(written(corpus))
    write_card(corpus)
    rows = {row["source"]: row for row in page.table("source", "Sources")}
    for name, source in report["sources"].items():
        kept = source["train"]["documents"] + source["held_out"]["documents"]
        assert helpers.number(rows[name]["kept"]) == kept
        assert helpers.number(rows[name]["read"]) == kept + sum(source["dropped"].values())
        assert list(page.table("reason", f"{name}: ")[0]) == ["reason", "documents", "of those read"]
    assert "read is here the sum of kept and dropped" in page.text
    assert "Nothing is on record of near-copies" in page.text and "not on record" in page.text
    assert "not on record" in (corpus / "README.md").read_text()


def test_files_of_a_repository_may_be_one_document(tmp_path, helpers):
    corpus = helpers.make(tmp_path / "in", unit="repository")
    source = read_report(corpus)["sources"]["rows"]
    page = helpers.Page(written(corpus))
    row = page.table("source", "Sources")[0]
    documents = source["train"]["documents"] + source["held_out"]["documents"]
    assert helpers.number(row["kept"]) == source["read"]["kept"] > documents
    assert "several kept ones are one document" in page.text


def change(path):
    """Return a function that adds something to a number in corpus.json."""

    def apply(corpus, added=1):
        report = read_report(corpus)
        *way, last = path
        place = report
        for name in way:
            place = place[name]
        place[last] += added
        (corpus / "corpus.json").write_text(json.dumps(report))

    return apply


def drop_a_row(corpus):
    path = corpus / "audit" / "rows.dropped.parquet"
    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.slice(1), path)


ROWS = ("sources", "rows")
WRONG = [
    (change((*ROWS, "read", "documents")), r"kept \(50\) and those dropped \(14\), but that is 65 beside 64"),
    (change((*ROWS, "read", "kept")), r"kept \(51\) and those dropped \(14\), but that is 64 beside 65"),
    (change((*ROWS, "dropped", "near-copy")), r"dropped \(15\), but that is 64 beside 65"),
    (change((*ROWS, "licences", "MIT")), r"every licence .* 'MIT' too, but that is 11 beside 10"),
    (change((*ROWS, "languages", "python")), r"every language .* 'python' too"),
    (change((*ROWS, "read", "dropped_bytes", "near-copy")), "byte of dropped documents"),
    (change((*ROWS, "train", "tokens")), r"rows\.bin has .* tokens"),
    (change((*ROWS, "held_out", "bytes")), r"rows\.held_out\.documents\.parquet has"),
    (drop_a_row, r"every dropped document .* 7 beside 6"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), WRONG)
def test_a_corpus_that_does_not_add_up_is_refused(corpus, damage, message):
    damage(corpus)
    for write, name in ((write_corpus_page, "report.html"), (write_card, "README.md")):
        (corpus / name).unlink()
        with pytest.raises(InputError, match=message) as error:
            write(corpus)
        assert "\n" not in str(error.value) and not (corpus / name).exists()


@pytest.mark.parametrize(
    "name", ["rows.documents.parquet", "audit/rows.dropped.parquet", "audit/rows.redactions.jsonl"]
)
def test_a_damaged_file_is_named(corpus, name):
    path = corpus / name
    path.write_bytes(b'{"path": 1}\n{' + path.read_bytes()[40:90])
    with pytest.raises(InputError, match=re.escape(name)):
        write_corpus_page(corpus)


def test_the_same_corpus_gives_the_same_bytes_anywhere(corpus, tmp_path):
    other = shutil.copytree(corpus, tmp_path / "elsewhere" / "named otherwise")
    for folder in (corpus, other, other):
        write_corpus_page(folder)
        write_card(folder)
        page, card = ((folder / name).read_bytes() for name in ("report.html", "README.md"))
        assert str(folder).encode() not in page + card
        assert page == (corpus / "report.html").read_bytes() and card == (corpus / "README.md").read_bytes()


def test_pages_of_large_tables_stay_small(corpus, helpers):
    """As with thousands of licences, languages, tasks and detectors."""
    size = len(written(corpus))
    path = corpus / "rows.documents.parquet"
    table = pyarrow.parquet.read_table(path)
    names = [f"LicenceRef-{i:05}" * 20 for i in range(table.num_rows)]
    schema = table.schema
    columns = table.to_pydict() | {"licence": names, "language": names}
    pyarrow.parquet.write_table(pyarrow.table(columns, schema), path)
    report = read_report(corpus)
    held_out = pyarrow.parquet.read_table(corpus / "rows.held_out.documents.parquet")
    for field, column in (("licences", "licence"), ("languages", "language")):
        counts = dict.fromkeys(names, 1)
        for name in held_out[column].to_pylist():
            counts[name] = counts.get(name, 0) + 1
        report["sources"]["rows"][field] = counts
    (corpus / "corpus.json").write_text(json.dumps(report))
    rows = [helpers.match(f"p{i}", "many", f"task {i}", matched="x" * 5000) for i in range(3000)]
    helpers.write_notes(corpus, "rows", "contamination", rows)
    notes = [helpers.redaction(f"p{i}", "key", f"detector {i}") for i in range(3000)]
    helpers.write_notes(corpus, "rows", "redactions", notes)
    page = written(corpus)
    parsed = helpers.Page(page)
    assert len(page) < size + 150_000
    assert parsed.table("licences")[-1]["licences"].endswith(" others")
    assert "2,950 others" in parsed.text and "2992 others" in parsed.text
