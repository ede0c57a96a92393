"""What can be learned is learned, what cannot is not, and the same seed gives the same predictions."""

import json
import random

import numpy as np
import pytest
import torch

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.understanding.examples import LabeledSet, LabeledText
from spanmix.evaluate.understanding.measure import measure, results_of, write_predictions
from spanmix.evaluate.understanding.settings import TuningSettings
from spanmix.evaluate.understanding.tuning import Trial, best_of
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder

SETTINGS = TuningSettings(epochs=6, learning_rate=6e-3, batch_size=8, device="cpu", precision="fp32")
WORDS = [["alpha", "beta", "gamma"], ["delta", "total", "rows"]]


def toy_set(sizes=(96, 24, 40), shuffled=False, pairs=False, seed=0):
    """Texts of the words of one list or the other; the label says which, or is drawn."""
    choose = random.Random(seed)
    parts = []
    for part, size in zip(("train", "valid", "test"), sizes, strict=True):
        examples = []
        for n in range(size):
            label = n % 2
            words = choose.choices(WORDS[label], k=choose.randrange(3, 9))
            shown = choose.randrange(2) if shuffled and n > 1 else label
            texts = (" ".join(words[:2]), " ".join(words[2:])) if pairs else (" ".join(words),)
            examples.append(LabeledText(f"{part}-{n}", texts, shown, f"{part}-{n // 2}"))
        parts.append(tuple(examples))
    num_read = dict(zip(("train", "valid", "test"), sizes, strict=True))
    return LabeledSet("toy", "nowhere", *parts, num_read)


@pytest.fixture
def load():
    return lambda: Decoder(Architecture(2, 32, 2, 8, 256, 384), seed=1)


@pytest.mark.parametrize("representation", ["causal", "bidirectional"])
@pytest.mark.parametrize("pairs", [False, True])
def test_what_can_be_told_apart_is(load, tokenizer, representation, pairs):
    found = measure(load, tokenizer, toy_set(pairs=pairs), representation, SETTINGS)
    assert found.figures.accuracy.value == 1.0
    assert found.figures.f1.value == 1.0
    assert found.figures.majority.value == 0.5
    assert found.tuned.trials[-1].train_loss < found.tuned.trials[0].train_loss


def test_what_is_drawn_by_lot_cannot_be_learned(load, tokenizer):
    """Within three deviations of chance, though the fine-tuning learns some of its own examples by heart."""
    settings = TuningSettings(epochs=16, learning_rate=1e-2, batch_size=8, device="cpu", precision="fp32")
    examples = toy_set((48, 24, 200), shuffled=True)
    found = measure(load, tokenizer, examples, "bidirectional", settings)
    assert found.tuned.trials[-1].train_loss < 0.65
    assert abs(found.figures.accuracy.value - 0.5) < 3 * (0.25 / 200) ** 0.5
    assert found.figures.accuracy.low < 0.5 < found.figures.accuracy.high + 0.1


def test_the_head_alone_learns_and_leaves_the_model(load, tokenizer):
    decoder = load()
    before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    head_only = TuningSettings(head_only=True, device="cpu", precision="fp32")
    found = measure(lambda: decoder, tokenizer, toy_set(), "causal", head_only)
    assert found.figures.accuracy.value > 0.9
    assert all(torch.equal(before[name], tensor) for name, tensor in decoder.state_dict().items())
    assert [trial.name for trial in found.tuned.trials][:2] == ["penalty 1", "penalty 0.1"]
    lost = measure(
        lambda: decoder, tokenizer, toy_set(shuffled=True, sizes=(48, 24, 200)), "causal", head_only
    )
    assert abs(lost.figures.accuracy.value - 0.5) < 3 * (0.25 / 200) ** 0.5


