"""A report is a function of the records: the same bytes, whole pages, links that lead somewhere."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from spanmix.errors import InputError
from spanmix.lessons.blocks import Link, Paragraph, Section, Table, markdown, page
from spanmix.lessons.plots import Bar, Point, forest, scatter
from spanmix.lessons.records import RunRecord, read_runs, write_record
from spanmix.lessons.report import write_reports
from spanmix.lessons.suite import load_suite

VOID = {"meta"}


class Outline(HTMLParser):
    """Proves that tags are closed in order, and collects where links lead."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.targets, self.labels = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.targets += [named["href"]] if "href" in named else []
        self.labels += [named["aria-label"]] if tag == "svg" and "aria-label" in named else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def noisy(arm, seed, endpoint):
    return 2000 + np.random.default_rng([seed, len(arm), len(endpoint)]).normal(0, 9, 20)


def written(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_report_is_made_again_byte_for_byte(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    write_reports(suite, tmp_path, {"toy": None})
    first = written(tmp_path)
    assert {path.name for path in first} >= {"toy.md", "toy.html", "verdicts.json"}
    for name in ("toy.md", "toy.html", "verdicts.json"):
        (tmp_path / name).unlink()
    write_reports(suite, tmp_path, {"toy": None})
    assert written(tmp_path) == first


def test_what_clocks_said_is_in_no_report(suite, made_up, tmp_path):
    from dataclasses import replace

    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    write_reports(suite, tmp_path, {"toy": None})
    reports = [(tmp_path / name).read_bytes() for name in ("toy.md", "toy.html", "verdicts.json")]
    for record in read_runs(tmp_path / "toy"):
        write_record(tmp_path / "toy", replace(record, seconds={"train": 99.5, "measure": 77.25}))
    write_reports(suite, tmp_path, {"toy": None})
    assert [(tmp_path / name).read_bytes() for name in ("toy.md", "toy.html", "verdicts.json")] == reports


def test_pages_are_whole_and_their_links_lead_to_records(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    for name in {record.key for record in read_runs(tmp_path / "toy")}:
        (tmp_path / "toy" / f"{name}.yaml").write_text("a recipe")
    write_reports(suite, tmp_path, {"toy": None})
    outline = Outline((tmp_path / "toy.html").read_text())
    files = [target for target in outline.targets if not target.startswith("#")]
    in_markdown = re.findall(r"\]\(([^)]+)\)", (tmp_path / "toy.md").read_text())
    assert len(files) >= 9 and sorted(files) == sorted(in_markdown)
    assert all((tmp_path / target).is_file() for target in files)
    # Two forests, an exchange and two curves: each says in words what it shows.
    assert len(outline.labels) == 5 and all(len(label) > 20 for label in outline.labels)
    assert "http" not in re.sub(r'href="[^"]*"', "", (tmp_path / "toy.html").read_text())


def test_verdicts_name_lesson_effect_interval_and_runs(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    write_reports(suite, tmp_path, {"toy": None})
    entries = json.loads((tmp_path / "verdicts.json").read_text())
    assert [entry["lesson"] for entry in entries] == [1, 2]
    for entry in entries:
        assert {"scale", "effect", "low", "high", "mde", "verdict", "runs"} <= entry.keys()
        assert entry["low"] < entry["effect"] < entry["high"] and entry["mde"] > 0
        assert entry["runs"] and all((tmp_path / "toy" / name).is_file() for name in entry["runs"])


def test_a_report_of_a_part_says_what_is_missing(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy, arms=["causal", "mixture"], seeds=[1])
    write_reports(suite, tmp_path, {"toy": None})
    text = (tmp_path / "toy.md").read_text()
    missing = "Missing are: causal (seed 2); mixture (seed 2); twice (seed 1, seed 2)."
    assert f"**This report is not complete.** {missing}" in text
    assert "with too few seeds for an interval" in text and "None of the seeds has all runs yet" in text


def test_an_empty_report_can_be_written(suite, tmp_path):
    write_reports(suite, tmp_path, {"toy": ""})
    assert "0 trials of learning rates are done" in (tmp_path / "toy.md").read_text()
    Outline((tmp_path / "toy.html").read_text())


def test_records_of_other_recipes_are_named_and_not_used(suite, made_up, tmp_path):
    from dataclasses import replace

    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    write_reports(suite, tmp_path, {"toy": None})
    before = (tmp_path / "verdicts.json").read_bytes()
    old = replace(read_runs(tmp_path / "toy")[0], key="0123456789ab")
    write_record(tmp_path / "toy", old)
    write_reports(suite, tmp_path, {"toy": None})
    assert (tmp_path / "verdicts.json").read_bytes() == before
    assert "no figure is made of: 0123456789ab-seed1.json" in (tmp_path / "toy.md").read_text()


def test_a_failed_run_is_told_and_not_compared(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    run = next(
        one for one in read_runs(tmp_path / "toy") if (one.arm, one.kind, one.seed) == ("twice", "main", 1)
    )
    failed = RunRecord(
        run.scale, run.arm, run.kind, run.key, 1, run.corpus, 1e-3, 6, 768, "the loss is not finite"
    )
    write_record(tmp_path / "toy", failed)
    write_reports(suite, tmp_path, {"toy": None})
    text = (tmp_path / "toy.md").read_text()
    assert "Runs that failed: twice, seed 1: the loss is not finite" in text
    assert json.loads((tmp_path / "verdicts.json").read_text())[1]["claims"][0]["seeds"] == [2]


@pytest.mark.parametrize("damage", ['{"format_version": 1}', "{", '{"format_version": 9}'])
def test_a_damaged_record_is_named(suite, made_up, tmp_path, damage):
    made_up(suite, suite.scale("toy"), tmp_path / "toy", noisy)
    victim = sorted((tmp_path / "toy").glob("*.json"))[0]
    victim.write_text(damage)
    with pytest.raises(InputError, match=victim.name):
        write_reports(suite, tmp_path, {"toy": None})


def test_a_record_under_a_wrong_name_is_refused(suite, made_up, tmp_path):
    made_up(suite, suite.scale("toy"), tmp_path, noisy)
    victim = sorted(tmp_path.glob("*-seed1.json"))[0]
    victim.rename(tmp_path / "0123456789ab-seed1.json")
    with pytest.raises(InputError, match="holds what belongs in"):
        read_runs(tmp_path)


def test_reports_of_the_package_s_lessons_can_be_written_from_made_up_runs(made_up, tmp_path):
    """Every plot, every claim and every arm of the real suite."""
    suite = load_suite()
    for name, needed in (("tiny", 9), ("small", 9)):
        made_up(suite, suite.scale(name), tmp_path / name, noisy)
        write_reports(suite, tmp_path, {name: None})
        outline = Outline((tmp_path / f"{name}.html").read_text())
        assert len(outline.labels) >= needed
        entries = json.loads((tmp_path / "verdicts.json").read_text())
        assert len([entry for entry in entries if entry["scale"] == name]) == 5
        text = (tmp_path / f"{name}.md").read_text()
        assert "This report is not complete." not in text and "Fine-tuned on clones" in text


def test_signs_of_markdown_and_html_are_kept_as_they_are():
    words = "a | b <c> & *d* \" 'e'"
    section = Section(
        words, (Paragraph(words, strong=words), Table(words, (words, "n"), ((words, Link(words, "x")),)))
    )
    text = markdown("t", "s", [section])
    assert "<c>" not in text and text.count("&lt;c>") == text.count("\\|") == 7
    assert "<c>" not in page(words, words, [section])
    Outline(page(words, words, [section]))


def test_plots_say_what_they_show():
    bars = [
        Bar("a <b>", 0.1, -0.1, 0.3, 0.0, "less", "cannot tell"),
        Bar("c", -0.2, None, None, 0.025, "greater", "agrees"),
    ]
    for drawn in (
        forest(bars, title="t", unit="u"),
        forest([Bar("zero", 0.0, 0.0, 0.0, 0.0, "less", "agrees")], title="t", unit="u"),
        scatter(
            [Point("a <b>", (0.1, 0.0, 0.2), (-0.1, -0.2, 0.0)), Point("o", (0, 0, 0), (0, 0, 0))],
            title="t",
            x_label="x",
            y_label="y",
        ),
    ):
        assert "<b>" not in drawn and "nan" not in drawn
        assert len(Outline(drawn).labels) == 1
