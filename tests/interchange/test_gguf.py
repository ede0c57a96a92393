"""GGUF files: the source's numbers and tokens, by code that knows llama.cpp's published graphs only."""

import itertools
import json
import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import regex
import torch
from gguf import GGUFReader, TokenType
from safetensors.torch import load_file, save_file

from spanmix.cli import main
from spanmix.errors import InputError, SpanmixError
from spanmix.interchange.convert import convert
from spanmix.interchange.gguf import weights as gguf_weights
from spanmix.interchange.gguf.metadata import add_metadata, read_prompting
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.tokenizers import codegen1_tokenizer, codegen2_tokenizer, codegen25_tokenizer
from spanmix.model import native
from spanmix.model.architecture import Architecture
from spanmix.model.folder import save_model_folder
from spanmix.model.masks import AttentionMask
from spanmix.model.prompting import CODEGEN2_CARD, NO_INFILL, OURS, InfillPrompting, Prompting
from spanmix.text.tokenizer import Tokenizer

VOCAB = 384
KINDS = LAYOUTS["gguf"]
SPM = Prompting(
    ("<sep>",), InfillPrompting(("<mask_2>",), ("<mask_1>",), ("<sep>",), ("<|endoftext|>",), "spm", 3)
)
CODEGEN = {"layer_norm_epsilon": 3e-5, "hidden_dim": 160}
LLAMA = {"layer_norm_epsilon": 1e-6, "form": "llama", "hidden_dim": 96}
TEXTS = [
    "def add(a, b):\n    return a + b\n\n\n",
    "class A:\n\tdef f(self):\n\t\t\tx = 'naïve ☃ 日本語 🙂'\r\n" + " " * 45 + "deep\t\t\t\t\t\t\t\t\t\t\t.",
    "   a  b    c     \n  \n\t \t  x=1234567 # it's we'll   ",
    "<mask_1> and <|endoftext|><sep>  in a user's <eom> file <mask_2",
]


def export(source, dest, kind):
    return convert(str(source), dest, "gguf", kind)


@pytest.fixture(scope="module", params=["codegen", "llama"])
def decoder(request, make_decoder):
    rotary, form = (8, CODEGEN) if request.param == "codegen" else (16, LLAMA)
    return make_decoder(2, 64, 4, rotary, 96, vocab_size=VOCAB, **form)


@pytest.fixture(scope="module")
def folder(decoder, tokenizer, tmp_path_factory):
    return save_model_folder(tmp_path_factory.mktemp("native") / "mine", decoder, tokenizer, {})


@pytest.fixture(scope="module")
def exported(folder):
    """Exports once for each kind; the files are only read."""
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = folder.parent / f"{kind}.gguf"
            export(folder, made[kind], kind)
        return made[kind]

    return get


def numbers(reader):
    """Every tensor, widened to float64, in the shape that torch would give it."""
    return {
        tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float64)
        for tensor in reader.tensors
    }


def value(reader, key):
    return reader.fields[key].contents()


