"""transformers computes on our rows the loss that we compute."""

import itertools

import pytest
import torch

from spanmix.data.build import open_loader
from spanmix.data.torch_rows import RowDataset
from spanmix.data.transformers_rows import TransformersCollator
from spanmix.errors import InputError
from spanmix.model.folder import save_model_folder
from spanmix.model.masks import AttentionMask
from spanmix.text.corpus import Corpus

CAUSAL = "[{name: causal, weight: 1}, {name: infill, weight: 1, max_spans: 4, loss_on_sentinels: false}]"
BOTH_WAYS = "[{name: prefix_lm, weight: 1}, {name: infill, weight: 1, max_spans: 4, bidirectional: true}]"
END_TO_END = ("data.unit=sequence", "data.document_mask=false", "data.positions=continue")
VARIANTS = {
    "causal": [f"objectives={CAUSAL}"],
    "both ways": [f"objectives={BOTH_WAYS}"],
    "end to end": [f"objectives={CAUSAL}", *END_TO_END],
    "no document mask": [f"objectives={CAUSAL}", "data.document_mask=false"],
}


@pytest.fixture
def elements(corpus_folder):
    """Elements of two rows."""

    def make(variant, count=24):
        overrides = [f"corpus.path={corpus_folder}", "data.row_tokens=700", *VARIANTS[variant]]
        loader = open_loader("demo", [*overrides, "data.window_documents=64"])
        return list(itertools.islice(RowDataset(loader, 2), count))

    return make


@pytest.fixture
def models(make_decoder, tmp_path, corpus_folder):
    """One model as ours and as transformers'."""
    from transformers import AutoModelForCausalLM

    decoder = make_decoder(2, 32, 2, 8, 701, vocab_size=512).eval()
    save_model_folder(tmp_path / "model", decoder, Corpus.open(corpus_folder).tokenizer, {})
    return decoder, AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()


def our_loss(decoder, element) -> torch.Tensor:
    mask = AttentionMask.from_segments(element["segment_ids"], element["in_prefix"])
    logits = decoder.head(decoder(element["token_ids"], element["positions"], mask))
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), element["targets"].long().flatten(), reduction="none"
    )
    weights = element["loss_weights"].flatten()
    return (losses * weights).sum() / weights.sum()


@pytest.mark.parametrize("variant", VARIANTS)
def test_transformers_computes_our_loss(variant, models, elements):
    decoder, theirs = models
    met = {"several documents": 0, "padding": 0, "both ways": 0, "seen across documents": 0}
    for element in elements(variant):
        batch = TransformersCollator()([element])
        with torch.no_grad():
            assert abs(float(our_loss(decoder, element) - theirs(**batch).loss)) < 1e-5
        segments, positions = element["segment_ids"], element["positions"]
        met["several documents"] += int(segments.max() > 1)
        met["padding"] += int((segments == 0).any())
        met["both ways"] += int(element["in_prefix"].any())
        met["seen across documents"] += int(((positions[:, 1:] == 0) & (segments[:, 1:] == 1)).any())
    expected = {
        "causal": ["several documents", "padding"],
        "both ways": ["several documents", "both ways"],
        "end to end": [],
        "no document mask": ["seen across documents"],
    }
    assert all(met[case] >= 3 for case in expected[variant]), met


@pytest.mark.parametrize("variant", ["causal", "end to end"])
def test_positions_tell_documents_apart_without_a_mask(variant, models, elements):
    decoder, theirs = models
    for element in elements(variant):
        batch = TransformersCollator(mask=False)([element])
        assert "attention_mask" not in batch
        with torch.no_grad():
            assert abs(float(our_loss(decoder, element) - theirs(**batch).loss)) < 1e-5


@pytest.mark.parametrize("variant", ["both ways", "no document mask"])
def test_rows_that_need_a_mask_are_refused_without_one(variant, elements):
    with pytest.raises(InputError, match=r"need TransformersCollator\(mask=True\)"):
        for element in elements(variant):
            TransformersCollator(mask=False)([element])


def test_rows_out_of_order_are_refused(elements):
    first, second, third, *_ = elements("causal")
    batch = TransformersCollator()([first, second])
    assert batch["input_ids"].shape == batch["labels"].shape == (4, 701)
    assert batch["attention_mask"].shape == (4, 1, 701, 701)
    with pytest.raises(InputError, match="row 4 comes where row 2 was due"):
        TransformersCollator()([first, third])
