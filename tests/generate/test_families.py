"""Families of published models: recognized by their tokens, asked as published, and able to infill."""

import json

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Starcoder2Config, Starcoder2ForCausalLM

from spanmix.__main__ import main
from spanmix.errors import InputError
from spanmix.evaluate.choice.readers import ChoiceItem
from spanmix.evaluate.choice.score import score_choices
from spanmix.evaluate.code.problem import CodeProblem, ExitCheck
from spanmix.evaluate.code.samples import open_samples
from spanmix.evaluate.code.sampling import SampleSettings, make_samples
from spanmix.generate.batch import generate
from spanmix.generate.families import FAMILIES, family_of, open_published
from spanmix.generate.infill import infill
from spanmix.generate.opening import open_model
from spanmix.generate.text import Sampling, complete, completion_request
from spanmix.generate.torch_engine import TorchEngine
from spanmix.generate.transformers_engine import TransformersEngine
from spanmix.model.folder import save_model_folder

PREFIX, SUFFIX = "def quicksort(arr):\n    if len(arr) <= 1:\n        ", "\n    pivot = arr[0]\n"
PUBLISHED = {
    "SantaCoder": f"<fim-prefix>{PREFIX}<fim-suffix>{SUFFIX}<fim-middle>",
    "StarCoder": f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>",
    "Qwen2.5-Coder": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
    "DeepSeek-Coder": f"<｜fim▁begin｜>{PREFIX}<｜fim▁hole｜>{SUFFIX}<｜fim▁end｜>",
    "CodeGemma": f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>",
    "Seed-Coder": f"<[fim-suffix]>{SUFFIX}<[fim-prefix]>{PREFIX}<[fim-middle]>",
}
"""As the makers write a prompt; transformers' own tokenizer reads it."""

ENDS = {
    "SantaCoder": ["<|endoftext|>"],
    "StarCoder": ["<|endoftext|>", "<file_sep>"],
    "Qwen2.5-Coder": [
        *("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_start|>", "<|im_end|>"),
        *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ],
    "DeepSeek-Coder": ["<｜end▁of▁sentence｜>", "<|EOT|>"],
    "CodeLlama": ["▁<EOT>", "</s>"],
    "CodeGemma": ["<|file_separator|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<eos>"],
    "Codestral": ["</s>", "[PREFIX]", "[SUFFIX]", "[MIDDLE]"],
    "Seed-Coder": ["<[end▁of▁sentence]>"],
}
NAMES = [family.name for family in FAMILIES]


@pytest.fixture
def opened(request, published, tmp_path):
    """Tokenizer, way of asking, and the library's own tokenizer of a family."""
    inner = published.write_tokenizer(tmp_path, request.param)
    return *open_published(tmp_path, published.num_rows(inner)), inner


def prompt_of(asked, tokenizer):
    return asked.infill.prompt(tokenizer.encode(PREFIX), tokenizer.encode_inside(SUFFIX))


@pytest.mark.parametrize("opened", NAMES, indirect=True)
def test_a_family_is_recognized_and_ends_where_it_is_published_to(opened, request):
    tokenizer, asked, _ = opened
    name = request.node.callspec.params["opened"]
    assert family_of(tokenizer.special_ids).name == name
    assert [tokenizer.decode([i]) for i in asked.infill.end] == ENDS[name]
    assert tokenizer.control.eot in tokenizer.end_ids and tokenizer.end_ids <= set(asked.infill.end)
    assert asked.infill.start == asked.start_ids and not asked.infill.sentinels


@pytest.mark.parametrize("opened", list(PUBLISHED), indirect=True)
def test_a_prompt_is_the_published_one_token_for_token(opened, request, tmp_path):
    tokenizer, asked, _ = opened
    name = request.node.callspec.params["opened"]
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert prompt_of(asked, tokenizer) == theirs(PUBLISHED[name]).input_ids


