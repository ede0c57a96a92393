"""The suite that comes with the package is whole: every recipe of every scale can be trained and planned."""

from dataclasses import replace

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.data.build import build_loader
from spanmix.errors import InputError
from spanmix.lessons.configurations import (
    main_configuration,
    scale_recipe,
    scale_steps,
    sweep_configurations,
)
from spanmix.lessons.parts import TASK_ENDPOINTS
from spanmix.lessons.plan import Folders, plan_suite
from spanmix.lessons.suite import load_suite
from spanmix.recipes import recipe_from_fields, to_fields
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.train.machines import machine_named
from spanmix.train.plan import make_plan

SCALES = ("tiny", "small", "paper")


@pytest.fixture(scope="module")
def builtin():
    return load_suite()


@pytest.fixture(scope="module")
def corpus(corpus_folder, tmp_path_factory):
    """A corpus with as many sentinels as the recipes ask for, and the tokens of fill-in-the-middle."""
    folder = tmp_path_factory.mktemp("sentinels")
    raw = corpus_folder.parent
    sources = tuple(SourceFilesConfig(name, (str(raw / name),)) for name in ("code", "prose"))
    extra = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    config = CorpusConfig("", sources, held_out_share=0.2)
    prepare(config, TokenizerConfig(576, 99, extra), folder / "corpus")
    return Corpus.open(folder / "corpus")


def configurations(builtin, name):
    scale = builtin.scale(name)
    found = sweep_configurations(builtin, scale)
    return found + [main_configuration(builtin, scale, arm, 1e-3) for arm in scale.arms]


def on(corpus, recipe):
    """The recipe on a small corpus, with a batch of one row, which is not longer than 512."""
    tokenizer = TokenizerConfig(576, 99, recipe.tokenizer.extra_tokens)
    data = replace(recipe.data, global_batch_rows=1, row_tokens=512, window_documents=1)
    return replace(recipe, corpus=CorpusConfig(str(corpus.path)), tokenizer=tokenizer, data=data)


@pytest.mark.parametrize("name", SCALES)
def test_every_recipe_resolves_and_is_the_same_when_read_back(builtin, name):
    found = configurations(builtin, name)
    assert len(found) >= 25 or name == "paper"
    for one in found:
        assert recipe_from_fields(to_fields(one.recipe), one.arm) == one.recipe
        assert 1 <= one.recipe.schedule.warmup_steps < one.recipe.run.num_steps


@pytest.mark.parametrize("name", SCALES)
def test_every_recipe_gives_rows(builtin, corpus, name):
    for arm in builtin.scale(name).arms:
        recipe = on(corpus, main_configuration(builtin, builtin.scale(name), arm, 1e-3).recipe)
        corpus.check_recipe(recipe)
        loader = build_loader(recipe, corpus)
        batch, _ = next(loader.batches(loader.start(), 1))
        assert batch.loss_weights.sum() > 0, arm


@pytest.mark.parametrize(
    ("name", "device", "fits"), [("tiny", "cpu", 1), ("small", "h100", 1), ("paper", "h100", 1)]
)
def test_every_recipe_can_be_planned(builtin, name, device, fits, tmp_path):
    machine = machine_named(device)
    scale = builtin.scale(name)
    for one in configurations(builtin, name):
        plan = make_plan(one.recipe, one.recipe.tokenizer.vocab_size, fits, machine)
        assert plan.fits and plan.hours > 0, one.arm
    folders = Folders(tmp_path / "out", tmp_path / "metrics", tmp_path / "corpus")
    suite_plan = plan_suite(builtin, scale, (), "", folders, machine, 1)
    assert len(suite_plan.left) == len(suite_plan.runs)
    assert len(suite_plan.runs) == 3 * len(scale.arms) + len(sweep_configurations(builtin, scale))
    most = {"tiny": 5, "small": 24, "paper": 1e9}[name]
    assert 0.1 < suite_plan.hours < most
    assert not list(tmp_path.iterdir())


def test_tiny_is_as_small_as_it_is_said_to_be(builtin):
    tiny = builtin.scale("tiny")
    assert len(tiny.arms) <= 16 and len(tiny.seeds) == 3
    steps = {main_configuration(builtin, tiny, arm, 1e-3).num_positions for arm in tiny.arms}
    assert len(steps) == 1, "equal tokens"


def test_the_checks_of_the_sweep_are_the_arms_with_most_and_fewest_tokens_under_loss(builtin, corpus):
    tiny = builtin.scale("tiny")
    shares = {}
    for arm in tiny.arms:
        loader = build_loader(on(corpus, main_configuration(builtin, tiny, arm, 1e-3).recipe), corpus)
        batch, _ = next(loader.batches(loader.start(), 64))
        shares[arm] = float((batch.loss_weights > 0).sum() / (batch.segment_ids > 0).sum())
    least = min(shares, key=shares.__getitem__)
    assert (max(shares.values()), least) == (shares["causal"], "prefix-lm-ul2")
    assert set(tiny.sweep.checks) == {"causal", least}


