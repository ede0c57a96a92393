"""What is shown and counted of rows is what is in them."""

import itertools
from collections import Counter

import numpy as np
import pytest

from spanmix.cli.data_text import print_stats
from spanmix.data.anatomy import Anatomist
from spanmix.data.build import open_loader
from spanmix.data.packing import collate
from spanmix.data.preview import Previewer
from spanmix.data.preview_page import preview_page, stats_page
from spanmix.data.stats import DataCounter, DataStats, Tally
from spanmix.text.corpus import Corpus

OBJECTIVES = {
    "infill": "[{name: causal, weight: 1}, {name: infill, weight: 2, max_spans: 4, cut: character}]",
    "both ways": "[{name: prefix_lm, weight: 1}, "
    "{name: infill, weight: 1, max_spans: 4, bidirectional: true}]",
    "ul2": "[{name: ul2, weight: 1, max_spans: 16}]",
    "fim": "[{name: fim, weight: 1, spm_share: 0.5}]",
}


@pytest.fixture(scope="module")
def fim_corpus(tmp_path_factory):
    """A corpus with tokens for fill-in-the-middle, in files of several scripts."""
    from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
    from spanmix.text.pipeline import prepare

    folder = tmp_path_factory.mktemp("fim")
    for name in ("code", "prose"):
        (folder / name).mkdir()
        for i in range(12):
            lines = [
                f"def größe_{i}_{k}(x):  # ☃🦉 {name}\r\n\treturn '\x1b[2J' + x * {k}\n" for k in range(30)
            ]
            (folder / name / f"<b>{i}.py").write_text("".join(lines), newline="")
    (folder / "code" / ".git").mkdir()
    (folder / "code" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "code" / ".git" / "config").write_text(
        '[remote "origin"]\nurl = https://forge.example/me/mine.git\n'
    )
    sources = tuple(SourceFilesConfig(name, (str(folder / name),)) for name in ("code", "prose"))
    tokens = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    config = TokenizerConfig(vocab_size=512, num_sentinels=16, extra_tokens=tokens)
    prepare(CorpusConfig("", sources, held_out_share=0.1), config, folder / "corpus")
    return folder / "corpus"


@pytest.fixture
def opened(fim_corpus):
    def make(name, *overrides):
        fields = [f"corpus.path={fim_corpus}", "data.row_tokens=300", f"objectives={OBJECTIVES[name]}"]
        return open_loader("demo", [*fields, "data.window_documents=8", *overrides]), Corpus.open(fim_corpus)

    return make


def rows_of(loader, count):
    return [row for row, _ in itertools.islice(loader.rows(loader.start()), count)]


def test_a_piece_is_called_by_its_repository_and_path(opened):
    loader, corpus = opened("infill")
    previewer = Previewer(loader, corpus)
    pieces = [piece for row in rows_of(loader, 20) for piece in previewer.row(row, 0).pieces]
    names = {piece.name for piece in pieces if piece.source == "code"}
    assert len(names) > 3 and {name.partition("<b>")[0] for name in names} == {"me/mine: "}
    assert corpus.train["prose"].name_of(0).startswith("prose/<b>")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_preview_shows_every_token_once_with_its_span_and_its_loss(name, opened):
    loader, corpus = opened(name)
    previewer = Previewer(loader, corpus)
    tokenizer = corpus.tokenizer
    met: Counter[str] = Counter()
    for number, row in enumerate(rows_of(loader, 150)):
        shown = previewer.row(row, number)
        assert shown.num_used == sum(example.num_positions for example in row) <= shown.row_tokens == 300
        for example, piece in zip(row, shown.pieces, strict=True):
            ids = [i for cell in piece.cells for i in cell.token_ids]
            assert ids == example.token_ids.tolist()
            assert [cell.first for cell in piece.cells] == [
                sum(len(c.token_ids) for c in piece.cells[:k]) for k in range(len(piece.cells))
            ]
            for cell in piece.cells:
                place = slice(cell.first, cell.first + len(cell.token_ids))
                assert cell.text == tokenizer.decode(cell.token_ids)
                assert cell.has_loss == (example.loss_weights[cell.first] > 0)
                assert cell.in_prefix == (cell.first < example.prefix_length)
                assert cell.is_control == bool(tokenizer.is_control[example.token_ids[place]].all())
                met["several tokens a character"] += len(cell.token_ids) > 1
                met["not UTF-8 by itself"] += "\ufffd" in cell.text
                met["prefix"] += cell.in_prefix
            hidden = [0] * len(piece.span_tokens)
            for cell in piece.cells:
                if cell.span and not cell.is_control:
                    hidden[cell.span - 1] += len(cell.token_ids)
            assert tuple(hidden) == piece.span_tokens
            assert (
                sum(piece.span_tokens)
                + sum(len(c.token_ids) for c in piece.cells if not c.is_control and not c.span)
                == piece.num_text_tokens
            )
            met["spans"] += len(piece.span_tokens) > 1
    needed = {"infill": "spans", "ul2": "spans", "both ways": "prefix", "fim": "several tokens a character"}
    assert met[needed[name]] >= 10, met


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_counts_are_those_of_the_batches(name, opened):
    loader, corpus = opened(name)
    tokenizer, control = corpus.tokenizer, corpus.tokenizer.control
    counter = DataCounter(loader, tokenizer)
    rows = rows_of(loader, 200)
    for number, row in enumerate(rows):
        counter.add(row, number)
    [stats] = counter.stages
    batch = collate(rows, loader.config, loader.pad_id, 0)
    assert (stats.rows, stats.positions) == (200, 200 * 300)
    assert stats.padding == int((batch.segment_ids == 0).sum())
    positions: Counter[tuple[str, str]] = Counter()
    with_loss: Counter[tuple[str, str]] = Counter()
    for s in batch.segments:
        pair = loader.mixture.names[s.ref.source], loader.objectives.names[s.objective]
        positions[pair] += s.length
        with_loss[pair] += int((batch.loss_weights[s.row, s.start : s.start + s.length] > 0).sum())
    assert {pair: tally.positions for pair, tally in stats.pairs.items() if tally.pieces} == dict(positions)
    assert {pair: tally.with_loss for pair, tally in stats.pairs.items() if tally.pieces} == dict(with_loss)
    for source in loader.mixture.names:
        asked = [share for (name_of, _), share in stats.asked.items() if name_of == source]
        assert abs(sum(asked) - 1) < 1e-6
    for index, name_of in enumerate(loader.mixture.names):
        assert stats.sources[name_of].positions == sum(
            n for pair, n in positions.items() if pair[0] == name_of
        )
        begun = {s.ref for s in batch.segments if s.ref.source == index and s.ref.piece == 0}
        assert stats.sources[name_of].documents == len(begun)
    if name != "fim":
        num_spans = sum(counts.total() for counts in stats.span_lengths.values())
        assert num_spans == int((batch.targets == control.eom).sum())
        num_pieces = sum(counts.total() for counts in stats.spans_in_piece.values())
        assert num_pieces == int((batch.token_ids == control.sep).sum())
    for objective, counts in stats.span_lengths.items():
        tally = stats.objectives[objective]
        assert sum(n * count for n, count in counts.items()) == tally.hidden and counts.total() == tally.spans
    restored = sum(
        len(next(o for o in loader.objectives.objectives if _wrote(o, example, control)).restore(example))
        for row in rows
        for example in row
    )
    assert sum(tally.text for tally in stats.pairs.values()) == restored


