"""Megatron-Core's own classes read what we write and write what we read, to the byte."""

import warnings
from itertools import chain
from types import ModuleType

import numpy as np
import pytest
import torch

from spanmix.config import SourceFilesConfig
from spanmix.text.readers.source import read_source
from spanmix.text.token_store import TokenStore, TokenStoreWriter

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EOD = 7
DOCUMENTS = [([], [1, 2, 3]), ([4, 5], [6]), ([], []), ([8, 9, 10], []), ([1], [60_000] * 50)]
"""Prompt and response; a document without a prompt is one sequence."""


@pytest.fixture(scope="module")
def megatron() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the GPU packages that it does without
        from megatron.core.datasets import indexed_dataset
    return indexed_dataset


def sequences(documents):
    """Each document's sequences, its EOD at the end of the last."""
    return [[prompt, [*rest, EOD]] if prompt else [[*rest, EOD]] for prompt, rest in documents]


def write_ours(prefix, documents, vocab_size):
    with TokenStoreWriter(prefix, vocab_size, EOD) as writer:
        for prompt, rest in documents:
            writer.add(np.array([*prompt, *rest], dtype=np.int32), len(prompt))


def write_theirs(megatron, prefix, documents, kind):
    """Both ways that its builder has: sequence by sequence, and a document at once."""
    builder = megatron.IndexedDatasetBuilder(f"{prefix}.bin", dtype=kind)
    for number, parts in enumerate(sequences(documents)):
        if number % 2:
            for part in parts:
                builder.add_item(torch.tensor(part))
            builder.end_document()
        else:
            builder.add_document(torch.tensor(list(chain(*parts))), [len(part) for part in parts])
    builder.finalize(f"{prefix}.idx")


@pytest.mark.parametrize("count", [0, 1, len(DOCUMENTS)])
@pytest.mark.parametrize(("vocab_size", "kind"), [(65_499, np.uint16), (65_500, np.int32)])
def test_the_same_documents_are_the_same_bytes_and_read_alike(tmp_path, megatron, vocab_size, kind, count):
    documents = DOCUMENTS[:count]
    assert megatron.DType.optimal_dtype(vocab_size) is kind
    write_ours(tmp_path / "ours", documents, vocab_size)
    write_theirs(megatron, tmp_path / "theirs", documents, kind)
    for ending in ("bin", "idx"):
        ours, theirs = (tmp_path / f"{name}.{ending}" for name in ("ours", "theirs"))
        assert ours.read_bytes() == theirs.read_bytes()

    # An empty file cannot be mapped, there as here; it reads it without.
    dataset = megatron.IndexedDataset(str(tmp_path / "ours"), mmap=count > 0)
    expected = [part for parts in sequences(documents) for part in parts]
    assert [dataset[i].tolist() for i in range(len(dataset))] == expected
    assert all(dataset[i].dtype == kind for i in range(len(dataset)))
    bounds = np.cumsum([0, *(len(parts) for parts in sequences(documents))])
    assert dataset.document_indices.tolist() == bounds.tolist()

    store = TokenStore(tmp_path / "theirs", EOD)
    assert [store[i].tolist() for i in range(len(store))] == [[*prompt, *rest] for prompt, rest in documents]
    assert [store.num_prompt_tokens(i) for i in range(len(store))] == [len(prompt) for prompt, _ in documents]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint16])
def test_its_files_of_every_kind_are_a_source(tmp_path, megatron, tokenizer, kind):
    tokenizer.save(tmp_path)
    texts = ["x", "(X)", "f!"]
    ids = [tokenizer.encode(text) for text in texts]
    assert max(map(max, ids)) < 128 < 256 < tokenizer.control.eot
    builder = megatron.IndexedDatasetBuilder(str(tmp_path / "x.bin"), dtype=kind)
    builder.end_document()  # a document of no sequence
    for document in ids:
        for i in document:
            builder.add_item(torch.tensor([i]))
        if np.dtype(kind).itemsize > 1:
            builder.add_item(torch.tensor([tokenizer.control.eot]))
        builder.end_document()
    builder.finalize(str(tmp_path / "x.idx"))
    source = SourceFilesConfig("web", (str(tmp_path / "x.bin"),), tokenizer=str(tmp_path))
    empty, *found = read_source(source)
    assert empty.reason == "empty" and [item.text for item in found] == texts
