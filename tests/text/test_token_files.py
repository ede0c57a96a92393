"""Files that others tokenized give the text that was tokenized, or a reason that is counted."""

import dataclasses
import struct
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.text.corpus import Corpus
from spanmix.text.dropped import BINARY, EMPTY, NOT_UTF8, SPECIAL_INSIDE, UNREADABLE, Dropped
from spanmix.text.pipeline import prepare
from spanmix.text.preparation.inputs import hash_input, list_inputs
from spanmix.text.preparation.made_of import settings_text
from spanmix.text.preparation.partitions import list_partitions
from spanmix.text.readers.files import list_files
from spanmix.types import Document

LIMIT = 120
EOT = "<|endoftext|>"
CODES = [1, 2, 3, 4, 5, 8, "ds2", "ds4"]
"""Megatron-Core's codes of integers, and datatrove's two sizes."""

WIDE = [
    "𝄞",
    "漢",
    "é",
    "\ufffd",
    "ä",
    "\u2028",
    EOT,
    EOT,
    "</s>",
    "</s>",
    "<0x41>",
    "\r\n",
    "\t",
    "  ",
    "def ",
    "\0",
]
words = st.one_of(st.sampled_from([*"abdef XYZ()", *WIDE]), st.characters(exclude_categories=["Cs"]))
texts = st.lists(words, max_size=12).map("".join)
narrow = st.text("abXYZ!", max_size=12)


@st.composite
def documents(draw, foreign, kind, body):
    """Ids as somebody's pipeline wrote them, with the text or the reason that shall come out."""
    ids_of = foreign.ids_of
    shape = draw(st.sampled_from(["plain"] * 4 + ["empty", "blank", "cut", "special", "long"]))
    text = draw(body).replace("▁", "")  # Llama's kind has no other way to write a blank
    ids = ids_of(kind, text)
    expected = text
    if shape == "empty":
        ids, expected = [], None
    elif shape == "blank":
        ids, expected = ids_of(kind, "  "), "  "
    elif shape == "cut":
        ids, expected = ids_of(kind, text + "x𝄞")[: -draw(st.integers(1, 3))], NOT_UTF8
    elif shape == "special":
        eod = foreign.BOS_EOD[kind][1]
        ids, expected = [*ids_of(kind, "a"), eod, *ids_of(kind, "b")], SPECIAL_INSIDE
    elif shape == "long":
        ids, expected = ids_of(kind, "a" * (LIMIT + 1)), f"longer than {LIMIT} bytes"
    if shape in ("plain", "blank", "empty"):
        if len((expected or "").encode()) > LIMIT:
            expected = f"longer than {LIMIT} bytes"
        elif "\0" in (expected or ""):
            shape, expected = "binary", BINARY
        elif not expected or expected.isspace():
            expected = EMPTY
        else:
            return shape, ids, Document(expected, "web", "")
    return shape, ids, Dropped("", expected)


@st.composite
def files(draw, foreign, codes=CODES):
    """A tokenized file's format, kind of ids, documents and what shall come out."""
    code = draw(st.sampled_from(codes))
    kind = "bytes" if code in (1, 2) else draw(st.sampled_from(sorted(foreign.FOREIGN)))
    found = draw(st.lists(documents(foreign, kind, narrow if code in (1, 2) else texts), max_size=6))
    if code in (1, 2):  # one byte an id holds no bytes of 𝄞
        found = [item for item in found if max(item[1], default=0) < {1: 256, 2: 128}[code]]
    bos, eod = draw(st.tuples(st.booleans(), st.integers(0, 3)))
    first, last = foreign.BOS_EOD[kind]
    whole = [[first] * bos + ids + [last] * eod for _, ids, _ in found]
    cuts = draw(st.lists(st.integers(0, 6), max_size=2))
    return code, kind, [shape for shape, _, _ in found], whole, cuts, [item for _, _, item in found], eod


def split(ids, cuts):
    """Cut ids into sequences; without ids there may be none."""
    bounds = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    return [ids[a:b] for a, b in pairwise(bounds)] if ids or cuts else []


