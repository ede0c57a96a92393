"""Tokenized files that do not fit each other or their tokenizer are refused with the numbers."""

import struct
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models

from spanmix.text.dropped import EMPTY, NOT_UTF8, SPECIAL_INSIDE, Dropped
from spanmix.types import Document

# ---- tokenizers


def test_what_a_tokenizer_cannot_say_is_dropped(tmp_path, foreign):
    inner = foreign.make_metaspace()
    inner.save(str(tmp_path / "tokenizer.json"))
    written = [inner.encode(text).ids for text in ("a b  c", "aXb", "X")]
    path = foreign.write_ds(tmp_path / "x.ds", [[*ids, 1] for ids in written])
    items = [Document("a b  c", "web", ""), Dropped("", SPECIAL_INSIDE), Dropped("", EMPTY)]
    assert foreign.read(tmp_path, path) == foreign.placed(items, path)


def test_added_tokens_that_are_text_stand_for_themselves(tmp_path, foreign):
    inner = foreign.make_byte_level(300)
    inner.add_tokens(["é!", "    ", "<b>"])  # the library itself takes é for a byte
    inner.save(str(tmp_path / "tokenizer.json"))
    text = "é!é    <b>x"
    ids = inner.encode(text).ids
    assert {inner.token_to_id(added) for added in ("é!", "    ", "<b>")} <= {*ids}
    path = foreign.write_ds(tmp_path / "x.ds", [ids])
    assert foreign.read(tmp_path, path) == [Document(text, "web", f"{path.name}:1")]


def test_a_document_cut_at_its_start(tmp_path, saved, foreign):
    for kind in ("bytes", "llama"):
        ids = foreign.ids_of(kind, "𝄞x")
        path = foreign.write_ds(tmp_path / f"{kind}.ds", [ids[-4:], foreign.ids_of(kind, "x")])
        assert foreign.read(saved[kind], path) == foreign.placed(
            [Dropped("", NOT_UTF8), Document("x", "web", "")], path
        )


def test_pieces_of_a_long_document_are_taken(tmp_path, saved, foreign):
    text = "abXYZ(def)" * 12
    for kind in foreign.FOREIGN:
        ids = foreign.ids_of(kind, text)
        pieces = [ids[i : i + 17] for i in range(3, len(ids) - 17, 17)]
        path = foreign.write_ds(tmp_path / f"{kind}.ds", pieces)
        # Llama's kind would put a blank in front of each.
        found = [item.text for item in foreign.read(saved[kind], path)]
        assert len(found) > 2 and "".join(found) in text


def test_another_tokenizer_is_refused(tmp_path, saved, foreign):
    path = foreign.write_ds(
        tmp_path / "x.ds", [foreign.ids_of("gpt2", foreign.CODE), [], foreign.ids_of("gpt2", "add(a)")]
    )
    assert f"{saved['llama']} does not belong to {path}: it makes other ids" in foreign.refusal(
        saved["llama"], path
    )
    # Every id is known here, and every text is UTF-8.
    vocab = {piece: i for i, piece in enumerate("abcdefgh")} | {"ab": 8, "gh": 9}
    other = tokenizers.Tokenizer(models.BPE(vocab, [("a", "b"), ("g", "h")]))
    other.decoder = decoders.Fuse()
    other.save(str(tmp_path / "tokenizer.json"))
    for others, refused in (([[8]], False), ([[5, 0]], False), ([], True)):
        path = foreign.write_ds(tmp_path / "y.ds", [[0, 1, 5], [], [3, 6, 7], *others], size=4)
        if refused:
            said = foreign.refusal(tmp_path, path)
            assert f"does not belong to {path}" in said and "each of the first 2 documents" in said
        else:
            assert foreign.read(tmp_path, path)[0] == Document("abf", "web", f"{path.name}:1")


