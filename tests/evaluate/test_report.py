"""The report shows what was measured, whatever of it there is, and results.json holds it whole."""

import json
import re

import pytest

from spanmix.evaluate.compressors import XzAfterTraining, xz_per_file
from spanmix.evaluate.infill_match import measure_infill
from spanmix.evaluate.losses import bits_per_byte
from spanmix.evaluate.report import write_report
from spanmix.evaluate.results import SourceResult, gather, write_results
from spanmix.generate.formats import InfillFormat

FORMAT = InfillFormat((256,), (), (260,), (256, 257, 260), (258, 256))


@pytest.fixture
def measured(make_engine, make_files, tokenizer):
    texts = [f"<b>first</b> {n}\n    target & {n}\nlast\n" for n in range(8)]
    files = make_files("code <1>", texts)
    engine = make_engine(context_tokens=256, answer=lambda prompt: [*b"<i>wrong</i>\n", 258])
    loss = bits_per_byte(engine, files, 256, seed=1)
    xz = xz_per_file([text.encode() for text in texts], seed=1)
    after = XzAfterTraining(0.5, 1000, sum(map(len, texts)), 100, 110)
    return SourceResult(loss, xz, after), measure_infill(engine, tokenizer, files, FORMAT, seed=1)


def metrics():
    for step in range(0, 50, 5):
        common = {"step": step, "rows": step, "tokens": step * 100}
        for objective in ("causal", "infill"):
            line = {"kind": "train", "name": "loss", "value": 5 - step / 20, "objective": objective}
            yield {**common, **line}
        yield {**common, "kind": "train", "name": "loss", "value": 5 - step / 20, "source": "code <1>"}
        yield {**common, "kind": "speed", "name": "tokens_per_second", "value": 7000 + step}
        yield {**common, "kind": "held_out", "name": "code <1>", "value": 6 - step / 20}


def test_the_report_shows_everything_escaped(tmp_path, measured):
    source, infill = measured
    results = gather(
        title="a <run>",
        seed=1,
        sources=[source],
        infill=[infill],
        facts={"torch": "2.11"},
        seconds={"train": 12.0, "evaluate": 3.5},
    )
    write_report(tmp_path / "report.html", results, list(metrics()), [infill])
    page = (tmp_path / "report.html").read_text()
    for heading in ("Held-out files", "Infill", "Filled in", "Training", "The run"):
        assert f"<h2>{heading}</h2>" in page
    for title in ("Training loss by objective", "Training loss by source", "Held out", "Speed"):
        assert f"<figcaption>{title} " in page
    assert '<mark class="infill">&lt;i&gt;wrong&lt;/i&gt;\n</mark>' in page
    assert re.search(r'<mark class="truth">    target &amp; \d\n</mark>', page)
    assert "<b>first" not in page and "<i>wrong" not in page and "<run>" not in page
    assert f"{source.loss.bits_per_byte.value:.3f}" in page and "15.5" in page
    write_report(tmp_path / "again.html", results, list(metrics()), [infill])
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "report.html").read_bytes()


def test_results_are_json_and_read_back_they_give_the_same_report(tmp_path, measured):
    source, infill = measured
    results = gather(title="run", seed=1, sources=[source], infill=[infill])
    write_results(tmp_path / "results.json", results)
    back = json.loads((tmp_path / "results.json").read_text())
    entry = back["sources"]["code <1>"]
    assert entry["loss"]["bits_per_byte"]["value"] == source.loss.bits_per_byte.value == pytest.approx(1.0)
    assert "files" not in entry["loss"] and "compressed_bytes" not in entry["xz"]
    ratio = 8 * sum(source.xz.compressed_bytes) / source.xz.num_bytes
    assert entry["ratio_to_xz"]["value"] == pytest.approx(1 / ratio)
    assert back["infill"][0]["num_spans"] == infill.num_spans and "samples" not in back["infill"][0]
    write_report(tmp_path / "one.html", results)
    write_report(tmp_path / "two.html", back)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_what_was_not_measured_is_left_out(tmp_path):
    write_report(tmp_path / "report.html", gather(title="run", seed=1))
    assert "<h2>" not in (tmp_path / "report.html").read_text()
    write_report(tmp_path / "report.html", gather(title="run", seed=1), list(metrics()))
    assert re.findall("<h2>(.*?)</h2>", (tmp_path / "report.html").read_text()) == ["Training"]
