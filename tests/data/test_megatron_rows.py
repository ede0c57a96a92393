"""Megatron-Core's own dataset hands out whole rows of ours, with the tokens and targets that they have."""

import itertools
import types

import numpy as np
import pytest

from spanmix.data.build import open_loader
from spanmix.data.loader import LoaderState
from spanmix.data.megatron_rows import Baked, bake
from spanmix.data.packing import collate
from spanmix.errors import EndOfDataError, InputError
from spanmix.text.corpus import Corpus

pytestmark = pytest.mark.filterwarnings("ignore:Transformer Engine and Apex")

ROW_TOKENS, NUM_ROWS = 799, 320
END_TO_END = ["data.document_mask=false", "data.positions=continue"]
OBJECTIVES = "objectives=[{name: causal, weight: 1}, {name: infill, weight: 1, max_spans: 4}]"


@pytest.fixture
def opened(corpus_folder):
    """Opens loaders over the small corpus."""

    def make(*overrides):
        fields = [f"corpus.path={corpus_folder}", f"data.row_tokens={ROW_TOKENS}", "data.window_documents=8"]
        return open_loader("demo", [*fields, OBJECTIVES, *END_TO_END, *overrides])

    return make


@pytest.fixture
def tokenizer(corpus_folder):
    return Corpus.open(corpus_folder).tokenizer


def megatron_samples(folder, baked, tokenizer, extra, seed):
    """All samples of one epoch, as Megatron-Core makes them, in the order of the rows."""
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import Split

    names = {
        "eod": tokenizer.control.eot,
        "pad": baked.pad_id,
        "vocab_size": tokenizer.vocab_size,
        "unique_identifiers": {"name": "ours"},
    }
    config = GPTDatasetConfig(
        random_seed=seed,
        sequence_length=baked.seq_length,
        split="100,0,0",
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
        add_extra_token_to_sequence=extra,
        tokenizer=types.SimpleNamespace(**names),
        mmap_bin_files=True,
    )
    indexed = IndexedDataset(str(folder / "rows"))
    indices = np.arange(len(indexed), dtype=np.int32)
    dataset = GPTDataset(indexed, str(folder / "rows"), indices, len(indexed) - 1, Split.train, config)
    # Megatron-Core 0.16.1 keeps the mask of the first sample it makes for all others, padding included.
    dataset.masks_and_position_ids_are_cacheable = False
    return [dataset[i] for i in range(len(indexed) - 1)]


@pytest.mark.parametrize("unit", ["document", "sequence"])
@pytest.mark.parametrize("extra", [True, False])
def test_megatron_core_hands_out_whole_rows(extra, unit, opened, tokenizer, tmp_path):
    loader = opened(f"data.unit={unit}")
    baked = bake(loader, tokenizer, tmp_path / "baked", NUM_ROWS)
    assert baked == Baked.load(tmp_path / "baked") and baked.seq_length == ROW_TOKENS + 1
    rows = {}
    met = {"shared end": 0, "padding": 0, "cut piece": 0}
    for number, (row, _) in enumerate(itertools.islice(loader.rows(loader.start()), NUM_ROWS)):
        # A piece that does not end its file comes last.
        row = sorted(row, key=lambda example: example.token_ids[-1] != tokenizer.control.eot)
        batch = collate([row], loader.config, loader.pad_id, number)
        used = int((batch.segment_ids[0] != 0).sum())
        met["shared end"] += len(row) > 1
        met["padding"] += used < ROW_TOKENS
        met["cut piece"] += any(example.token_ids[-1] != tokenizer.control.eot for example in row)
        rows[batch.token_ids[0][:used].tobytes()] = batch.targets[0][:used]
    # Causal rows of a small corpus come again in its next epoch.
    assert min(met.values()) >= 3 and len(rows) > 100, met
    found = 0
    for sample in megatron_samples(tmp_path / "baked", baked, tokenizer, extra, seed=int(extra)):
        tokens, labels = (sample[name].numpy().astype(np.int32) for name in ("tokens", "labels"))
        mask = sample["loss_mask"].numpy().astype(bool)
        # Megatron shows padding as token 0.
        for used in range(len(tokens) - 1, 0, -1):
            targets = rows.get(tokens[:used].tobytes())
            if targets is not None:
                found += 1
                assert labels[:used].tolist() == targets.tolist() and mask[:used].all()
                assert mask[used + 1 : -1].sum() == 0 if used < ROW_TOKENS else True
                break
    assert found == NUM_ROWS - 1  # Megatron makes one sample fewer than there are rows


def test_two_parts_are_the_rows_of_one(opened, tokenizer, tmp_path):
    loader = opened()
    whole = bake(loader, tokenizer, tmp_path / "whole", 30)
    first = bake(loader, tokenizer, tmp_path / "first", 13)
    second = bake(loader, tokenizer, tmp_path / "second", 17, LoaderState.from_json(first.next))
    parts = [(tmp_path / name / "rows.bin").read_bytes() for name in ("first", "second", "whole")]
    assert parts[0] + parts[1] == parts[2]
    assert second.first_row == 13 and second.next == whole.next
    assert (tmp_path / "whole" / "tokenizer" / "tokenizer.json").is_file()


def test_what_megatron_cannot_train_on_is_refused(opened, tokenizer, tmp_path):
    for override, words in {
        "data.document_mask=true": "data.document_mask is true and data.positions continue, but Megatron",
        "data.positions=restart": "data.positions restart, but Megatron",
        "objectives=[{name: prefix_lm, weight: 1, bidirectional: false}]": "without loss in examples of "
        "objective prefix_lm; leave",
        "objectives.1.loss_on_sentinels=false": "in examples of objective infill; leave",
        "objectives.0.mode_token=<unused_0>": "in examples of objective causal; leave",
    }.items():
        with pytest.raises(InputError, match=words):
            bake(opened(override), tokenizer, tmp_path / "out", NUM_ROWS)
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_rows_are_too_few_or_the_place_is_taken(opened, tokenizer, tmp_path):
    with pytest.raises(
        EndOfDataError, match=r"there are [0-9]+ rows and not 1,000,000: .* ask for [0-9]+ rows"
    ):
        bake(
            opened("data.sources.0.max_epochs=1", "data.sources.1.max_epochs=1"),
            tokenizer,
            tmp_path / "o",
            10**6,
        )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="taken is not empty; choose another folder"):
        bake(opened(), tokenizer, tmp_path / "taken", 3)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match=r"baked\.json does not exist"):
        Baked.load(tmp_path / "taken")