def test_every_lesson_has_claims_of_the_paper_at_every_scale(builtin):
    assert [lesson.number for lesson in builtin.lessons] == [1, 2, 3, 4, 5]
    for scale in builtin.scales.values():
        for lesson in builtin.lessons:
            asked = [claim for claim in lesson.claims if set(claim.effect) <= set(scale.arms)]
            assert any(claim.basis == "found" for claim in asked), (scale.name, lesson.number)
            assert lesson.claims[0] in asked, "the claim that stands for the lesson"
            assert all(one.source and one.text and one.figure for one in lesson.found)


def test_the_full_grid_is_at_both_large_scales(builtin):
    assert set(builtin.scale("small").arms) == set(builtin.scale("paper").arms) == set(builtin.arms)
    grid = {f"{kind}-{rate}" for kind in ("psm", "psm-spm", "infill") for rate in (25, 50, 75, 90)}
    assert grid - {"infill-50"} <= set(builtin.arms)  # that is `mixture`
    assert {"epochs-2", "epochs-4", "epochs-8", "epochs-16", "grow-1", "grow-8"} <= set(builtin.arms)


def test_epochs_have_equal_compute_and_growing_ones_a_fixed_corpus(builtin):
    small = builtin.scale("small")
    of = {arm: main_configuration(builtin, small, arm, 1e-3) for arm in small.arms}
    whole = of["mixture"]
    assert whole.unique_tokens is None and whole.recipe.run.num_steps == scale_steps(small)
    for k in (2, 4, 8, 16):
        assert of[f"epochs-{k}"].num_positions == whole.num_positions
        assert of[f"epochs-{k}"].unique_tokens == whole.num_positions // k
    for k in (1, 2, 4, 8):
        assert of[f"grow-{k}"].unique_tokens == whole.num_positions // 16
        assert of[f"grow-{k}"].num_positions == pytest.approx(whole.num_positions * k / 16, rel=0.01)
    assert of["epochs-4-cooled"].recipe.schedule.decay_steps == scale_steps(small) // 4
    assert of["epochs-4"].recipe.schedule.decay_steps is None


def test_the_understanding_of_lesson_1_is_asked_for(builtin):
    endpoints = {claim.endpoint for claim in builtin.lessons[0].claims}
    assert endpoints & set(TASK_ENDPOINTS)
    needed = {
        arm for claim in builtin.lessons[0].claims if claim.endpoint in TASK_ENDPOINTS for arm in claim.effect
    }
    assert needed == {"causal", "prefix-lm-mixture"}
    assert set(builtin.scale("tiny").understanding.arms) == needed
    assert needed < set(builtin.scale("small").understanding.arms)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("scales/toy.yaml", "margin: 0.05", "margin: -1", "margin is -1"),
        ("scales/toy.yaml", "margin: 0.05", "margin: 0.05\nmargn: 1", "margn"),
        ("scales/toy.yaml", "arms: [causal", "arms: [casual", "'casual' (did you mean 'causal'?)"),
        ("one/lesson.yaml", "side: greater", "side: more", "side is 'more'"),
        ("one/lesson.yaml", "causal: -1}, endpoint: code", "causal: 1}, endpoint: code", "add up to 0"),
        ("one/lesson.yaml", "endpoint: middle", "endpoint: muddle", "endpoint is 'muddle'"),
        ("two/lesson.yaml", "number: 2", "number: 1", "numbers [1, 1]"),
        ("two/lesson.yaml", "twice: 1", "thrice: 1", "'thrice'"),
        ("one/arms.yaml", "unique_share: 0.5", "unique_share: 1.5", "unique_share is 1.5"),
        ("one/arms.yaml", "about: half infill", "abut: half infill", "no about"),
    ],
)
def test_what_is_wrong_in_a_suite_is_named(suite_folder, tmp_path, file, old, new, said):
    import shutil

    shutil.copytree(suite_folder, tmp_path / "suite")
    path = tmp_path / "suite" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError) as error:
        load_suite(tmp_path / "suite")
    assert said in str(error.value)


def test_a_recipe_that_cannot_be_is_named(suite_folder, tmp_path):
    import shutil

    shutil.copytree(suite_folder, tmp_path / "suite")
    path = tmp_path / "suite" / "one" / "arms.yaml"
    path.write_text(path.read_text().replace("name: causal, weight: 1}]}", "name: casual, weight: 1}]}", 1))
    suite = load_suite(tmp_path / "suite")
    with pytest.raises(InputError, match=r"arm causal at scale toy.*did you mean 'causal'"):
        main_configuration(suite, suite.scale("toy"), "causal", 1e-3)
    assert scale_recipe(suite.scale("toy")).data.row_tokens == 64
    with pytest.raises(InputError, match="there is no folder scales"):
        load_suite(tmp_path)
