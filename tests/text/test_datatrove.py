"""Files of datatrove's own writer are read as the texts that were tokenized."""

import numpy as np
import pytest
from datatrove.io import get_datafolder
from datatrove.pipeline.tokens.tokenizer import TokenizedFile

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.readers.source import read_source

TEXTS = [f"def f{i}(x):\n\treturn 'wörld' * {i}\n" for i in range(12)]


def write(folder, tokenizer, **kwargs):
    """A file of `TEXTS`, each ending with EOD, and the place where datatrove put it."""
    file = TokenizedFile(str(folder), "00000.ds", tokenizer_name_or_path="ours", **kwargs)
    for text in TEXTS:
        ids = [*tokenizer.encode(text), tokenizer.control.eot]
        file.write(ids, np.ones(len(ids)) if file.save_loss_metadata else None)
    file.close()
    return file


def read(folder, tokenizer):
    tokenizer.save(folder / "tokenizer")
    source = SourceFilesConfig("web", (str(folder),), tokenizer=str(folder / "tokenizer"))
    return [item.text for item in read_source(source)]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize("loss", [False, True])
def test_what_it_writes_is_read(tmp_path, tokenizer, size, metadata, loss):
    write(tmp_path, tokenizer, token_size=size, save_final_metadata=metadata, save_loss_metadata=loss)
    assert (tmp_path / "00000.ds.metadata").exists() == metadata
    assert (tmp_path / "00000.ds.loss").exists() == loss
    assert read(tmp_path, tokenizer) == TEXTS


def test_a_shuffled_copy_and_its_parts_are_read(tmp_path, tokenizer):
    file = write(tmp_path / "a", tokenizer, token_size=4, save_final_metadata=True)
    order = np.random.default_rng(1).permutation(len(TEXTS))
    (tmp_path / "b").mkdir()
    file.copy("x", order, get_datafolder(str(tmp_path / "b")), max_tokens_per_file=100)
    assert len(list((tmp_path / "b").glob("*.ds"))) > 2
    assert read(tmp_path / "b", tokenizer) == [TEXTS[i] for i in order]


def test_without_its_index_it_is_refused(tmp_path, tokenizer):
    write(tmp_path, tokenizer, save_index=False)
    with pytest.raises(InputError, match=r"00000\.ds has no 00000\.ds\.index beside it.*save_index=True"):
        read(tmp_path, tokenizer)


def test_a_token_that_carries_no_loss_is_refused(tmp_path, tokenizer):
    file = TokenizedFile(str(tmp_path), "00000.ds", save_loss_metadata=True)
    file.write([1, 2, 3], np.array([0, 1, 1]))
    file.close()
    with pytest.raises(InputError, match=r"00000\.ds\.loss: 1 of 3 ids carry no loss"):
        read(tmp_path, tokenizer)
