"""A folder of others gets the right tokenizer and every correction said, or is refused in one sentence."""

import json

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.interchange.tokenizers import (
    codegen1_tokenizer,
    codegen2_tokenizer,
    codegen25_tokenizer,
    tokenizer_for,
)
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer

RUNS = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
CONTROLS = [f"<dummy_{i}>" for i in range(4)] + [
    "<sep>",
    "<eom>",
    *(f"<mask_{n}>" for n in range(899, 0, -1)),
]
SALESFORCE = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024, "add_prefix_space": False}
ATTACK = "x = '<mask_1>'  # <|endoftext|> <sep>"


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder with GPT-2's ``vocab.json`` and ``merges.txt``."""
    folder = tmp_path_factory.mktemp("gpt2")
    codegen1_tokenizer("nl").save(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    return folder


@pytest.fixture(scope="module")
def codegen2():
    return codegen2_tokenizer()


@pytest.fixture(scope="module")
def codegen25():
    return codegen25_tokenizer()


def inner_of(gpt2, added):
    """A tokenizer as Salesforce's files hold it: only <|endoftext|> is special."""
    files = str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt")
    model = models.BPE.from_file(*files, continuing_subword_prefix="", end_of_word_suffix="")
    inner = tokenizers.Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken("<|endoftext|>", normalized=False, special=True)])
    inner.add_tokens([AddedToken(text, normalized=True) for text in added])
    return inner


def publish(folder, gpt2, added, config=SALESFORCE):
    inner_of(gpt2, added).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def assert_is_codegen2(found, codegen2):
    assert found.fingerprint == codegen2.fingerprint and found.control == codegen2.control
    assert not found.is_control[found.encode(ATTACK)].any()


def test_codegen2s_own_files(tmp_path, gpt2, codegen2):
    publish(tmp_path, gpt2, RUNS + CONTROLS)
    unmended = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert 51199 in unmended.encode(ATTACK).ids
    tokenizer, corrections = tokenizer_for(tmp_path, 51200)
    assert_is_codegen2(tokenizer, codegen2)
    assert [sentence.split(" were ")[0].split(" was ")[0] for sentence in corrections] == [
        "905 control tokens (<dummy_0> to <mask_1>)",
        "The padding token",
        "model_max_length",
        "tokenizer_class",
    ]
    assert "1,024" in corrections[2] and "GPT2Tokenizer" in corrections[3]
    tokenizer.save(tmp_path / "native")
    again, nothing = tokenizer_for(tmp_path / "native", 51200)
    assert again.fingerprint == codegen2.fingerprint and nothing == []


def test_the_older_files(tmp_path, gpt2, codegen2):
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((gpt2 / name).read_bytes())
    added = {text: 50257 + i for i, text in enumerate(RUNS + CONTROLS)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(dict(sorted(added.items()))))
    tokenizer, corrections = tokenizer_for(tmp_path, 51200)
    assert_is_codegen2(tokenizer, codegen2)
    assert corrections[0].startswith("905 control tokens (<dummy_0> to <mask_1>) were ordinary")
    added["<mask_1>"] = 52000
    (tmp_path / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(InputError, match="'<mask_1>' has the id 52000, where 51199 is next"):
        tokenizer_for(tmp_path, 51200)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"config.json": {"model_type": "gptj"}}, "CodeGen2"),
        ({}, "CodeGen2"),
        ({"config.json": {"model_type": "llama"}}, "CodeGen2.5"),
        ({"tokenizer_config.json": {"tokenizer_class": "CodeGen25Tokenizer"}}, "CodeGen2.5"),
    ],
)
def test_a_folder_without_tokenizer_files(tmp_path, files, name, codegen2, codegen25):
    for file, content in files.items():
        (tmp_path / file).write_text(json.dumps(content))
    tokenizer, corrections = tokenizer_for(tmp_path, 51200)
    expected = codegen2 if name == "CodeGen2" else codegen25
    assert tokenizer.fingerprint == expected.fingerprint and tokenizer.controls_trained
    assert corrections[0] == f"The folder has no tokenizer files; it is given {name}'s, with its 51,200 ids."


def test_a_tokenizer_of_another_size_is_refused(tmp_path, tokenizer):
    with pytest.raises(InputError, match=r"has 51,200 entries and the model's embedding 50,400"):
        tokenizer_for(tmp_path, 50400)
    tokenizer.save(tmp_path)
    with pytest.raises(InputError, match=r"has 384 entries and the model's embedding 51,200"):
        tokenizer_for(tmp_path, 51200)


@pytest.mark.parametrize(("kind", "added"), [("multi", RUNS), ("nl", [])])
def test_codegen1s_own_files(tmp_path, gpt2, kind, added):
    publish(tmp_path, gpt2, added, {"tokenizer_class": "CodeGenTokenizer", "model_max_length": 2048})
    tokenizer, corrections = tokenizer_for(tmp_path, 51200)
    expected = codegen1_tokenizer(kind)
    assert tokenizer.fingerprint == expected.fingerprint and not tokenizer.controls_trained
    assert tokenizer.suppressed_ids == expected.suppressed_ids
    assert f"has {50257 + len(added):,} entries" in corrections[0]
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "def f():\n\t\treturn   1" + " " * 40
    assert tokenizer.encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize(
    ("section", "trained"),
    [
        ({"format_version": 1, "start": [], "infill": None}, False),
        ({"format_version": 1, "start": [], "infill": {"lead_tokens": 0}}, True),
        ({"format_version": 1}, True),
        (None, True),
    ],
)
def test_the_model_folder_says_whether_controls_were_trained(tmp_path, tokenizer, section, trained):
    tokenizer.save(tmp_path)
    config = {"model_type": "gptj"} | ({} if section is None else {"spanmix": section})
    (tmp_path / "config.json").write_text(json.dumps(config))
    controls = set(tokenizer.special_ids.values()) - {tokenizer.control.eot}
    for loaded in (Tokenizer.load(tmp_path), tokenizer_for(tmp_path, tokenizer.vocab_size)[0]):
        assert loaded.controls_trained is trained
        assert loaded.suppressed_ids == (tokenizer.suppressed_ids if trained else controls)
        loaded.save(tmp_path / "of a corpus")
        assert Tokenizer.load(tmp_path / "of a corpus").suppressed_ids == tokenizer.suppressed_ids