@pytest.mark.parametrize("right", [0, 19, 20])
def test_one_of_the_first_twenty_documents_is_enough(tmp_path, saved, right, foreign):
    letters = [foreign.ids_of("bytes", "def add")] * 30  # what merges would have made shorter
    letters[right] = foreign.ids_of("gpt2", "def add")
    path = foreign.write_ds(tmp_path / "x.ds", [[], *letters])
    if right < 20:
        found = foreign.read(saved["gpt2"], path)
        assert found[0].reason == EMPTY and {item.text for item in found[1:]} == {"def add"}
    else:
        assert "first 20 documents" in foreign.refusal(saved["gpt2"], path)


def test_an_id_outside_the_vocabulary_is_refused(tmp_path, saved, foreign):
    size = foreign.FOREIGN["gpt2"].get_vocab_size()
    documents = [foreign.ids_of("gpt2", "a"), [5, size, size + 1]]
    for path in (
        foreign.write_ds(tmp_path / "x.ds", documents),
        foreign.write_megatron(tmp_path / "x.bin", [[ids] for ids in documents]),
    ):
        said = foreign.refusal(saved["gpt2"], path)
        assert f"source web: {path}:2 holds the id {size}, and the {size} entries of {saved['gpt2']}" in said
    path = foreign.write_megatron(tmp_path / "y.bin", [[[5, -3]]], code=2)
    assert f"{path}:1 holds the id -3" in foreign.refusal(saved["gpt2"], path)