def _wrote(objective, example, control):
    """Whether an example has the form of what an objective writes."""
    return objective.index == example.objective and hasattr(objective, "_masks") == (
        control.sep in example.token_ids
    )


def test_stages_are_counted_one_by_one(opened):
    stages = "data.stages=[{from_step: 10, weights: {prose: 1}}]"
    loader, corpus = opened("infill", stages, "data.global_batch_rows=4", "data.window_documents=4")
    counter = DataCounter(loader, corpus.tokenizer)
    for number, row in enumerate(rows_of(loader, 80)):
        counter.add(row, number)
    first, second = counter.stages
    assert (first.rows, second.rows) == (40, 40)
    assert second.weights == {"code": 0.0, "prose": 1.0} and second.share_of("prose") > 0.85
    assert "Stage 2" in stats_page(counter.stages, "r")
    plain = first.to_json()
    assert abs(sum(source["share"] for source in plain["sources"].values()) - 1) < 1e-9
    assert plain["stage"] == 1 and plain["first_row"] == 0 and second.first_row == 40
    assert sum(plain["span_lengths"]["infill"].values()) == first.objectives["infill"].spans


def test_the_pages_escape_what_files_hold(opened):
    loader, corpus = opened("infill")
    rows = [Previewer(loader, corpus).row(row, i) for i, row in enumerate(rows_of(loader, 3))]
    page = preview_page(rows, "<recipe>")
    assert "&lt;b&gt;" in page and "<b>" not in page and "&lt;recipe&gt;" in page
    assert "\x1b" not in page and "\r" not in page


def test_an_anatomy_without_fim_tokens_is_that_of_text(corpus_folder):
    corpus = Corpus.open(corpus_folder)
    loader = open_loader("demo", [f"corpus.path={corpus_folder}", "objectives=[{name: causal, weight: 1}]"])
    for row in rows_of(loader, 5):
        for example in row:
            anatomy = Anatomist(corpus.tokenizer)(example)
            assert anatomy.span_tokens == [] and not anatomy.span_of.any()
            assert anatomy.num_text_tokens == int(np.sum(~corpus.tokenizer.is_control[example.token_ids]))


def test_a_share_of_nothing_is_a_dash(capsys):
    pieces = Tally(pieces=2, positions=8, with_loss=8, text=8)  # of documents begun in rows before
    pairs = {("code", "causal"): pieces, ("code", "infill"): Tally()}
    stats = DataStats(1, {"code": 1.0}, 4, 1, 8, 0, {"code": pieces}, pairs=pairs)
    stats.asked = dict.fromkeys(pairs, 0.5)
    print_stats(stats, with_stage=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["causal,", "code", "0.5000", "-", "100.0%", "2", "100.0%", "0.0%", "-"] in lines
    assert ["infill,", "code", "0.5000", "-", "0.0%", "0", "-", "-", "-"] in lines
    assert stats_page([stats], "x").count(">-<") == 2 + 3 + 1
