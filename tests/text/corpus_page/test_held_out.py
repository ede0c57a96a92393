"""A held-out side that says little or is skewed is spoken of, and one that was drawn well never is."""

import json
import math

import numpy as np
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.text.corpus_page.card import write_card
from spanmix.text.corpus_page.held_out import differences, held_out_warnings, shortened, warnings
from spanmix.text.corpus_page.page import write_corpus_page
from spanmix.text.corpus_page.sides import Amount, Lengths, SideFigures
from spanmix.text.pipeline import prepare
from spanmix.text.preparation.held_out_draw import effective_number
from spanmix.text.report import CorpusReport, HeldOutDraw, SourceReport, SplitCounts

SIZES = np.array([40, 30, 15, 6, 4, 2, 1, 1, 0.6, 0.4])


def amounts(names, num_bytes):
    return {
        f"name{name}": Amount(int((names == name).sum()), int(num_bytes[names == name].sum()))
        for name in np.unique(names)
    }


def side(languages, licences, num_bytes):
    lengths = Lengths.of(num_bytes)
    return SideFigures(amounts(languages, num_bytes), amounts(licences, num_bytes), lengths, lengths)


class Drawn:
    """A source whose documents lie on two sides; groups of equal labels were drawn together."""

    def __init__(self, is_held_out, languages, licences, num_bytes, groups, repository=("", 0.0, 0.0)):
        sides = [(~is_held_out), is_held_out]
        self.sides = [side(languages[mine], licences[mine], num_bytes[mine]) for mine in sides]
        counts = [SplitCounts(int(mine.sum()), 0, int(num_bytes[mine].sum())) for mine in sides]
        _, place = np.unique(groups[is_held_out], return_inverse=True)
        sums = np.bincount(place, num_bytes[is_held_out])
        draw = HeldOutDraw(len(sums), effective_number(sums), *repository)
        self.report = SourceReport(*counts, {}, {}, held_out_draw=draw)

    def warnings(self, share_asked=0.02):
        return list(warnings("code", self.report, *self.sides, share_asked))

    def differences(self):
        return {one.what: one for one in differences(self.report, *self.sides)}