def test_an_id_in_a_gap_of_the_vocabulary_is_refused(tmp_path, foreign):
    inner = tokenizers.Tokenizer(models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    inner.save(str(tmp_path / "tokenizer.json"))
    path = foreign.write_ds(tmp_path / "x.ds", [[0], [5, 3]])
    assert "x.ds:2 holds the id 3, and the 6 entries" in foreign.refusal(tmp_path, path)


def test_tokenizers_that_cannot_be_used_are_refused(tmp_path, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [[1]])
    assert "corpus.sources.tokenizer: " in foreign.refusal(tmp_path, path)
    assert "tokenizer.json does not exist" in foreign.refusal(tmp_path, path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "cannot be read" in foreign.refusal(tmp_path, path)
    inner = foreign.make_byte_level(300)
    inner.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    inner.save(str(tmp_path / "tokenizer.json"))
    assert "its decoder has Strip beside ByteLevel" in foreign.refusal(tmp_path, path)
    inner.decoder = decoders.Sequence([decoders.Fuse(), decoders.ByteLevel()])
    inner.save(str(tmp_path / "tokenizer.json"))
    assert len(foreign.read(tmp_path, foreign.write_ds(tmp_path / "x.ds", [inner.encode("a\nb").ids]))) == 1


# ---- datatrove's files


def test_datatrove_files_that_disagree_are_refused(tmp_path, saved, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [foreign.ids_of("gpt2", "abX"), foreign.ids_of("gpt2", "Y")])
    whole, ends = path.read_bytes(), Path(f"{path}.index").read_bytes()
    assert len(foreign.read(saved["gpt2"], path)) == 2
    for size in (0, 1, 7, 9, 15, 17, 32):
        path.write_bytes(bytes(size))
        assert f"{path} has {size} bytes; the 4 ids of its index take 8 or 16" in foreign.refusal(
            saved["gpt2"], path
        )
    path.write_bytes(whole)
    index = Path(f"{path}.index")
    index.write_bytes(ends[:-1])
    assert f"{index} has 15 bytes, and 8 for each document" in foreign.refusal(saved["gpt2"], path)
    index.write_bytes(struct.pack("<3Q", 3, 2, 4))
    assert f"{index}: document 2 ends at id 2, in front of the one before, at 3" in foreign.refusal(
        saved["gpt2"], path
    )
    index.write_bytes(b"")
    assert "has 8 bytes; the 0 ids of its index take 0 or 0" in foreign.refusal(saved["gpt2"], path)
    index.unlink()
    assert f"{path} has no x.ds.index beside it" in foreign.refusal(saved["gpt2"], path)
    assert "save_index=True, the default of datatrove's DocumentTokenizer" in foreign.refusal(
        saved["gpt2"], path
    )


def test_datatrove_metadata_has_to_agree(tmp_path, saved, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [foreign.ids_of("gpt2", "abX")], size=4)
    metadata = Path(f"{path}.metadata")
    for text in ("gpt2|4\n3\n3 T", "Unknown Tokenizer|4|4\n3\n3 T"):
        metadata.write_text(text)
        assert [item.text for item in foreign.read(saved["gpt2"], path)] == ["abX"]
    metadata.write_text("gpt2|2\n3\n3 T")
    said = "names 3 ids of 2 bytes; x.ds and its index have 3 of 4. They do not belong together"
    assert f"{metadata} {said}" in foreign.refusal(saved["gpt2"], path)
    metadata.write_text("gpt2|4\n5000\n5 kT")
    assert "names 5,000 ids of 4 bytes" in foreign.refusal(saved["gpt2"], path)
    for text in ("", "gpt2|4", "gpt2\n3"):
        metadata.write_text(text)
        assert f"{metadata} does not hold the bytes of an id" in foreign.refusal(saved["gpt2"], path)


def test_tokens_without_loss_are_refused(tmp_path, saved, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [foreign.ids_of("gpt2", "abX"), foreign.ids_of("gpt2", "Y")])
    loss = Path(f"{path}.loss")
    loss.write_bytes(b"\1\1\1\1")
    assert len(foreign.read(saved["gpt2"], path)) == 2
    loss.write_bytes(b"\0\1\0\1")
    assert f"{loss}: 2 of 4 ids carry no loss, which a corpus cannot keep" in foreign.refusal(
        saved["gpt2"], path
    )
    loss.write_bytes(b"\1\1\1")
    assert f"{loss} has 3 bytes for 4 ids" in foreign.refusal(saved["gpt2"], path)


def test_an_empty_datatrove_file_has_no_documents(tmp_path, saved, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [])
    for text in (None, "gpt2|4\n0\n0 T"):
        if text:
            Path(f"{path}.metadata").write_text(text)
        assert foreign.read(saved["gpt2"], path) == []


# ---- Megatron-Core's files


def test_every_damage_to_a_megatron_file_is_refused(tmp_path, saved, foreign):
    path = foreign.write_megatron(
        tmp_path / "x.bin", [[foreign.ids_of("gpt2", "ab"), [0]], [foreign.ids_of("gpt2", "Y")]], code=5
    )
    index = path.with_suffix(".idx")
    refused = 0
    for file in (path, index):
        whole = file.read_bytes()
        for size in range(len(whole)):
            file.write_bytes(whole[:size])
            assert f"{file} has {size} bytes" in foreign.refusal(saved["gpt2"], path)
            refused += 1
        file.write_bytes(whole)
    assert refused > 100
    whole = index.read_bytes()
    for code in (0, 6, 7, 9):  # 6 and 7 are floats
        index.write_bytes(whole[:17] + bytes([code]) + whole[18:])
        said = "uint16, int32, int64, int16, uint8 or int8 ids"
        assert said in (text := foreign.refusal(saved["gpt2"], path)) and f"kind {code}" in text
    index.write_bytes(whole[:17] + b"\4" + whole[18:])
    assert "x.bin has 32 bytes; its index describes 16" in foreign.refusal(saved["gpt2"], path)
    bounds = struct.pack("<3q", 0, 3, 2)
    index.write_bytes(whole[: -len(bounds)] + bounds)
    assert "table of documents does not cover its 3 sequences" in foreign.refusal(saved["gpt2"], path)
    index.unlink()
    assert f"{path} has no x.idx beside it" in foreign.refusal(saved["gpt2"], path)