@pytest.mark.parametrize("opened", ["CodeLlama", "Codestral"], indirect=True)
def test_a_prompt_with_a_blank_in_front_is_the_published_one(opened, request):
    """Meta's and Mistral's code encodes the prefix as a text, and the suffix behind a smiling face."""
    tokenizer, asked, inner = opened

    def encode(text):
        return inner.encode(text, add_special_tokens=False).ids

    def encode_infilling(text):
        face = encode("☺")
        assert encode("☺" + text)[: len(face)] == face
        return encode("☺" + text)[len(face) :]

    ids = inner.token_to_id
    if request.node.callspec.params["opened"] == "CodeLlama":
        before, between, after = [ids("<s>"), ids("▁<PRE>")], [ids("▁<SUF>")], [ids("▁<MID>")]
        expected = [*before, *encode(PREFIX), *between, *encode_infilling(SUFFIX), *after]
    else:
        expected = [ids("<s>"), ids("[SUFFIX]"), *encode_infilling(SUFFIX), ids("[PREFIX]"), *encode(PREFIX)]
    assert prompt_of(asked, tokenizer) == expected
    assert encode(PREFIX) != encode_infilling(PREFIX)  # so the two ways do differ


@pytest.mark.parametrize("opened", NAMES, indirect=True)
def test_names_of_controls_in_a_text_are_plain_text(opened):
    tokenizer, asked, _ = opened
    names = "".join(tokenizer.special_ids)
    ids = asked.infill.prompt(tokenizer.encode(PREFIX + names), tokenizer.encode_inside(names + SUFFIX))
    controls = [i for i in ids if tokenizer.is_control[i]]
    assert len(tokenizer.special_ids) >= 5
    assert controls == [i for i in asked.infill.prompt([], []) if tokenizer.is_control[i]]


