"""What torchtitan is handed: batches of our rows, and sequences that its first-fit packing can take."""

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.data.build import open_loader
from spanmix.data.torch_rows import RowDataset
from spanmix.data.torchtitan_rows import IGNORE_INDEX, SequenceProcessor, cut_records, torchtitan_batch
from spanmix.errors import InputError
from spanmix.recipes import load_data_recipe
from spanmix.text.corpus import Corpus
from spanmix.types import DocumentRef, Example

ROW_TOKENS = 200
OBJECTIVES = {
    "causal and infill": "[{name: causal, weight: 1}, {name: infill, weight: 1, max_spans: 4}]",
    "characters": "[{name: infill, weight: 1, max_spans: 4, cut: character}]",
    "lines": "[{name: infill, weight: 1, max_spans: 4, span_units: {random: 0, lines: 1}}]",
    "ul2": "[{name: ul2, weight: 1, max_spans: 16}]",
    "by source": "[{name: causal, weight: 1, sources: [code]}, "
    "{name: infill, weight: 1, max_spans: 4, sources: [prose]}]",
}


@dataclass(frozen=True, kw_only=True)
class TextSequence:
    """The fields of torchtitan's class of this name."""

    input_ids: np.ndarray
    labels: np.ndarray
    positions: np.ndarray


@pytest.fixture(scope="module")
def recipe_of(corpus_folder):
    def make(objectives):
        overrides = [
            f"corpus.path={corpus_folder}",
            f"data.row_tokens={ROW_TOKENS}",
            "data.window_documents=8",
        ]
        return [*overrides, f"objectives={objectives}"]

    return make


def test_a_batch_holds_inputs_positions_and_labels_of_the_rows(recipe_of):
    loader = open_loader("demo", recipe_of("[{name: infill, weight: 1, max_spans: 4, loss_on_shown: false}]"))
    for element in itertools.islice(RowDataset(loader, 3), 8):
        inputs, labels = torchtitan_batch(element)
        assert inputs["input"].tolist() == element["token_ids"].tolist()
        assert inputs["positions"].tolist() == element["positions"].tolist()
        carries = element["loss_weights"] > 0
        assert labels[carries].tolist() == element["targets"][carries].tolist()
        assert set(labels[~carries].tolist()) == {IGNORE_INDEX}


def examples_of(sequence):
    """Take a sequence apart where positions start again."""
    starts = np.flatnonzero(sequence.positions == 0).tolist()
    for start, stop in itertools.pairwise([*starts, len(sequence.positions)]):
        assert sequence.positions[start:stop].tolist() == list(range(stop - start))
        inputs, labels = sequence.input_ids[start:stop], sequence.labels[start:stop]
        with_loss = labels[:-1] != IGNORE_INDEX
        assert (labels[:-1] == inputs[1:])[with_loss].all()
        token_ids = np.append(inputs, labels[-1]).astype(np.int32)
        yield Example(token_ids, np.zeros(len(token_ids), np.float32), 0, 0, DocumentRef(0, 0, 0, 0))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_record_becomes_one_sequence_that_fits_and_can_be_undone(name, recipe_of, corpus_folder):
    recipe = load_data_recipe("demo", recipe_of(OBJECTIVES[name]))
    corpus = Corpus.open(corpus_folder)
    processor = SequenceProcessor(recipe, corpus.tokenizer, TextSequence)
    met: Counter[str] = Counter()

    @given(st.integers(0, 7), st.sampled_from(["code", "prose"]), st.integers(0, 2**32), st.integers(1, 400))
    def check(document, source, seed, num_tokens):
        for record in cut_records(
            corpus.train[source].tokens(document % 4)[:num_tokens], processor.max_tokens
        ):
            sample = {"tokens": record, "source": source}
            sequence = processor(sample, np.random.default_rng(seed))
            assert 2 <= len(sequence.input_ids) <= ROW_TOKENS
            again = processor(sample, np.random.default_rng(seed))
            assert all(
                (getattr(again, f) == getattr(sequence, f)).all()
                for f in ("input_ids", "labels", "positions")
            )
            text, examples = b"", list(examples_of(sequence))
            for example in examples:
                is_infill = corpus.tokenizer.control.sep in example.token_ids
                index = -1 if is_infill else 0
                objective = processor._objectives.objectives[index]
                if name == "ul2":
                    objective = next(
                        o for o in processor._objectives.objectives if hasattr(o, "_masks") is is_infill
                    )
                text += corpus.tokenizer.decode_bytes(objective.restore(example).tolist())
                met["infill"] += is_infill
                met["causal"] += not is_infill
            assert text == corpus.tokenizer.decode_bytes(record.tolist())
            met["several examples"] += len(examples) > 1
            met["full record"] += len(record) >= processor.max_tokens - 1
            met["one token"] += len(record) == 1
            other = processor(sample, np.random.default_rng(seed + 1))
            met["another draw"] += len(other.input_ids) != len(sequence.input_ids)
            if name == "by source":
                assert is_infill == (source == "prose")

    check()
    needed = {"infill", "one token", "another draw"} | (
        {"causal"} if name not in ("characters", "lines") else set()
    )
    assert all(met[case] >= 5 for case in needed), met


def test_what_torchtitan_cannot_do_is_refused(recipe_of, corpus_folder):
    tokenizer = Corpus.open(corpus_folder).tokenizer
    both_ways = "[{name: prefix_lm, weight: 1}]"
    recipe = load_data_recipe("demo", recipe_of(both_ways))
    with pytest.raises(InputError, match="no mask for a bidirectional prefix; objective prefix_lm has one"):
        SequenceProcessor(recipe, tokenizer)
    with pytest.raises(InputError, match="no mask for a bidirectional prefix"):
        torchtitan_batch(next(iter(RowDataset(open_loader("demo", recipe_of(both_ways))))))
    processor = SequenceProcessor(
        load_data_recipe("demo", recipe_of(OBJECTIVES["causal and infill"])), tokenizer
    )
    for length in (0, processor.max_tokens + 1):
        with pytest.raises(
            InputError, match=rf"has {length} tokens; .* 1 to {processor.max_tokens} .*cut_records"
        ):
            processor({"tokens": np.full(length, 65)}, np.random.default_rng(0))
    assert set(processor({"text": "def f():\n"}, np.random.default_rng(0))) == {
        "input_ids",
        "labels",
        "positions",
    }