def write_any(foreign, folder, code, whole, cuts):
    if isinstance(code, str):
        return foreign.write_ds(folder / "x.ds", whole, int(code[2:]))
    return foreign.write_megatron(folder / "x.bin", [split(ids, cuts) for ids in whole], code)


def test_every_document_comes_back_or_has_its_reason(tmp_path_factory, saved, foreign):
    met: Counter[str] = Counter()

    def check(case):
        code, kind, shapes, whole, cuts, expected, eod = case
        path = write_any(foreign, tmp_path_factory.mktemp("x"), code, whole, cuts)
        assert foreign.read(saved[kind], path) == foreign.placed(expected, path)
        met.update({f"ids {code}", f"tokenizer {kind}", *shapes})
        met["several sequences"] += not isinstance(code, str) and bool(cuts and whole)
        met["document of no sequence"] += not isinstance(code, str) and not cuts and [] in whole
        met["no EOD"] += not eod
        met["two EOD"] += eod == 2
        met["no documents"] += not whole
        taken = "".join(item.text for item in expected if isinstance(item, Document))
        met["U+FFFD in a text"] += "\ufffd" in taken
        met["special string in a text"] += EOT in taken or "</s>" in taken
        met["beyond ASCII"] += not taken.isascii()

    for code in CODES:
        some = settings(max_examples=settings().max_examples // 4)
        some(given(files(foreign, [code]))(check))()
    shapes = {"plain", "empty", "blank", "cut", "special", "long", "binary"}
    assert shapes | {f"ids {code}" for code in CODES} <= met.keys()
    assert len(met) == 26 and min(met.values()) >= 5, met


def test_prepare_makes_a_corpus_of_their_text(tmp_path_factory, saved, tokenizer, foreign):
    ours = tmp_path_factory.mktemp("ours")
    tokenizer.save(ours)
    met: Counter[str] = Counter()

    datatrove = [code for code in CODES if isinstance(code, str)]
    megatron = [code for code in CODES if code not in datatrove]

    @settings(max_examples=40)
    @given(st.tuples(files(foreign, datatrove), files(foreign, megatron)))
    def check(cases):
        folder = tmp_path_factory.mktemp("x")
        sources, expected = [], set()
        for name, (code, kind, _, whole, cuts, items, eod) in zip("ab", cases, strict=True):
            (folder / name).mkdir()
            proof = foreign.ids_of(kind, f"abXYZ{name}")
            path = write_any(foreign, folder / name, code, [*whole, proof], cuts)
            sources.append(SourceFilesConfig(name, (str(path.parent),), tokenizer=saved[kind]))
            expected |= {item.text for item in items if isinstance(item, Document)} | {f"abXYZ{name}"}
            met["ds" if path.suffix == ".ds" else "bin"] += 1
            met["dropped"] += any(isinstance(item, Dropped) for item in items)
            met["no EOD"] += not eod
        config = CorpusConfig("", tuple(sources), held_out_share=0.3, max_document_bytes=LIMIT)
        prepare(config, TokenizerConfig(path=str(ours)), folder / "out")
        corpus = Corpus.open(folder / "out")
        sides = [side for name in "ab" for side in (corpus.train[name], corpus.held_out[name])]
        texts = [side.text(i) for side in sides for i in range(len(side))]
        assert len(texts) == len(set(texts)) and set(texts) == expected
        met["held out"] += any(map(len, sides[1::2]))
        met["many texts"] += len(texts) > 4

    check()
    assert len(met) == 6 and min(met.values()) >= 5, met


def test_a_corpus_of_ours_is_read_with_its_tokenizer(tmp_path, corpus_folder, foreign):
    corpus = Corpus.open(corpus_folder)
    found = foreign.read(corpus_folder / "tokenizer", corpus_folder, include=("code.bin",), limit=10**6)
    train = corpus.train["code"]
    assert [item.text for item in found] == [train.text(i) for i in range(len(train))]
    assert len(found) > 10


def test_a_file_is_never_loaded(tmp_path, saved, foreign):
    path, million = tmp_path / "x.ds", 1_000_000
    np.concatenate([np.full(8 * million, 5), np.zeros(8 * million), [5]]).astype("<u2").tofile(path)
    Path(f"{path}.index").write_bytes(struct.pack("<3Q", 8 * million, 16 * million, 16 * million + 1))
    tracemalloc.start()
    found = foreign.read(saved["gpt2"], path, limit=million)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [getattr(item, "reason", "") for item in found] == ["longer than 1,000,000 bytes", EMPTY, ""]
    assert most < 4 * million < path.stat().st_size / 4


# ---- which files are taken


def test_a_folder_gives_its_tokenized_files(tmp_path, saved, foreign):
    (tmp_path / "b").mkdir()
    for name in ("a.ds", "b/c.ds"):
        foreign.write_ds(tmp_path / name, [foreign.ids_of("gpt2", f"abX{name}")])
    foreign.write_megatron(tmp_path / "b" / "v1.2.bin", [[foreign.ids_of("gpt2", "abXbin")]])
    (tmp_path / "pytorch_model.bin").write_bytes(b"\0")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "z.ds").symlink_to(tmp_path / "nowhere")
    Path(f"{tmp_path}/a.ds.metadata").write_text("gpt2|2\n7\n")
    found = foreign.read(saved["gpt2"], tmp_path, follow_links=True)
    names = ["a.ds:1", "b/c.ds:1", "b/v1.2.bin:1", "z.ds"]
    assert [item.path for item in found] == [f"{tmp_path.name}/{name}" for name in names]
    assert found[-1].reason == UNREADABLE
    *same, left = foreign.read(saved["gpt2"], tmp_path)
    assert same == found[:-1] and (left.path, left.reason) == (found[-1].path, "symbolic link")
    assert [item.text for item in foreign.read(saved["gpt2"], tmp_path, include=("*.bin",))] == ["abXbin"]
    assert [item.text for item in foreign.read(saved["gpt2"], tmp_path, include=("b/*.ds",))] == ["abXb/c.ds"]
    said = "is no .ds or .bin file; leave out tokenizer, or name tokenized files"
    assert f"source web: {tmp_path}/notes.txt {said}" in foreign.refusal(
        saved["gpt2"], tmp_path / "notes.txt"
    )
    assert "does not exist" in foreign.refusal(saved["gpt2"], tmp_path / "nowhere.ds")


