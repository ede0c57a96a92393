"""A batch whose loss or gradient is not finite changes nothing, and is named; some of them may be skipped."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from spanmix.data.build import build_loader
from spanmix.errors import InputError, SpanmixError, StoppedEarlyError
from spanmix.text.corpus import Corpus
from spanmix.train import run as run_module
from spanmix.train import step as step_module
from spanmix.train.documents import describer
from spanmix.train.events import read_events
from spanmix.train.run import train

ROWS = 4


def first_row(step):
    return ROWS * (step - 1)


@pytest.fixture
def poison(monkeypatch):
    """Makes the loss of the batches that begin with these rows NaN, or their gradients alone."""
    real = step_module.batch_losses

    def begin(*rows, what="loss"):
        def poisoned(model, batch, dtype, z_loss=0):
            loss, losses_BT = real(model, batch, dtype, z_loss)
            if batch.first_row in rows:
                loss = loss * float("nan" if what == "loss" else "inf")
                if what == "loss":
                    first = batch.segments[0]
                    losses_BT[first.row, first.start : first.start + first.length] = float("nan")
            return loss, losses_BT

        monkeypatch.setattr(step_module, "batch_losses", poisoned)

    return begin


def documents(recipe, row):
    """(source, path) of every document in the batch that begins with a row, in order."""
    corpus = Corpus.open(recipe.corpus.path)
    loader = build_loader(recipe, corpus)
    for batch, _ in loader.batches(loader.start(), ROWS):
        if batch.first_row == row:
            names = loader.mixture.names
            refs = [segment.ref for segment in batch.segments]
            return [(names[r.source], corpus.train[names[r.source]].path(r.document)) for r in refs]
    raise AssertionError


def skipping(recipe, limit, **changes):
    return replace(recipe, run=replace(recipe.run, skip_bad_batches=limit, **changes))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_first_one_stops_with_step_rows_and_documents(recipe, tmp_path, poison, what):
    poison(first_row(5), what=what)
    with pytest.raises(SpanmixError) as error:
        train(recipe, tmp_path / "run")
    message = str(error.value)
    assert "at step 5, in rows 16 to 19; nothing was updated" in message
    assert "the same --out with run.skip_bad_batches=1" in message
    held = documents(recipe, first_row(5))
    source, path = held[0]
    assert f"{source}: {path}" in message
    named = sum(path in message for _, path in dict.fromkeys(held))
    # A loss that is not finite in one example names that one; a gradient may be of any.
    assert named == 1 if what == "loss" else named > 2
    assert error.value.exit_code == 1


def test_a_skipped_batch_leaves_no_trace(recipe, tmp_path, poison, monkeypatch, assert_same_run):
    """As if the batch had never been among the data: weights, optimizer and losses."""
    poison(first_row(2), first_row(5), what="gradient")
    warned = []
    train(skipping(recipe, 2), tmp_path / "skipped", warn=warned.append)
    assert ["1 of at most 2" in warned[0], "2 of at most 2" in warned[1]] == [True, True]
    events = read_events(tmp_path / "skipped" / "events.jsonl")
    assert [(e.step, e.kind, e.text) for e in events] == [
        (2, "skipped_batch", warned[0]),
        (4, "skipped_batch", warned[1]),
    ]

    real = run_module.prefetch

    def without(batches, depth):
        bad = (first_row(2), first_row(5))
        return (item for item in real(batches, depth) if item[0].first_row not in bad)

    monkeypatch.setattr(run_module, "prefetch", without)
    # The same limit, and none of them used, but for the count in the state.
    with monkeypatch.context() as patch:
        patch.setattr(run_module.BadBatches, "__init__", counted(run_module.BadBatches.__init__))
        train(skipping(recipe, 2), tmp_path / "without")
    assert not (tmp_path / "without" / "events.jsonl").exists()
    assert_same_run(tmp_path / "skipped", tmp_path / "without", recipe)


def counted(init):
    def begin(self, limit, skipped, *others):
        init(self, limit, 2, *others)

    return begin


@contextmanager
def at(step, done):
    yield lambda: bool(done) and done[-1] >= step


def test_the_count_holds_across_resumes_bit_for_bit(recipe, tmp_path, poison, assert_same_run):
    poison(first_row(2), first_row(6), first_row(8), what="loss")
    train(skipping(recipe, 3), tmp_path / "whole")
    done = []

    def killed(steps, total, metrics):
        done.append(steps)
        if steps == 5:  # one step behind the second skip, which the checkpoint of step 3 does not know of
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(skipping(recipe, 3), tmp_path / "parts", report=killed)
    with pytest.raises(StoppedEarlyError):
        train(
            skipping(recipe, 3),
            tmp_path / "parts",
            report=lambda d, t, m: done.append(d),
            stop=at(6, done),
        )
    state = json.loads((tmp_path / "parts" / "checkpoints" / "step-6" / "state.json").read_text())
    assert state["skipped"] == 3 and state["loader"]["next_row"] == 9 * ROWS
    train(skipping(recipe, 3), tmp_path / "parts")
    assert_same_run(tmp_path / "whole", tmp_path / "parts", recipe)
    kinds = ("skipped_batch", "loss_spike")
    whole, parts = (
        [e for e in read_events(tmp_path / name / "events.jsonl") if e.kind in kinds]
        for name in ("whole", "parts")
    )
    assert whole == parts and [e.step for e in whole] == [2, 5, 6]


def test_the_limit_counts_what_was_skipped_before_a_resume(recipe, tmp_path, poison):
    poison(first_row(2), first_row(8), what="loss")
    done = []
    with pytest.raises(StoppedEarlyError):
        train(
            skipping(recipe, 1),
            tmp_path / "run",
            report=lambda d, t, m: done.append(d),
            stop=at(4, done),
        )
    with pytest.raises(SpanmixError, match=r"at step 7.*skip_bad_batches=2 \(it is 1, and 1 batches"):
        train(skipping(recipe, 1), tmp_path / "run")
    assert train(skipping(recipe, 2), tmp_path / "run").is_dir()


def test_no_gradient_of_a_bad_batch_is_left(recipe, poison):
    from spanmix.model.decoder import Decoder
    from spanmix.train.base import build_architecture
    from spanmix.train.optimizer import build_optimizers
    from spanmix.train.step import NotFiniteError, TrainStep

    corpus = Corpus.open(recipe.corpus.path)
    model = Decoder(build_architecture(recipe, corpus.tokenizer), seed=1)
    step = TrainStep(model, build_optimizers(model, recipe.optimizer), torch.float32, 2, recipe.optimizer)
    loader = build_loader(recipe, corpus)
    batch, _ = next(loader.batches(loader.start(), ROWS))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    poison(2)  # the second micro-batch
    with pytest.raises(NotFiniteError):
        step(batch, 1e-3)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(optimizer.state for optimizer in step.optimizers)


class Table:
    """A source with paths, but for those that are damaged or empty."""

    def name_of(self, i):
        if i == 7:
            raise InputError("the table is damaged")
        return "" if i == 8 else f"{i}.py"


def test_documents_are_named_once_by_source_in_order_up_to_twenty():
    from spanmix.types import DocumentRef, Segment

    def segments(*keys):
        return [Segment(0, 0, 1, 0, 0, DocumentRef(s, d, 0, 0)) for s, d in keys]

    describe = describer(["code", "prose"], {"code": Table(), "prose": Table()})
    assert describe(segments((0, 3), (1, 3), (0, 3), (0, 1))) == "code: 3.py, 1.py; prose: 3.py"
    assert describe(segments((0, 7), (0, 8))) == "code: number 7, number 8"
    many = describe(segments(*((0, i) for i in range(10, 40))))
    assert many.endswith("28.py, 29.py; and 10 more") and "30.py" not in many