def corpus_of(random, number, share=0.02, spread=1.4):
    """Documents of lengths as those of code, of languages and licences of very unequal shares."""
    languages, licences = random.choice(10, (2, number), p=SIZES / SIZES.sum())
    num_bytes = np.maximum(1, random.lognormal(7.5, spread, number)).astype(np.int64)
    groups = np.where(
        random.random(number) < 0.1, random.integers(0, number // 50 + 1, number), np.arange(number)
    )
    chosen = random.random(groups.max() + 1) < share
    return {"languages": languages, "licences": licences, "num_bytes": num_bytes, "groups": groups}, chosen[
        groups
    ]


def test_a_large_corpus_that_was_drawn_at_random_has_no_warning():
    nearest = 0.0
    for seed in range(20):
        facts, is_held_out = corpus_of(np.random.default_rng(seed), 150_000)
        drawn = Drawn(is_held_out, **facts)
        assert drawn.warnings() == [], seed
        nearest = max(nearest, *(one.distance for one in drawn.differences().values()))
    assert 0.02 < nearest < 0.15


def test_what_is_called_chance_is_what_chance_does():
    found = {name: [] for name in ("languages", "licences", "lengths")}
    told = {name: [] for name in found}
    for seed in range(150):
        facts, is_held_out = corpus_of(np.random.default_rng(seed), 4000, 0.1, 1.0)
        for name, one in Drawn(is_held_out, **facts).differences().items():
            found[name].append(one.distance)
            told[name].append(one.by_chance)
    for name in ("languages", "licences"):
        assert 0.8 < np.mean(found[name]) / np.mean(told[name]) < 1.25
    # At powers of two alone the largest gap is a little smaller than over all lengths.
    assert 0.5 < np.mean(found["lengths"]) / np.mean(told["lengths"]) < 1.1


@pytest.mark.parametrize("what", ["languages", "licences"])
def test_other_languages_or_licences_than_in_training_are_named(what):
    facts, is_held_out = corpus_of(np.random.default_rng(1), 30_000)
    moved = is_held_out & (np.random.default_rng(2).random(len(is_held_out)) < 0.7)
    facts[what] = np.where(moved, 3, facts[what])
    (found,) = Drawn(is_held_out, **facts).warnings()
    assert f"in its {what}: name3 is 6" in found and "by chance it would be 0.0" in found


def test_other_lengths_than_in_training_are_named():
    facts, is_held_out = corpus_of(np.random.default_rng(1), 30_000)
    facts["num_bytes"] = np.where(is_held_out, facts["num_bytes"] // 3 + 1, facts["num_bytes"])
    (found,) = Drawn(is_held_out, **facts).warnings()
    assert "in its lengths: " in found and "of its documents are below 1,024 bytes" in found


def test_one_repository_is_named_only_if_training_has_much_less_of_it():
    facts, is_held_out = corpus_of(np.random.default_rng(1), 30_000)
    for shares, expected in {
        (0.8, 0.1): 1,
        (0.51, 0.3): 0,
        (0.3, 0.0): 0,
        (1.0, 1.0): 0,
        (0.5, 0.25): 1,
    }.items():
        found = Drawn(is_held_out, **facts, repository=("o/<r>\u202e", *shares)).warnings()
        assert len(found) == expected
        assert all("One repository, o/<r>⟨U+202E⟩, is" in words for words in found)


def test_few_groups_are_few_however_many_documents_there_are():
    facts, is_held_out = corpus_of(np.random.default_rng(1), 30_000)
    one_long = facts | {"num_bytes": facts["num_bytes"].copy()}
    one_long["num_bytes"][np.flatnonzero(is_held_out)[0]] = 10**9
    together = facts | {"groups": np.where(is_held_out, np.arange(30_000) % 60, facts["groups"])}
    for changed in (one_long, together):
        found = Drawn(is_held_out, **changed).warnings()
        assert found[0].startswith("The held-out side of code is small: ")
        assert f"{int(is_held_out.sum()):,} documents" in found[0]
    few = np.zeros(30_000, np.bool_)
    few[:50] = True
    assert any("50 documents, as good as" in words for words in Drawn(few, **facts).warnings())


def test_a_side_without_documents_is_spoken_of_if_one_was_asked_for():
    facts, _ = corpus_of(np.random.default_rng(1), 100)
    empty = Drawn(np.zeros(100, np.bool_), **facts)
    (found,) = empty.warnings(0.02)
    assert found.startswith("Nothing of code is held out")
    assert empty.warnings(0.0) == [] == empty.warnings(None) and empty.differences() == {}


def test_many_warnings_are_counted():
    many = [str(i) for i in range(30)]
    assert shortened(many[:8]) == many[:8]
    assert shortened(many)[:7] == many[:7] and shortened(many)[7] == "There are 23 more of these."


def repositories(folder):
    rows = []
    for repository, number in (("big/one", 40), *((f"small/r{i}", 1) for i in range(20))):
        for i in range(number):
            lines = [f"def {repository[-3:].replace('/', '_')}_{i}_{j}(x): return {i * j}" for j in range(30)]
            rows.append({"path": f"{repository}/f{i}.py", "repository": repository, "text": "\n".join(lines)})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SourceFilesConfig("rows", (str(folder / "rows.jsonl"),))


@pytest.fixture(scope="module")
def drawn_repository(tmp_path_factory):
    """A corpus whose held-out side is mostly one repository, and how it was drawn."""
    folder = tmp_path_factory.mktemp("repositories")
    source = repositories(folder)
    config = CorpusConfig("", (source,), 0.1, seed=8, layout=LayoutConfig(unit="repository"))
    report = prepare(config, TokenizerConfig(vocab_size=512, num_sentinels=20), folder / "out")
    return folder / "out", report.sources["rows"].held_out_draw


def test_a_repository_that_is_most_of_the_held_out_side_is_named_everywhere(drawn_repository):
    corpus, draw = drawn_repository
    assert (
        draw.repository == "big/one" and draw.repository_share > 0.5 and draw.repository_share_of_train == 0
    )
    assert draw.groups < 10 and 1 <= draw.effective_groups < draw.groups + 0.1
    found = held_out_warnings(corpus, CorpusReport.load(corpus))
    assert len(found) >= 2 and any(words.startswith("One repository, big/one, is ") for words in found)
    write_corpus_page(corpus)
    write_card(corpus)
    for name, mark in (("report.html", "Warning:</strong> {}"), ("README.md", "**Warning:** {}")):
        text = (corpus / name).read_text()
        assert all(mark.format(words) in text for words in found)


def test_an_effective_number_is_between_one_and_all():
    random = np.random.default_rng(0)
    for number in range(1, 200):
        sizes = np.maximum(1, random.lognormal(5, number / 100, number)).astype(np.int64)
        found = effective_number(sizes)
        assert 1 - 1e-9 <= found <= number + 1e-9
        assert math.isclose(effective_number(sizes * 7), found)
    assert effective_number(np.zeros(0, np.int64)) == 0
