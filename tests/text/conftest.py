"""What the tests of tokenized files share: others' tokenizers, and writers of the published layouts."""

import string
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.readers.source import read_source

LIMIT = 120
EOT = "<|endoftext|>"
CODE = "def add(a, b):\n    return a + b\n"
FORM_OF_CODE = {1: "B", 2: "b", 3: "h", 4: "i", 5: "q", 8: "H"}


def make_byte_level(vocab_size, **kwargs):
    """GPT-2's kind; with 258 entries it has bytes alone."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **kwargs)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [EOT, "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator([CODE * 5], trainer)
    return inner


def make_llama():
    """Llama's kind: a blank put in front, pieces with ▁, and bytes for every other character."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "ä"]
    pieces += [c for c in string.printable if c.isprintable() and c != " "] + [
        "de",
        "def",
        "▁def",
        "▁a",
        "▁▁",
    ]
    merges = [("d", "e"), ("de", "f"), ("▁", "def"), ("▁", "a"), ("▁", "▁")]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    inner = tokenizers.Tokenizer(
        models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    inner.add_special_tokens(["<unk>", "<s>", "</s>"])
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


def make_metaspace():
    """Pieces without bytes: what is not in the vocabulary is <unk>."""
    pieces = ["<unk>", "</s>", "▁", *string.ascii_lowercase]
    inner = tokenizers.Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>")
    )
    inner.add_special_tokens(["<unk>", "</s>"])
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    inner.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    return inner


FOREIGN = {"gpt2": make_byte_level(300), "bytes": make_byte_level(258), "llama": make_llama()}
BOS_EOD = {"gpt2": (0, 0), "bytes": (1, 0), "llama": (1, 2)}
for _inner in FOREIGN.values():
    _inner.encode_special_tokens = True


def ids_of(kind, text):
    return FOREIGN[kind].encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The path of each foreign tokenizer, as a file or as a folder that holds it."""
    folder = tmp_path_factory.mktemp("tokenizers")
    paths = {}
    for kind, inner in FOREIGN.items():
        (folder / kind).mkdir()
        inner.enable_truncation(3)  # what a file may hold, and what must not count
        inner.enable_padding(length=9)
        inner.save(str(folder / kind / "tokenizer.json"))
        inner.no_truncation()
        inner.no_padding()
        paths[kind] = str(folder / kind / "tokenizer.json" if kind == "llama" else folder / kind)
    return paths


def write_ds(path, documents, size=2, form=None):
    """Write datatrove's two files, from their description alone."""
    form = form or {2: "H", 4: "I"}[size]
    ids = [i for document in documents for i in document]
    path.write_bytes(struct.pack(f"<{len(ids)}{form}", *ids))
    ends = np.cumsum([len(document) for document in documents]).tolist() if documents else []
    Path(f"{path}.index").write_bytes(struct.pack(f"<{len(ends)}Q", *ends))
    return path


def write_megatron(path, documents, code=4):
    """Write Megatron-Core's two files, from their description alone; a document is a list of sequences."""
    sequences = [sequence for document in documents for sequence in document]
    form = FORM_OF_CODE[code]
    lengths = [len(sequence) for sequence in sequences]
    starts = [sum(lengths[:i]) * struct.calcsize(form) for i in range(len(lengths))]
    bounds = [0, *np.cumsum([len(document) for document in documents]).tolist()] if documents else [0]
    path.write_bytes(b"".join(struct.pack(f"<{len(ids)}{form}", *ids) for ids in sequences))
    index = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, code, len(lengths), len(bounds))
    index += struct.pack(f"<{len(lengths)}i{len(starts)}q{len(bounds)}q", *lengths, *starts, *bounds)
    path.with_suffix(".idx").write_bytes(index)
    return path


def source(tokenizer, *paths, **kwargs):
    return SourceFilesConfig("web", tuple(map(str, paths)), tokenizer=str(tokenizer), **kwargs)


def read(tokenizer, *paths, limit=LIMIT, **kwargs):
    return list(read_source(source(tokenizer, *paths, **kwargs), limit))


def refusal(tokenizer, *paths, **kwargs):
    with pytest.raises(InputError) as caught:
        read(tokenizer, *paths, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def placed(items, path):
    return [
        type(item)(**vars(item) | {"path": f"{path.name}:{number}"})
        for number, item in enumerate(items, start=1)
    ]


@pytest.fixture(scope="session")
def foreign():
    """All of the above by its name."""
    return SimpleNamespace(**globals())
