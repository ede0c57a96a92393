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
from spanmix.data.torchtitan_rows import IGNORE_INDEX, SequenceProcessor, TorchtitanRows, cut_records
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
    elements = itertools.islice(RowDataset(loader, 3), 8)
    for element, (inputs, labels) in zip(elements, TorchtitanRows(loader, 3), strict=False):
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


def test_rows_that_torchtitan_would_get_wrong_are_refused(recipe_of):
    for overrides, words in (
        (
            recipe_of("[{name: prefix_lm, weight: 1}]"),
            "no mask for a bidirectional prefix; leave out objective p",
        ),
        ([*recipe_of(OBJECTIVES["ul2"]), "data.positions=continue"], "positions continue, but torchtitan"),
        ([*recipe_of(OBJECTIVES["ul2"]), "data.document_mask=false"], "document_mask is false and"),
    ):
        with pytest.raises(InputError, match=words):
            TorchtitanRows(open_loader("demo", overrides))


def test_records_that_cannot_be_written_are_refused(recipe_of, corpus_folder):
    tokenizer = Corpus.open(corpus_folder).tokenizer
    with pytest.raises(InputError, match="no mask for a bidirectional prefix"):
        SequenceProcessor(load_data_recipe("demo", recipe_of("[{name: prefix_lm, weight: 1}]")), tokenizer)
    narrow = [*recipe_of(OBJECTIVES["characters"]), "data.row_tokens=40"]
    with pytest.raises(InputError, match="row_tokens is 40, which leaves no room"):
        SequenceProcessor(load_data_recipe("demo", narrow), tokenizer)
    processor = SequenceProcessor(
        load_data_recipe("demo", recipe_of(OBJECTIVES["causal and infill"])), tokenizer
    )
    most = processor.max_tokens
    for sample, words in (
        ({"tokens": np.zeros(0, np.int32)}, rf"shape \(0,\); .* 1 to {most} .*cut_records"),
        ({"tokens": np.full(most + 1, 65)}, rf"shape \({most + 1},\)"),
        ({"tokens": np.full((2, 2), 65)}, r"shape \(2, 2\)"),
        ({"tokens": [1.5]}, "no ids from 0 to 511"),
        ({"tokens": [-1]}, "no ids from 0 to 511"),
        ({"tokens": [512]}, "no ids from 0 to 511"),
        ({"tokens": [tokenizer.control.sep]}, "ids of control tokens"),
        ({"text": None}, "needs `tokens` or `text`"),
        ({}, "a record holds nothing"),
        ({"text": "abc", "prompt_tokens": 99}, "prompt_tokens 99 among"),
        ({"text": "abc", "source": "cod"}, "source 'cod' .did you mean 'code'"),
    ):
        with pytest.raises(InputError, match=words):
            processor(sample, np.random.default_rng(0))
    assert set(processor({"text": "def f():\n"}, np.random.default_rng(0))) == {
        "input_ids",
        "labels",
        "positions",
    }
    assert cut_records(np.zeros(0, np.int32), 5) == []
    with pytest.raises(InputError, match="max_tokens is 0"):
        cut_records(np.zeros(3, np.int32), 0)