@pytest.mark.parametrize("head_only", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_bits(load, tokenizer, head_only, precision):
    def run(seed):
        settings = TuningSettings(
            1, 1e-3, 8, head_only=head_only, seed=seed, device="cpu", precision=precision
        )
        return measure(load, tokenizer, toy_set((40, 10, 16)), "causal", settings).tuned

    first, again, other = run(1), run(1), run(2)
    assert np.array_equal(first.logits_NK, again.logits_NK) and first.trials == again.trials
    # Fitting a head has no order of examples.
    assert np.array_equal(first.logits_NK, other.logits_NK) == head_only


def test_the_best_epoch_is_the_one_that_is_measured(load, tokenizer):
    """Taking fewer epochs of the same schedule cannot be compared; what is kept can: its valid figures."""
    examples = toy_set((32, 24, 24), shuffled=True)
    # The valid part is the test part, so what is measured must be what was chosen.
    examples = LabeledSet("toy", "x", examples.train, examples.test, examples.test, {})
    chosen = set()
    for seed in range(4):
        settings = TuningSettings(5, 6e-3, 8, seed=seed, device="cpu", precision="fp32")
        found = measure(load, tokenizer, examples, "causal", settings)
        accuracies = [trial.valid_accuracy for trial in found.tuned.trials]
        assert found.figures.accuracy.value == pytest.approx(max(accuracies))
        chosen.add(found.tuned.chosen)
    assert len(chosen) > 1


def test_the_first_of_equals_is_taken():
    trials = [
        Trial("a", 0, 0.5, 0.7),
        Trial("b", 0, 0.6, 0.8),
        Trial("c", 0, 0.6, 0.6),
        Trial("d", 0, 0.6, 0.6),
    ]
    assert best_of(trials) == 2


def test_a_loss_that_is_no_number_stops(load, tokenizer):
    def broken():
        decoder = load()
        with torch.no_grad():
            decoder.ln_f.weight.fill_(float("inf"))
        return decoder

    with pytest.raises(SpanmixError, match=r"the loss is nan .* in step 1 of 72 .* below 0.006"):
        measure(broken, tokenizer, toy_set(), "causal", SETTINGS)


def test_results_have_all_that_was_decided(load, tokenizer, tmp_path):
    told = []
    examples = toy_set((24, 8, 12), pairs=True)
    settings = TuningSettings(1, 1e-3, 8, max_tokens=24, device="cpu", precision="fp32")
    both = [
        measure(load, tokenizer, examples, name, settings, lambda *at: told.append(at))
        for name in ("causal", "bidirectional")
    ]
    causal, bidirectional = results_of(both)
    assert causal["examples"] == {"train": 24, "valid": 8, "test": 12}
    assert causal["cut"]["train"] > 0 and causal["max_tokens"] == 24
    assert (causal["chosen"], causal["trained"], len(causal["trials"])) == ("epoch 1", "all", 1)
    assert causal["settings"]["device"] == "cpu" and causal["settings"]["learning_rate"] == 1e-3
    gained = bidirectional["figures"]["accuracy"]["value"] - causal["figures"]["accuracy"]["value"]
    assert bidirectional["against_causal"]["value"] == pytest.approx(gained)
    assert "against_causal" not in causal
    assert told.count(("fine-tune", 3, 3)) == 2 and told[-1] == ("predict", 12, 12)

    write_predictions(tmp_path / "p.jsonl", both[0])
    rows = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["example"] for row in rows] == [f"test-{n}" for n in range(12)]
    assert all((row["probability"] > 0.5) == bool(row["predicted"]) for row in rows)
    right = sum(row["label"] == row["predicted"] for row in rows) / 12
    assert right == pytest.approx(causal["figures"]["accuracy"]["value"])

    head = TuningSettings(head_only=True, device="cpu", precision="fp32")
    [fitted] = results_of([measure(load, tokenizer, examples, "causal", head)])
    assert fitted["trained"] == "head" and "learning_rate" not in fitted["settings"]


def test_settings_that_cannot_be_are_told(load, tokenizer):
    for field, value, rule in [
        ("epochs", 0, "use 1 to"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("max_tokens", 8, "use 16 or more"),
        ("warmup_share", 1.5, "use 0 to 1"),
        ("precision", "fp16", "auto, bf16, fp32"),
        ("device", "tpu", "auto, cpu or cuda"),
    ]:
        with pytest.raises(InputError, match=rf"{field} is .*{rule}"):
            TuningSettings(**{field: value})
    settings = TuningSettings(max_tokens=300, device="cpu")
    with pytest.raises(InputError, match="rows of 300 tokens do not fit the model, whose context is 256"):
        measure(load, tokenizer, toy_set(), "causal", settings)
