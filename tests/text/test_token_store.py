"""Token stores are Megatron-Core's indexed datasets, whole or refused."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.text.token_store import TokenStore, TokenStoreWriter

EOD = 7


def write(prefix, documents, vocab_size=1024, eod=EOD):
    with TokenStoreWriter(prefix, vocab_size, eod) as writer:
        for ids in documents:
            writer.add(np.array(ids, dtype=np.int32))


def read_independently(prefix):
    """Megatron-Core's layout, from its description alone."""
    data = prefix.with_suffix(".idx").read_bytes()
    assert data[:9] == b"MMIDIDX\x00\x00"
    version, code, sequences, entries = struct.unpack_from("<QBQQ", data, 9)
    assert version == 1
    form, itemsize = {8: ("H", 2), 4: ("i", 4)}[code]
    lengths = struct.unpack_from(f"<{sequences}i", data, 34)
    pointers = struct.unpack_from(f"<{sequences}q", data, 34 + 4 * sequences)
    bounds = struct.unpack_from(f"<{entries}q", data, 34 + 12 * sequences)
    assert len(data) == 34 + 12 * sequences + 8 * entries
    assert bounds == tuple(range(sequences + 1))
    ids = prefix.with_suffix(".bin").read_bytes()
    assert len(ids) == sum(lengths) * itemsize
    return [list(struct.unpack_from(f"<{n}{form}", ids, at)) for n, at in zip(lengths, pointers, strict=True)]


@given(
    documents=st.lists(st.lists(st.integers(0, 60_000), max_size=30), max_size=8),
    vocab_size=st.sampled_from([65_499, 65_500]),
)
def test_round_trip(tmp_path_factory, documents, vocab_size):
    prefix = tmp_path_factory.mktemp("store") / "code"
    write(prefix, documents, vocab_size)
    assert read_independently(prefix) == [[*ids, EOD] for ids in documents]
    store = TokenStore(prefix, EOD)
    assert [store[i].tolist() for i in range(len(store))] == documents
    assert store.num_tokens == sum(map(len, documents))
    assert store.lengths.tolist() == [len(ids) for ids in documents]


def test_kinds_and_bounds(tmp_path):
    write(tmp_path / "v1.2", [[70_000], []], vocab_size=70_016)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v1.2.bin", "v1.2.idx"]
    store = TokenStore(tmp_path / "v1.2", EOD)
    assert store[0].dtype == np.int32 and store[0].tolist() == [70_000] and store[1].tolist() == []
    for i in (-1, 2):
        with pytest.raises(IndexError):
            store[i]


def test_several_sequences_in_a_document_are_joined(tmp_path):
    ids = np.array([1, 2, 3, EOD, 4, EOD], dtype=np.uint16)
    (tmp_path / "m.bin").write_bytes(ids.tobytes())
    index = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, 3, 3)
    index += struct.pack("<3i3q3q", 2, 2, 2, 0, 4, 8, 0, 2, 3)
    (tmp_path / "m.idx").write_bytes(index)
    store = TokenStore(tmp_path / "m", EOD)
    assert [store[i].tolist() for i in range(2)] == [[1, 2, 3], [4]]


@pytest.mark.parametrize("ending", ["bin", "idx"])
def test_every_truncation_is_refused(tmp_path, ending):
    write(tmp_path / "code", [[1, 2, 3], [4, 5]])
    path = tmp_path / f"code.{ending}"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=rf"code\.{ending} has {size} bytes.* \d+"):
            TokenStore(tmp_path / "code", EOD)
    path.write_bytes(whole + b"\0")
    with pytest.raises(InputError, match=rf"code\.{ending} has {len(whole) + 1} bytes"):
        TokenStore(tmp_path / "code", EOD)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        TokenStore(tmp_path / "code", EOD)


def test_changed_index_is_refused(tmp_path):
    write(tmp_path / "code", [[1, 2, 3], [4, 5]])
    path = tmp_path / "code.idx"
    whole = path.read_bytes()
    refused = 0
    for at in range(len(whole)):
        for flip in (0x01, 0x80):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            with pytest.raises(InputError):
                TokenStore(tmp_path / "code", EOD)
            refused += 1
    assert refused == 2 * len(whole)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"EOD \(8\)"):
        TokenStore(tmp_path / "code", 8)


def test_nothing_is_left_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), TokenStoreWriter(tmp_path / "code", 1024, EOD) as writer:
        writer.add(np.array([1]))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
