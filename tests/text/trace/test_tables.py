"""The table that names the places of matches is checked before it names one."""

import shutil

import pyarrow.parquet
import pytest

from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex


def test_a_changed_table_names_no_place(corpus_folder, tmp_path):
    folder = shutil.copytree(corpus_folder, tmp_path / "corpus")
    build_index(folder)
    text = Corpus.open(folder).train["code"].text(0)
    (match, *_) = TraceIndex.open(folder).longest_matches(text)
    assert match.occurrences
    file = folder / "code.documents.parquet"
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table.take(list(range(len(table)))[::-1]), file)
    index = TraceIndex.open(folder)
    assert index.spans(text)  # no place is named
    with pytest.raises(InputError, match=r"was changed: code\.documents\.parquet has .*Restore"):
        index.longest_matches(text)