def llama(folder):
    """As Llama's: bytes are entries of their own, and nothing of ours is there."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    inner = tokenizers.Tokenizer(models.BPE(vocab, [], unk_token="<unk>", byte_fallback=True))
    inner.add_special_tokens(["<s>", "</s>"])
    inner.save(str(folder / "tokenizer.json"))


def starcoder(folder):
    inner = tokenizers.Tokenizer(
        models.BPE({c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, [])
    )
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)]
    )
    inner.add_special_tokens(["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"])
    inner.save(str(folder / "tokenizer.json"))


def sentencepiece(folder):
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")


def other_form(folder):
    """Controls that are ordinary tokens, in a tokenizer that splits digits."""
    starcoder(folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    for token in spec["added_tokens"]:
        token["special"] = False
    (folder / "tokenizer.json").write_text(json.dumps(spec))


def broken(folder):
    (folder / "tokenizer.json").write_text('{"model": ')


def broken_vocabulary(folder):
    (folder / "vocab.json").write_text('{"a": "b"}')


def lone_vocabulary(folder):
    (folder / "vocab.json").write_text('{"a": 0}')


def broken_merges(folder):
    (folder / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2}')
    (folder / "merges.txt").write_text("#version: 0.2\na b\nab\n")


def unknown_merge(folder):
    (folder / "vocab.json").write_text('{"a": 0, "b": 1}')
    (folder / "merges.txt").write_text("a b\n")


def broken_config(folder):
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": 7}')


REFUSED = {
    llama: r"no special token <\|endoftext\|>, <sep>, <eom>, <pad>, <mask_1>.* It is of another family",
    starcoder: r"no special token <sep>, <eom>, <mask_1>; .* It is of another family",
    sentencepiece: r"tokenizer\.model is sentencepiece's, so of another family",
    other_form: r"ordinary ones.* differs from GPT-2's form in pre_tokenizer",
    broken: r"tokenizer\.json cannot be read",
    broken_vocabulary: r"vocab\.json has a 'b'",
    lone_vocabulary: r"merges\.txt is missing",
    broken_merges: r"merges\.txt: line 3 is 'ab', which is not a pair",
    unknown_merge: r"vocab\.json: it joins 'a' and 'b', and has no entry for 'ab'",
    broken_config: r"tokenizer_config\.json has tokenizer_class 7",
}


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_others_are_refused_with_what_they_lack(tmp_path, make):
    make(tmp_path)
    with pytest.raises(InputError, match=REFUSED[make]) as raised:
        tokenizer_for(tmp_path, 51200)
    assert "\n" not in str(raised.value) and str(tmp_path) in str(raised.value)


def test_a_plain_gpt2_is_refused(tmp_path, gpt2):
    publish(tmp_path, gpt2, [])
    with pytest.raises(InputError, match=r"no special token <sep>, <eom>, <pad>, <mask_1>"):
        tokenizer_for(tmp_path, 50257)
    with pytest.raises(InputError, match=r"no special token <sep>, <eom>, <pad>, <mask_1>"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("i", [-3, 2**40])
def test_ids_that_no_list_has_are_refused(i, tmp_path, tokenizer):
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    ids = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    name = list(ids)[2]
    (tmp_path / "vocab.json").write_text(json.dumps(ids | {name: i}), encoding="utf-8")
    with pytest.raises(InputError, match=f"the id {i}, and ids run from 0 without gaps"):
        tokenizer_for(tmp_path, 384)


def test_truncation_of_the_file_is_not_done(tmp_path, tokenizer):
    tokenizer.save(tmp_path)
    inner = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    inner.enable_truncation(4)
    inner.enable_padding(length=64)
    inner.save(str(tmp_path / "tokenizer.json"))
    text = "def add(a, b):\n" * 9
    assert Tokenizer.load(tmp_path).encode(text) == tokenizer.encode(text)


def test_prepare_takes_codegen2s_own_folder(tmp_path, monkeypatch, gpt2, codegen2):
    publish(tmp_path, gpt2, RUNS + CONTROLS)
    (tmp_path / "code").mkdir()
    for i in range(6):
        (tmp_path / "code" / f"{i}.py").write_text(
            f"def area_{i}(r):\n    return {i} * r  # <mask_1> <eom>\n" * 9
        )
    monkeypatch.chdir(tmp_path)
    recipe = f"""
corpus: {{path: out, sources: [{{name: code, paths: [code]}}], held_out_share: 0.4}}
tokenizer: {{path: {json.dumps(str(tmp_path))}}}
"""
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert main(["prepare", "recipe.yaml", "--out", "out"]) == 0
    corpus = Corpus.open(tmp_path / "out")
    assert_is_codegen2(corpus.tokenizer, codegen2)
    assert corpus.tokenizer.control.pad == 50295 and corpus.tokenizer.num_sentinels == 899
    stores = (corpus.train["code"], corpus.held_out["code"])
    texts = [store.text(i) for store in stores for i in range(len(store))]
    assert sorted(texts) == sorted(path.read_text() for path in (tmp_path / "code").iterdir())
    ids = corpus.train["code"].tokens(0)
    assert 50284 in ids and not corpus.tokenizer.is_control[ids].any()