def test_a_folder_may_say_otherwise(published, tmp_path):
    section = {
        "start": ["<|endoftext|>"],
        "infill": {
            "prefix": ["<fim_prefix>"],
            "suffix": ["<fim_suffix>"],
            "middle": ["<fim_middle>"],
            "end": ["<fim_pad>"],
            "order": "spm",
            "lead_tokens": 3,
        },
    }
    inner = published.write_tokenizer(tmp_path, "StarCoder", {"spanmix": section})
    ids = inner.token_to_id
    _, asked = open_published(tmp_path, 384)
    start, prefix, suffix, middle = map(
        ids, ("<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    )
    assert asked.infill.prompt([1, 2, 3, 4], [5]) == [start, suffix, 5, prefix, 1, middle, 2, 3, 4]
    assert asked.start_ids == (start,) and asked.infill.end == (ids("<fim_pad>"),)
    published.write_tokenizer(tmp_path, "StarCoder", {"spanmix": {"infill": None}})
    assert open_published(tmp_path, 384)[1].infill is None
    section["infill"]["middle"] = ["<mid>"]
    published.write_tokenizer(tmp_path, "StarCoder", {"spanmix": section})
    with pytest.raises(InputError, match=r"config.json: the model is asked with '<mid>', and its tokenizer"):
        open_published(tmp_path, 384)
    published.write_tokenizer(tmp_path, "StarCoder", {"spanmix": {**section, "format_version": 99}})
    with pytest.raises(InputError, match="model folder version 99"):
        open_published(tmp_path, 384)


def test_a_model_of_no_known_family_completes_behind_what_its_tokenizer_puts_in_front(published, tmp_path):
    inner = published.byte_level(["<a>", "<b>"], bos="<a>")
    inner.save(str(tmp_path / "tokenizer.json"))
    published.write_json(tmp_path / "config.json", {"eos_token_id": inner.token_to_id("<b>")})
    tokenizer, asked = open_published(tmp_path, 384)
    assert asked.infill is None and asked.start_ids == (inner.token_to_id("<a>"),)
    assert tokenizer.end_ids == {inner.token_to_id("<b>")}
    published.write_json(tmp_path / "tokenizer_config.json", {"bos_token": "<a>", "add_bos_token": False})
    assert open_published(tmp_path, 384)[1].start_ids == ()
    published.write_json(tmp_path / "generation_config.json", {"eos_token_id": [inner.token_to_id("<a>")]})
    assert len(open_published(tmp_path, 384)[0].end_ids) == 2


def test_what_ends_a_text_has_to_be_known_and_no_text(published, tmp_path):
    inner = published.byte_level(["<a>"])
    inner.save(str(tmp_path / "tokenizer.json"))
    published.write_json(tmp_path / "config.json", {})
    with pytest.raises(InputError, match="names an eos_token_id"):
        open_published(tmp_path, 384)
    published.write_json(tmp_path / "config.json", {"eos_token_id": inner.token_to_id("a")})
    with pytest.raises(InputError, match="the plain text 'a'; a text would end there"):
        open_published(tmp_path, 384)


TEXTS = [
    ("def add(a, b):\n    ", "return a + b", "\n\nprint(add)\n"),
    ("def sub(a, b):\n    ", "return a - b", "\n\nprint(sub)\n"),
    ("class Nöde:\n\tdef __init__(self, value):\n\t\t", "self.value = value", "\n"),
    ("", "import os\n", "print(os.name)\n"),
]


def trained_folder(folder, family, published, form="Llama"):
    """A tiny model that has learned to fill the gaps of `TEXTS`, in its family's own form."""
    inner = published.write_tokenizer(folder, family)
    rows = published.num_rows(inner)
    tokenizer, asked = open_published(folder, rows)
    torch.manual_seed(1)
    shape = {"vocab_size": rows, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 300}
    shape |= {"eos_token_id": tokenizer.control.eot, "bos_token_id": None, "pad_token_id": None}
    forms = {
        "Llama": (LlamaConfig, LlamaForCausalLM),
        "Starcoder2": (Starcoder2Config, Starcoder2ForCausalLM),
    }
    config, make = forms[form]
    model = make(config(**shape))
    rows_of = []
    for prefix, middle, suffix in TEXTS:
        prompt = asked.infill.prompt(tokenizer.encode(prefix), tokenizer.encode_inside(suffix))
        rows_of.append((prompt, [*tokenizer.encode_inside(middle), asked.infill.end[0]]))
    width = max(len(prompt) + len(answer) for prompt, answer in rows_of)
    ids = torch.zeros(len(rows_of), width, dtype=torch.long)
    labels = torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(rows_of):
        stop = len(prompt) + len(answer)
        ids[row, :stop] = torch.tensor([*prompt, *answer])
        labels[row, len(prompt) : stop] = torch.tensor(answer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.01:
            break
    assert loss < 0.05
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(published, tmp_path_factory):
    """Trained models of three families: one of each kind of prompt."""
    root = tmp_path_factory.mktemp("trained")
    wanted = {"CodeLlama": "Llama", "Codestral": "Llama", "Qwen2.5-Coder": "Starcoder2"}
    return {name: trained_folder(root / name, name, published, form) for name, form in wanted.items()}


@pytest.mark.parametrize("family", ["CodeLlama", "Codestral", "Qwen2.5-Coder"])
def test_a_model_infills_in_its_own_form(folders, family):
    model = open_model(str(folders[family]))
    assert isinstance(model.engine, TransformersEngine)
    assert model.news == f"{folders[family]} is of another family than CodeGen2's, and is run by transformers"
    for prefix, middle, suffix in TEXTS:
        answer = infill(
            model.engine, model.tokenizer, model.infill_format, prefix, suffix, Sampling(max_tokens=30)
        )
        assert (answer.text, answer.finish_reason) == (middle, "stop")
    assert len(model.identity()["weights_sha256"]) == 64


def test_the_command_line_asks_as_any_other_model(folders, capsys):
    prefix, middle, suffix = TEXTS[2]
    folder = str(folders["CodeLlama"])
    assert main(["infill", folder, "--prefix", prefix, "--suffix", suffix]) == 0
    shown = capsys.readouterr()
    assert shown.out == prefix + middle + suffix and "run by transformers" in shown.err
    assert main(["infill", folder, "--engine", "transformers", "--prefix", prefix, "--suffix", suffix]) == 0
    assert capsys.readouterr().err == ""
    assert main(["complete", folder, "--prompt", "def", "--max-tokens", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    num_words = len(open_model(folder).tokenizer.encode("def"))
    assert 1 <= len(found["token_ids"]) <= 4 and found["num_prompt_tokens"] == 1 + num_words


def test_questions_and_completions_are_asked_behind_the_start(folders):
    model = open_model(str(folders["CodeLlama"]))
    request, _ = completion_request(
        model.engine, model.tokenizer, "def add", Sampling(max_tokens=5), model.asked.start_ids
    )
    start = model.tokenizer.special_ids["<s>"]
    assert request.prompt_ids == [start, *model.tokenizer.encode("def add")]
    assert request.stop_ids == model.tokenizer.end_ids
    written = complete(
        model.engine, model.tokenizer, "def add", Sampling(max_tokens=20, temperature=2.0)
    ).run()
    assert not any(model.tokenizer.is_control[i] for i in written.token_ids[:-1])
    item = ChoiceItem("one", "def add(a, b):\n   ", ("return a + b", "class"), gold=0, delimiter=" ")
    result = score_choices(model.engine, model.tokenizer, "piqa", [item], model.asked.start_ids)
    assert result.num_items == 1 and len(result.items[0].logprobs) == 2


def test_programming_problems_are_answered_in_the_models_own_form(folders, tmp_path):
    check = ExitCheck("sh", "")
    problems = [
        CodeProblem(f"I/{n}", prefix, suffix, middle, check)
        for n, (prefix, middle, suffix) in enumerate(TEXTS)
    ]
    problems.append(CodeProblem("T/0", "def add", None, "", check))
    settings = SampleSettings(max_tokens=30, temperature=0.0)
    for name, folder in folders.items():
        model = open_model(str(folder))
        path = tmp_path / f"{name}.jsonl"
        with open_samples(path, settings.facts()) as file:
            make_samples(model.engine, model.tokenizer, model.asked, problems, settings, file)
        found = {one["task_id"]: one for one in map(json.loads, path.read_text().splitlines())}
        assert [found[f"I/{n}"]["raw"] for n in range(len(TEXTS))] == [middle for _, middle, _ in TEXTS]
        assert found["T/0"]["prompt_tokens"] == len(model.asked.start_ids) + len(
            model.tokenizer.encode("def add")
        )


def test_our_own_folders_stay_with_the_torch_engine_and_run_in_transformers_too(
    make_decoder, tokenizer, tmp_path
):
    folder = save_model_folder(tmp_path / "ours", make_decoder(2, 48, 3, 8, 160), tokenizer, {})
    ours, theirs = open_model(str(folder)), open_model(str(folder), "transformers")
    assert isinstance(ours.engine, TorchEngine) and ours.news is None and theirs.news is None
    assert isinstance(theirs.engine, TransformersEngine) and ours.asked == theirs.asked
    request, _ = completion_request(ours.engine, ours.tokenizer, "def add", Sampling(max_tokens=30))
    assert generate(ours.engine, [request])[0].token_ids == generate(theirs.engine, [request])[0].token_ids


def change(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


BAD = [
    (
        lambda f: change(f, "config.json", model_type="chatglm", auto_map={"AutoModel": "x.Y"}),
        "of type 'chatglm'",
    ),
    (lambda f: change(f, "config.json", model_type="t5"), "cannot be opened by transformers"),
    (lambda f: change(f, "config.json", num_hidden_layers=3), "9 tensors of LlamaForCausalLM are missing"),
    (lambda f: change(f, "config.json", hidden_size=32), "cannot be opened|missing or of another shape"),
    (lambda f: (f / "model.safetensors").rename(f / "w.bin"), r"has no \*.safetensors"),
    (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "cannot be opened by transformers"),
    (lambda f: (f / "config.json").write_text("{"), "config.json"),
    (
        lambda f: (f / "tokenizer.json").rename(f / "tokenizer.model"),
        "no tokenizer.json in it; write one with transformers",
    ),
]


@pytest.mark.parametrize(("damage", "message"), BAD)
def test_a_folder_that_cannot_be_opened_is_refused(folders, tmp_path, damage, message):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in folders["CodeLlama"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    damage(folder)
    with pytest.raises(InputError, match=message):
        open_model(str(folder))


def test_the_engine_that_was_named_is_taken_or_refused(folders, make_decoder, tokenizer, tmp_path):
    with pytest.raises(InputError, match="of another family than CodeGen2's; use --engine transformers"):
        open_model(str(folders["CodeLlama"]), "torch")
    with pytest.raises(InputError, match="is not a CTranslate2 folder"):
        open_model(str(folders["CodeLlama"]), "ctranslate2")
    folder = save_model_folder(tmp_path / "ours", make_decoder(2, 48, 3, 8, 160), tokenizer, {})
    change(folder, "config.json", model_type="codegen", architectures=["CodeGenForCausalLM"])
    with pytest.raises(InputError, match="which transformers would run wrongly"):
        open_model(str(folder), "transformers")
    with pytest.raises(InputError, match="names the architecture CodeGenForCausalLM"):
        open_model(str(folder))


def test_transformers_is_named_where_it_is_missing(folders, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(InputError, match=r"pip install 'spanmix\[hf\]'"):
        open_model(str(folders["CodeLlama"]))
