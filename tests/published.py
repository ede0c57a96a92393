"""Tiny tokenizers in the forms in which the families of code models publish theirs."""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

CODE = [
    "def quicksort(arr):\n    if len(arr) <= 1:\n        return arr\n    pivot = arr[len(arr) // 2]\n" * 3,
    "class Node:\n\tdef __init__(self, value=None):\n\t\tself.value = value\n\n\nprint('hello, world')\n" * 3,
]
QWEN_WORDS = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_level(controls, ordinary=(), before=(), normalizer=None, bos=None):
    """A byte-level tokenizer; `before` cuts words in front of the bytes, `bos` stands before every text."""
    inner = Tokenizer(models.BPE())
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not before)
    inner.pre_tokenizer = pre_tokenizers.Sequence([*before, last]) if before else last
    inner.decoder = decoders.ByteLevel()
    if normalizer is not None:
        inner.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        CODE, BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False)
    )
    return _finish(inner, controls, ordinary, bos)


def sentencepiece(first, controls, ordinary=(), blank=None, bos=None):
    """A tokenizer of SentencePiece's kind; `first` are its first entries, `blank` how a text begins."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CODE, BpeTrainer(vocab_size=110, show_progress=False))
    spec = json.loads(trained.to_str())["model"]
    words = [text for text in spec["vocab"] if "\n" not in text and "\t" not in text]
    merges = [tuple(pair) for pair in spec["merges"] if {*pair, "".join(pair)} <= set(words)]
    vocab = {text: i for i, text in enumerate([*first, *BYTES, *words])}
    inner = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if blank == "metaspace":
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        steps = [normalizers.Prepend("▁")] if blank == "prepend" else []
        inner.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    inner.decoder = decoders.Sequence(steps)
    return _finish(inner, controls, ordinary, bos)


def _finish(inner, controls, ordinary, bos):
    inner.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in controls])
    inner.add_tokens([AddedToken(text, normalized=False) for text in ordinary])
    if bos is not None:
        pair = (bos, inner.token_to_id(bos))
        inner.post_processor = processors.TemplateProcessing(f"{bos} $A", None, [pair])
    return inner


BIGCODE = ["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<file_sep>"]
QWEN_FIM = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]
DEEPSEEK = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"]
SEED = ["<[begin▁of▁sentence]>", "<[end▁of▁sentence]>", "<[fim-prefix]>", "<[fim-middle]>", "<[fim-suffix]>"]
LLAMA = ["<unk>", "<s>", "</s>"]
LLAMA_FIM = ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"]


def santacoder():
    return byte_level(["<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>"])


def starcoder():
    return byte_level(BIGCODE, before=[pre_tokenizers.Digits(individual_digits=True)])


def qwen():
    """Its infill tokens are ordinary in the file, as Qwen's are."""
    before = [pre_tokenizers.Split(QWEN_WORDS, "isolated")]
    ordinary = [*QWEN_FIM, "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return byte_level(controls, ordinary, before, normalizers.NFC())


def deepseek():
    """Its infill tokens are ordinary, and so is a letter that stands for itself."""
    ordinary = ["õ", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", "<|EOT|>"]
    before = [
        pre_tokenizers.Split(Regex(r"[\r\n]"), "isolated"),
        pre_tokenizers.Digits(individual_digits=True),
    ]
    return byte_level(DEEPSEEK, ordinary, before, bos=DEEPSEEK[0])


def codellama():
    """Its infill tokens are entries that the file does not even list as added."""
    return sentencepiece([*LLAMA, *LLAMA_FIM], LLAMA, blank="prepend", bos="<s>")


def codegemma():
    ordinary = [*QWEN_FIM, "<|file_separator|>", "▁▁", "<b>"]
    first = ["<pad>", "<eos>", "<bos>", "<unk>", *ordinary]
    return sentencepiece(first, first[:4], ordinary, bos="<bos>")


def codestral():
    first = [*LLAMA, "[INST]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"]
    return sentencepiece(first, first, blank="metaspace", bos="<s>")


def seed_coder():
    return byte_level(SEED, bos=SEED[0])


FAMILIES = {
    "SantaCoder": (santacoder, {"eos_token": "<|endoftext|>"}),
    "StarCoder": (starcoder, {"eos_token": "<|endoftext|>"}),
    "Qwen2.5-Coder": (qwen, {"eos_token": "<|endoftext|>", "add_bos_token": False}),
    "DeepSeek-Coder": (deepseek, {"bos_token": DEEPSEEK[0], "eos_token": DEEPSEEK[1]}),
    "CodeLlama": (codellama, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    "CodeGemma": (codegemma, {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}),
    "Codestral": (codestral, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    "Seed-Coder": (seed_coder, {"bos_token": SEED[0], "eos_token": SEED[1]}),
}


def write_tokenizer(folder, family, config=None):
    """Write the tokenizer of a family and a ``config.json`` that names its end; return the library's own."""
    folder.mkdir(parents=True, exist_ok=True)
    make, names = FAMILIES[family]
    inner = make()
    inner.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **names})
    end = inner.token_to_id(names["eos_token"])
    write_json(folder / "config.json", {"eos_token_id": end, **(config or {})})
    return inner


def num_rows(inner):
    """Rows of an embedding for all ids: the next multiple of 64."""
    return -(-max(inner.get_vocab(with_added_tokens=True).values()) // 64) * 64 + 64


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