def rope(x_THC, num_rotated, halves):
    """Rotate the first channels: pairs (i, i + R / 2) as ggml's NeoX type does, or neighbors as NORM does."""
    out = x_THC.copy()
    for t in range(x_THC.shape[0]):
        for i in range(num_rotated // 2):
            angle = t * 10000.0 ** (-2 * i / num_rotated)
            a, b = (i, i + num_rotated // 2) if halves else (2 * i, 2 * i + 1)
            out[t, :, a] = x_THC[t, :, a] * np.cos(angle) - x_THC[t, :, b] * np.sin(angle)
            out[t, :, b] = x_THC[t, :, a] * np.sin(angle) + x_THC[t, :, b] * np.cos(angle)
    return out


def attention(w, name, h_TD, num_heads, rotate):
    q, k, v = (
        (h_TD @ w[f"{name}.attn_{part}.weight"].T + w.get(f"{name}.attn_{part}.bias", 0.0)).reshape(
            len(h_TD), num_heads, -1
        )
        for part in "qkv"
    )
    scores = np.einsum("thc,shc->hts", rotate(q), rotate(k)) / np.sqrt(q.shape[-1])
    scores[:, np.triu(np.ones(scores.shape[1:], dtype=bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    out = np.einsum("hts,shc->thc", weights, v).reshape(h_TD.shape)
    return out @ w[f"{name}.attn_output.weight"].T + w.get(f"{name}.attn_output.bias", 0.0)


def phi2(reader, ids):
    """llama.cpp's graph of the architecture phi2, in float64."""
    w, heads = numbers(reader), value(reader, "phi2.attention.head_count")
    rotated, epsilon = (
        value(reader, f"phi2.{key}") for key in ("rope.dimension_count", "attention.layer_norm_epsilon")
    )

    def norm(x, name):
        centered = x - x.mean(-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    x = w["token_embd.weight"][ids]
    for layer in range(value(reader, "phi2.block_count")):
        name = f"blk.{layer}"
        h = norm(x, f"{name}.attn_norm")
        up = gelu(h @ w[f"{name}.ffn_up.weight"].T + w[f"{name}.ffn_up.bias"])
        mlp = up @ w[f"{name}.ffn_down.weight"].T + w[f"{name}.ffn_down.bias"]
        x = x + mlp + attention(w, name, h, heads, lambda part: rope(part, rotated, halves=True))
    return norm(x, "output_norm") @ w["output.weight"].T + w["output.bias"]


def llama(reader, ids):
    """llama.cpp's graph of the architecture llama, in float64."""
    w, heads = numbers(reader), value(reader, "llama.attention.head_count")
    rotated, epsilon = (
        value(reader, f"llama.{key}") for key in ("rope.dimension_count", "attention.layer_norm_rms_epsilon")
    )

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * w[f"{name}.weight"]

    x = w["token_embd.weight"][ids]
    for layer in range(value(reader, "llama.block_count")):
        name = f"blk.{layer}"
        h = norm(x, f"{name}.attn_norm")
        x = x + attention(w, name, h, heads, lambda part: rope(part, rotated, halves=False))
        h = norm(x, f"{name}.ffn_norm")
        gate = h @ w[f"{name}.ffn_gate.weight"].T
        inner = gate / (1 + np.exp(-gate)) * (h @ w[f"{name}.ffn_up.weight"].T)
        x = x + inner @ w[f"{name}.ffn_down.weight"].T
    return norm(x, "output_norm") @ w["output.weight"].T


GRAPHS = {"phi2": phi2, "llama": llama}


@torch.inference_mode()
def logits_of(decoder, ids):
    mask = AttentionMask.causal(1, len(ids))
    hidden = decoder(torch.from_numpy(ids)[None], torch.arange(len(ids))[None], mask)
    return decoder.head(hidden)[0].double().numpy()


def test_llama_cpps_graph_gives_the_decoders_logits(decoder, exported):
    reader = GGUFReader(exported("f32"))
    ids = np.random.default_rng(1).integers(0, VOCAB, 40)
    theirs = GRAPHS[value(reader, "general.architecture")](reader, ids)
    ours = logits_of(decoder, ids)
    assert np.abs(ours - theirs).max() < 1e-4
    assert ours.std() > 1  # so that a wrong order of rows would show


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
def test_every_tensor_is_the_sources(decoder, folder, exported, kind):
    """The rows of queries and keys are told apart by their content, not by the exporter's permutation."""
    found = numbers(GGUFReader(exported(kind)))
    shape = decoder.architecture
    seen = 0
    for name, tensor in load_file(folder / "model.safetensors").items():
        theirs = found.pop(gguf_weights.gguf_name(name, shape.form))
        ours = as_stored(tensor.numpy(), kind)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            for head in np.split(np.arange(shape.dim), shape.num_heads):
                assert sorted(ours[head].tolist()) == sorted(theirs[head].tolist())
            assert not np.array_equal(ours, theirs)
        else:
            assert np.array_equal(ours, theirs)
        seen += 1
    assert seen > 15
    assert all(name.endswith(".bias") and not tensor.any() for name, tensor in found.items())
    assert len(found) == (8 if shape.form == "codegen" else 0)


def as_stored(array, kind):
    if array.ndim == 1 or kind == "f32":
        return array.astype(np.float64)
    if kind == "bf16":
        return torch.from_numpy(array).bfloat16().double().numpy()
    if kind == "f16":
        return array.astype(np.float16).astype(np.float64)
    blocks = array.reshape(-1, 32)
    scale = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    ratio = blocks / scale
    whole = np.sign(ratio) * np.floor(np.abs(ratio) + np.float32(0.5))  # ggml rounds halves away from zero
    return (whole * scale.astype(np.float16).astype(np.float64)).reshape(array.shape)


@pytest.mark.parametrize("layout", ["built_in", "codegen1", "codegen2", "gptj"])
def test_every_layout_gives_the_file_of_its_native_folder(published, tmp_path, layout):
    folder = published(layout).folder
    convert(str(folder), tmp_path / folder.name, "native")
    export(tmp_path / folder.name, tmp_path / "a.gguf", "f16")
    export(folder, tmp_path / "b.gguf", "f16")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_sizes_and_names(decoder, folder, exported):
    shape = decoder.architecture
    reader = GGUFReader(exported("q8_0"))
    arch = "phi2" if shape.form == "codegen" else "llama"
    expected = {
        "general.architecture": arch,
        "general.name": "mine",
        "general.file_type": 7,
        "general.quantization_version": 2,
        f"{arch}.context_length": 96,
        f"{arch}.embedding_length": 64,
        f"{arch}.feed_forward_length": shape.hidden_dim,
        f"{arch}.block_count": 2,
        f"{arch}.attention.head_count": 4,
        f"{arch}.attention.head_count_kv": 4,
        f"{arch}.rope.dimension_count": shape.rotary_dim,
        f"{arch}.rope.freq_base": 10000.0,
        f"{arch}.vocab_size": VOCAB,
    }
    assert {key: value(reader, key) for key in expected} == expected


def test_the_license_is_the_cards(make_decoder, tokenizer, tmp_path):
    folder = save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 32), tokenizer, {})
    for header, found in (
        ("---\nlicense: bsd-3-clause\n---\n", "bsd-3-clause"),
        ("---\nlicense: [\n---\n", None),
        ("# no header", None),
    ):
        (folder / "README.md").write_text(header)
        export(folder, tmp_path / "m.gguf", "f32")
        field = GGUFReader(tmp_path / "m.gguf").fields.get("general.license")
        assert (field.contents() if field else None) == found


WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
LETTERS = {byte: chr(byte) for byte in PRINTABLE} | {byte: chr(256 + i) for i, byte in enumerate(OTHERS)}


class LlamaCppTokens:
    """Tokenizes as llama.cpp does: added tokens first, the longest first, then GPT-2's words, then merges."""

    def __init__(self, fields):
        self.strings, self.types = (fields[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
        self.ids = {string: i for i, string in enumerate(self.strings)}
        merges = fields["tokenizer.ggml.merges"]
        self.ranks = {tuple(pair.split(" ")): i for i, pair in enumerate(merges)}

    def of(self, text, parse_controls):
        taken = [TokenType.USER_DEFINED, *([TokenType.CONTROL] if parse_controls else [])]
        added = [i for i, kind in enumerate(self.types) if kind in taken]
        parts = [text]
        for i in sorted(added, key=lambda i: -len(self.strings[i].encode())):
            parts = [piece for part in parts for piece in self.split(part, i) if piece != ""]
        return [i for part in parts for i in ([part] if isinstance(part, int) else self.merged(part))]

    def split(self, part, i):
        if isinstance(part, int) or self.strings[i] not in part:
            return [part]
        return [piece for text in part.split(self.strings[i]) for piece in (text, i)][:-1]

    def merged(self, text):
        found = []
        for word in regex.findall(WORDS, text):
            pieces = [LETTERS[byte] for byte in word.encode()]
            while len(pieces) > 1:
                pairs = list(itertools.pairwise(pieces))
                at = min(range(len(pairs)), key=lambda i: self.ranks.get(pairs[i], len(self.ranks)))
                if pairs[at] not in self.ranks:
                    break
                pieces[at : at + 2] = ["".join(pairs[at])]
            found += [self.ids[piece] for piece in pieces]
        return found


KINDS_OF_TOKENIZERS = {
    "ours": (lambda tiny: tiny, OURS),
    "codegen2": (lambda tiny: codegen2_tokenizer(), CODEGEN2_CARD),
    "codegen25": (lambda tiny: codegen25_tokenizer(), CODEGEN2_CARD),
    "nl": (lambda tiny: codegen1_tokenizer("nl"), NO_INFILL),
}


@dataclass(frozen=True)
class Asked:
    """A tokenizer and a prompting, with what the file says of them, which is faster than reading it."""

    tokenizer: Tokenizer
    prompting: Prompting
    fields: dict[str, object]
    sentences: list[str]


@pytest.fixture(scope="module", params=KINDS_OF_TOKENIZERS)
def asked(request, tokenizer, tmp_path_factory):
    make, prompting = KINDS_OF_TOKENIZERS[request.param]
    kind = make(tokenizer)
    shape = Architecture(1, 32, 2, 4, 32, kind.vocab_size)
    source = SimpleNamespace(
        path=tmp_path_factory.mktemp("kind"), shape=shape, tokenizer=kind, prompting=prompting
    )
    writer = gguf.GGUFWriter(None, "phi2")
    sentences = add_metadata(writer, source, "m", 0)
    fields = {key: value.value for key, value in writer.kv_data[0].items()}
    return Asked(kind, prompting, fields, sentences)


def test_the_file_says_what_it_was_told(folder, exported, decoder, tokenizer):
    reader = GGUFReader(exported("f32"))
    arch = value(reader, "general.architecture")
    writer = gguf.GGUFWriter(None, arch)
    source = SimpleNamespace(path=folder, shape=decoder.architecture, tokenizer=tokenizer, prompting=OURS)
    add_metadata(writer, source, "mine", 0)
    told = {key: field.value for key, field in writer.kv_data[0].items()}
    assert len(told) > 30
    for key, content in told.items():
        found = value(reader, key)
        if isinstance(content, tuple):
            content = list(content)
        assert found == (pytest.approx(content) if isinstance(content, float) else content), key


def test_the_tokens_are_the_tokenizers(asked):
    kind, inner = asked.tokenizer, asked.tokenizer._inner
    tokens = LlamaCppTokens(asked.fields)
    for text in TEXTS:
        ours = kind.encode(text)
        assert tokens.of(text, parse_controls=False) == ours
        assert not kind.is_control[ours].any()
    inner.encode_special_tokens = False
    controls = [inner.encode(text, add_special_tokens=False).ids for text in TEXTS]
    inner.encode_special_tokens = True
    if kind.controls_trained:
        assert [tokens.of(text, True) for text in TEXTS] == controls
        assert controls[-1] != kind.encode(TEXTS[-1])
    else:  # a control that was never trained comes from no text
        assert set(tokens.of(TEXTS[-1], True)) & kind.suppressed_ids == set()


def test_token_types(asked):
    kind = asked.tokenizer
    types = np.array(asked.fields["tokenizer.ggml.token_type"])
    strings = asked.fields["tokenizer.ggml.tokens"]
    assert len(strings) == len(set(strings)) == kind.vocab_size
    control = kind.control
    for i in (control.eot, control.pad):
        assert types[i] == TokenType.CONTROL
    trained = [control.sep, control.eom, *control.masks]
    assert set(types[trained]) == {TokenType.CONTROL if kind.controls_trained else TokenType.UNUSED}
    assert {*np.flatnonzero(types == TokenType.UNUSED)} == kind.suppressed_ids - {control.pad}
    runs = {strings[i] for i in np.flatnonzero(types == TokenType.USER_DEFINED)}
    assert runs == {text for text in runs if not text.strip(" ") or not text.strip("\t")}


def test_special_tokens_and_prompting(asked):
    kind, prompting, sentences = asked.tokenizer, asked.prompting, asked.sentences

    def token(name):
        return asked.fields.get(f"tokenizer.ggml.{name}")

    assert (token("model"), token("pre")) == ("gpt2", "gpt-2")
    assert (token("bos_token_id"), token("eos_token_id")) == (kind.control.eot, kind.control.eot)
    assert token("padding_token_id") == kind.control.pad
    assert token("eot_token_id") == (kind.control.eom if prompting.infill else None)
    assert token("add_bos_token") == bool(prompting.start)
    assert (token("add_eos_token"), token("add_space_prefix")) == (False, False)
    assert set(token("suppress_tokens")) == kind.suppressed_ids
    assert token("fim_pre_token_id") is None
    assert any("spanmix.infill" in sentence for sentence in sentences) == (prompting.infill is not None)


@pytest.mark.parametrize("prompting", [OURS, CODEGEN2_CARD, NO_INFILL, SPM])
def test_the_prompting_is_read_back(make_decoder, tokenizer, tmp_path, prompting):
    decoder = make_decoder(1, 32, 2, 4, 32)
    folder = save_model_folder(tmp_path / "m", decoder, tokenizer, {})
    config = native.config_json(decoder.architecture, tokenizer, "float32", prompting)
    (folder / "config.json").write_text(json.dumps(config))
    export(folder, tmp_path / "m.gguf", "bf16")
    assert read_prompting(GGUFReader(tmp_path / "m.gguf")) == prompting


def test_a_start_of_several_tokens_is_said(make_decoder, tokenizer, tmp_path):
    folder = save_model_folder(tmp_path / "m", make_decoder(1, 32, 2, 4, 32), tokenizer, {})
    config = json.loads((folder / "config.json").read_text())
    config["spanmix"]["start"] = ["<|endoftext|>", "<sep>"]
    (folder / "config.json").write_text(json.dumps(config))
    report = export(folder, tmp_path / "m.gguf", "f32")
    assert any("begin every prompt with <|endoftext|><sep>" in sentence for sentence in report.warnings)
    reader = GGUFReader(tmp_path / "m.gguf")
    assert value(reader, "tokenizer.ggml.add_bos_token") is False
    assert read_prompting(reader).start == ("<|endoftext|>", "<sep>")


def test_a_place_that_is_taken_stays(folder, tmp_path):
    (tmp_path / "notes.gguf").write_text("not a model")
    (tmp_path / "folder.gguf").mkdir()
    for name, reason in (
        ("notes.gguf", "is not a GGUF file"),
        ("folder.gguf", "is a folder"),
        ("m.bin", "does not end in .gguf"),
    ):
        with pytest.raises(InputError, match=reason):
            export(folder, tmp_path / name, "f32")
    with pytest.raises(InputError, match="q8_0"):
        export(folder, tmp_path / "m.gguf", "q8")
    assert (tmp_path / "notes.gguf").read_text() == "not a model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.gguf", "notes.gguf"]


@pytest.mark.parametrize(
    ("number", "kind", "reason"),
    [(70000.0, "f16", "numbers that f16 cannot"), (float("nan"), "f32", "NaN"), (1e7, "q8_0", "q8_0 cannot")],
)
def test_numbers_that_cannot_be_written(folder, exported, tmp_path, number, kind, reason):
    shutil.copytree(folder, tmp_path / "m")
    before = shutil.copy(exported("f32"), tmp_path / "m.gguf").read_bytes()
    tensors = load_file(tmp_path / "m" / "model.safetensors")
    tensors["lm_head.weight"][5, 6] = number
    save_file(tensors, tmp_path / "m" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=reason):
        export(tmp_path / "m", tmp_path / "m.gguf", kind)
    assert (tmp_path / "m.gguf").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "m.gguf"]


def test_widths_that_are_no_whole_blocks(make_decoder, tokenizer, tmp_path):
    folder = save_model_folder(tmp_path / "m", make_decoder(1, 48, 3, 8, 32), tokenizer, {})
    with pytest.raises(InputError, match="width 48"):
        export(folder, tmp_path / "m.gguf", "q8_0")
    export(folder, tmp_path / "m.gguf", "bf16")


def test_a_file_that_is_another_model_is_not_written(folder, tmp_path, monkeypatch):
    """What an export that forgot to turn the rows would have to be told."""
    monkeypatch.setattr("spanmix.interchange.gguf.target.turned", lambda name, tensor, shape: tensor)
    with pytest.raises(SpanmixError, match="would not be the same model"):
        export(folder, tmp_path / "m.gguf", "f32")
    assert list(tmp_path.iterdir()) == []


def test_only_rotated_rows_of_each_head_are_turned():
    shape = Architecture(1, 24, 2, 8, 8, 5)
    rows = torch.arange(24.0)[:, None]
    found = gguf_weights.turned("blk.0.attn_k.weight", rows, shape)[:, 0].tolist()
    assert found == [
        *[0, 2, 4, 6, 1, 3, 5, 7, 8, 9, 10, 11],
        *[12, 14, 16, 18, 13, 15, 17, 19, 20, 21, 22, 23],
    ]


def test_the_verb(folder, tmp_path, capsys):
    dest = tmp_path / "m.gguf"
    assert main(["convert", str(folder), str(dest), "--to", "gguf", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["stored_as"], report["num_bytes"]) == ("q8_0", dest.stat().st_size)
    assert report == json.loads((tmp_path / "m.gguf.export_report.json").read_text())
    assert "write the weights, bytes" in printed.err and "compare the models, blocks" in printed.err
    parity = report["parity"]
    assert parity["conversion"]["max_abs_difference"] < 1e-4 < parity["rounding"]["max_abs_difference"]
    before = dest.read_bytes()
    for extra in (["--quantization", "int8"], ["--dtype", "bf16"], ["--mp-num", "4"]):
        assert main(["convert", str(folder), str(dest), "--to", "gguf", *extra]) == 2
    assert main(["convert", str(folder), str(dest), "--to", "ctranslate2", "--quantization", "f16"]) == 2
    assert dest.read_bytes() == before


def test_the_groups_of_the_source_may_be_named(published, tmp_path):
    """A folder of eight groups whose config does not say so; without a word it would be read as four."""
    source = published("codegen2")
    folder = shutil.copytree(source.folder, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    del config["head_dim"]
    (folder / "config.json").write_text(json.dumps(config))
    export(source.folder, tmp_path / "a.gguf", "f32")
    convert(str(folder), tmp_path / "m.gguf", "gguf", "f32", mp_num=8)
    ours, theirs = (numbers(GGUFReader(tmp_path / name)) for name in ("m.gguf", "a.gguf"))
    assert all((ours[name] == theirs[name]).all() for name in theirs) and ours.keys() == theirs.keys()


def test_a_file_may_lie_in_the_folder_of_its_source(folder, tmp_path):
    source = shutil.copytree(folder, tmp_path / "m")
    export(source, source / "m.gguf", "f16")
    assert (source / "m.gguf").is_file() and (source / "config.json").is_file()