def test_a_prompt_field_is_refused(tmp_path, saved, foreign):
    path = foreign.write_ds(tmp_path / "x.ds", [foreign.ids_of("gpt2", "abX")])
    said = "source web: tokenized files have no field 'question'; leave out prompt_field, or tokenizer"
    assert foreign.refusal(saved["gpt2"], path, prompt_field="question") == said


def watched_now(config):
    """What a corpus would be made of."""
    listed = list_inputs(config, list_partitions(config))
    return [dataclasses.replace(item.known, sha256=hash_input(item)) for item in listed]


def test_every_file_that_decides_is_watched(tmp_path, foreign):
    inner = foreign.make_byte_level(300)
    inner.save(str(tmp_path / "tokenizer.json"))
    data = tmp_path / "data"
    data.mkdir()
    foreign.write_ds(data / "x.ds", [inner.encode("abX").ids])
    foreign.write_megatron(data / "y.bin", [[inner.encode("abY").ids]])
    for ending, content in (("metadata", b"gpt2|2\n3\n"), ("loss", b"\1\1\1")):
        (data / f"x.ds.{ending}").write_bytes(content)
    config = CorpusConfig("out", (foreign.source(tmp_path, data),))
    partitions = list_partitions(config)
    seen = [watched_now(config)]
    listed = sum(partition.num_bytes for partition in partitions)
    assert listed == sum((data / name).stat().st_size for name in ("x.ds", "y.bin"))
    watched = sorted(data.iterdir())
    assert len(watched) == 6
    for file in watched:
        data = file.read_bytes()
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        seen.append(watched_now(config))
    assert len(set(map(tuple, seen))) == 7
    assert {row.path for row in seen[0]} == {f"data/{file.name}" for file in watched}
    before = settings_text(config, TokenizerConfig(), None, {})
    inner.add_tokens(["more"])
    inner.save(str(tmp_path / "tokenizer.json"))
    assert settings_text(config, TokenizerConfig(), None, {}) != before
    listed = list(list_files(config.sources[0]))
    assert [len(file.beside) for file in listed] == [3, 1]
