"""Folders that are wrong on purpose: each fault is found, and mended by the command that is named."""

import json
import shlex
import shutil

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from transformers import CodeGenConfig, CodeGenForCausalLM, GPTJConfig, GPTJForCausalLM

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.interchange.convert import convert
from spanmix.interchange.verify.sample import SAMPLE, Budget, Measured, measure
from spanmix.interchange.verify.verify import verify

SIZES = {"n_layer": 2, "n_embd": 64, "n_head": 8, "rotary_dim": 8, "n_positions": 96, "vocab_size": 384}
QUIET = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}


@pytest.fixture(scope="module")
def trained(tokenizer):
    """The state of transformers' own CodeGen, four groups, that has learned a little code."""
    torch.manual_seed(1)
    ids = torch.tensor(tokenizer.encode(SAMPLE))
    windows = torch.stack([ids[start : start + 64] for start in range(0, len(ids) - 64, 8)])
    model = CodeGenForCausalLM(CodeGenConfig(**SIZES, **QUIET))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.1)
    for _ in range(70):
        rows = windows[torch.randint(len(windows), (4,))]
        loss = F.cross_entropy(model(rows).logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def right(trained, tokenizer, tmp_path):
    """Writes the trained model as transformers does, with all that a folder needs; changes are the faults."""

    def write(state=None, name="model", kind=CodeGenForCausalLM, **changes):
        folder = tmp_path / name
        if kind is CodeGenForCausalLM:
            model = kind(CodeGenConfig(**SIZES, **QUIET))
        else:
            model = kind(GPTJConfig(**SIZES, **QUIET, tie_word_embeddings=False))
        model.load_state_dict(state or trained)
        model.save_pretrained(folder)
        tokenizer.save(folder)
        ids = {"bos_token_id": tokenizer.control.eot, "eos_token_id": tokenizer.control.eot}
        edit(folder / "config.json", **ids | changes)
        ends = [tokenizer.control.eot, tokenizer.control.eom]
        suppress = sorted(tokenizer.suppressed_ids)
        edit(folder / "generation_config.json", **ids | {"eos_token_id": ends}, suppress_tokens=suppress)
        return folder

    return write


def edit(file, **changes):
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **changes}))


def in_groups(state, regrouped, num_groups):
    return {
        name: regrouped(tensor, 8, before=4, after=num_groups) if "qkv" in name else tensor
        for name, tensor in state.items()
    }


def as_gptj(state, num_groups):
    """FauxPilot's way: rows in blocks, permuted, then three equal parts, by a number that may be wrong."""
    made = {}
    for name, tensor in state.items():
        if "qkv_proj" not in name:
            made[name] = tensor
            continue
        blocks = tensor.chunk(3 * num_groups)
        order = [3 * group + part for part in (0, 1, 2) for group in range(num_groups)]
        q, v, k = torch.cat([blocks[i] for i in order]).chunk(3)
        for letter, part in zip("qkv", (q, k, v), strict=True):
            made[name.replace("qkv_proj", f"{letter}_proj")] = part.contiguous()
    return made


def found(target, seconds=600):
    return {check.name: check for check in verify(str(target), seconds).checks}


def results(checks):
    return {name: check.result for name, check in checks.items() if check.result != "ok"}


def follow(remedy, tmp_path):
    """Run the commands of a remedy; return the folder that they made."""
    for command in remedy.replace("DEST", str(tmp_path / "mended")).split(" && "):
        words = shlex.split(command.replace("FUSED", str(tmp_path / "fused")))
        assert words[0] == "spanmix" and main(words[1:]) == 0
    return tmp_path / "mended"


def test_a_right_trained_model_passes_every_check(right):
    checks = found(right())
    assert results(checks) == {}
    assert checks["loss on code"].numbers["nats"] < 2
    assert checks["qkv grouping"].numbers["loss, 8 groups"] > checks["loss on code"].numbers["nats"] + 0.5


def test_a_right_native_folder_of_each_form_is_never_called_wrong(make_decoder, tokenizer, tmp_path):
    from spanmix.model.folder import save_model_folder

    for form in ({}, {"form": "llama", "hidden_dim": 96, "layer_norm_epsilon": 1e-6}):
        for seed in range(3):
            rotary = 8 if not form else 16
            decoder = make_decoder(2, 64, 4, rotary, 96, seed=seed, **form)
            folder = save_model_folder(tmp_path / f"{rotary}-{seed}", decoder, tokenizer, {})
            unsure = {"loss on code"} if form else {"loss on code", "qkv grouping"}
            assert results(found(folder)) == dict.fromkeys(unsure, "cannot tell")


@pytest.mark.parametrize("stored", [4, 8])
def test_a_wrong_grouping_is_found_and_mended(stored, right, trained, regrouped, tmp_path):
    """What the config says is 12 - stored; both losses and weights know better."""
    key = {} if stored == 8 else {"head_dim": 8}
    folder = right(in_groups(trained, regrouped, stored), **key)
    check = found(folder)["qkv grouping"]
    assert check.result == "wrong" and check.remedy.endswith(f"--to native --mp-num {stored}")
    assert check.numbers[f"loss, {stored} groups"] + 0.5 < check.numbers[f"loss, {12 - stored} groups"]
    assert results(found(follow(check.remedy, tmp_path))) == {}


def test_eight_groups_are_right_here_and_wrong_in_transformers(right, trained, regrouped, tmp_path):
    checks = found(right(in_groups(trained, regrouped, 8), head_dim=8))
    assert results(checks) == {"transformers": "wrong"}
    assert results(found(follow(checks["transformers"].remedy, tmp_path))) == {}


@pytest.mark.parametrize(("groups", "cut_as"), [(8, 4), (4, 8)])
def test_a_gptj_folder_that_was_cut_wrongly_is_found_and_mended_from_itself(
    groups, cut_as, right, trained, regrouped, tmp_path
):
    state = as_gptj(in_groups(trained, regrouped, groups), cut_as)
    check = found(right(state, kind=GPTJForCausalLM))["qkv grouping"]
    assert check.result == "wrong" and f"{groups} groups that were cut as {cut_as}" in check.detail
    assert results(found(follow(check.remedy, tmp_path))) == {}


def test_a_gptj_folder_that_was_cut_rightly_passes(right, trained):
    assert results(found(right(as_gptj(trained, 4), kind=GPTJForCausalLM))) == {}


def test_a_gptj_folder_with_keys_and_values_exchanged_is_found(right, trained):
    state = as_gptj(trained, 4)
    swapped = {
        n.replace("k_proj", "V").replace("v_proj", "k_proj").replace("V", "v_proj"): t
        for n, t in state.items()
    }
    check = found(right(swapped, kind=GPTJForCausalLM))["qkv grouping"]
    assert check.result == "wrong" and "keys and values exchanged" in check.detail
    assert "ORIGINAL" in check.remedy


def test_a_published_folder_as_it_is_has_all_its_known_faults(published, tmp_path):
    """conftest's codegen2: random weights, eight groups, bos and eos 1 and 2."""
    folder = tmp_path / "codegen2"
    shutil.copytree(published("codegen2").folder, folder)
    edit(folder / "tokenizer_config.json", model_max_length=64)
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling_codegen.CodeGenForCausalLM"})
    checks = found(folder)
    unsure = dict.fromkeys(("qkv grouping", "loss on code"), "cannot tell")
    faults = ("transformers", "begin and end ids", "generation", "longest text", "left padding")
    assert results(checks) == unsure | dict.fromkeys(faults, "wrong")
    assert "position_ids" in checks["left padding"].detail
    assert results(found(follow(checks["generation"].remedy, tmp_path))) == unsure


def test_a_head_dim_that_contradicts_is_a_finding(right, trained):
    check = found(right(head_dim=16))["head_dim"]
    assert check.result == "wrong" and '"head_dim": 8' in check.remedy
    assert (check.numbers["head_dim"], check.numbers["n_embd / n_head"]) == (16, 8)


def test_eom_and_suppressed_tokens_belong_to_generation(right, tokenizer):
    folder = right()
    edit(folder / "generation_config.json", eos_token_id=tokenizer.control.eot)
    assert "<eom>" in found(folder)["generation"].detail
    edit(folder / "generation_config.json", eos_token_id=[tokenizer.control.eot, tokenizer.control.eom])
    edit(folder / "generation_config.json", suppress_tokens=None)
    check = found(folder)["generation"]
    assert (check.result, check.numbers["unsuppressed"]) == ("wrong", len(tokenizer.suppressed_ids))


def with_weights(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_tensors_that_are_missing_too_many_or_no_numbers_are_findings(right):
    name = "transformer.h.1.mlp.fc_in.weight"
    cases = {
        "missing": (lambda state: state.pop(name), "weights", f"first {name}"),
        "more": (lambda state: state.update(strange=torch.ones(2)), "weights", "first strange"),
        "shape": (lambda state: state.update({name: torch.ones(2, 2)}), "weights", "has shape [2, 2]"),
        "nan": (lambda state: state[name].__setitem__((0, 0), torch.nan), "finite weights", f"first {name}"),
    }
    for case, (change, check, said) in cases.items():
        folder = right(name=case)
        with_weights(folder, change)
        checks = found(folder)
        assert checks[check].result == "wrong" and said in checks[check].detail
        assert checks["loss on code"].result != "ok"


def test_ordinary_controls_and_a_tokenizer_of_another_size_are_findings(right, tokenizer):
    folder = right()
    spec = json.loads((folder / "tokenizer.json").read_text())
    for token in spec["added_tokens"]:
        token["special"] = False
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    check = found(folder)["controls in a text"]
    assert check.result == "wrong" and check.numbers["ordinary"] == len(tokenizer.special_ids)
    folder = right(name="other")
    type(tokenizer).train(["def f(): pass\n" * 9], vocab_size=448, num_sentinels=9).save(folder)
    check = found(folder)["tokenizer"]
    assert check.result == "wrong" and "448" in check.detail and "384" in check.detail


def test_blank_runs_that_are_cut_are_a_finding(right):
    folder = right()
    spec = json.loads((folder / "tokenizer.json").read_text())
    for token in spec["added_tokens"]:
        if token["content"] == " " * 4:
            token["content"] = "<four>"  # the entry of the vocabulary stays where it was
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    assert found(folder)["blank runs"].result == "wrong"


def test_a_model_without_time_is_not_judged(right):
    checks = found(right(), seconds=0)
    assert checks["loss on code"].result == "cannot tell"
    assert checks["finite weights"].result == "cannot tell"
    assert checks["qkv grouping"].result in ("ok", "cannot tell")  # by the weights alone


class Steps:
    """A forward pass that takes a second a row and layer."""

    def __init__(self):
        self.now, self.rows = 0.0, []

    def embed(self, ids):
        return torch.zeros(*ids.shape, 1)

    def block(self, layer, x):
        self.rows.append(len(x))
        self.now += len(x)
        return x

    def logits(self, x):
        return x.expand(*x.shape[:2], 7)


@pytest.mark.parametrize(
    ("seconds", "rows"), [(100, [5, 5, 5, 5]), (20, [5, 2, 2, 2]), (10, [5, 1, 1, 1]), (3, [5])]
)
def test_ways_are_given_up_so_that_the_rest_is_in_time(seconds, rows):
    steps = Steps()
    budget = Budget(seconds, lambda: steps.now)
    measured = measure(steps, torch.zeros(1, 3, dtype=torch.long), 5, 4, 7, budget)
    assert steps.rows == rows
    assert (measured is None) == (rows == [5])
    assert measured is None or len(measured.losses) == rows[-1]


def test_only_a_clear_difference_of_a_model_that_knows_something_decides():
    noise = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    clear = Measured(noise * 0.1 + torch.tensor([[3.0], [1.0], [3.0]]), torch.zeros(3), 400)
    small = Measured(noise * 0.1 + torch.tensor([[1.4], [1.0], [3.0]]), torch.zeros(3), 400)
    noisy = Measured(noise * 9.0 + torch.tensor([[2.0], [1.0], [3.0]]), torch.zeros(3), 400)
    ignorant = Measured(noise * 0.1 + torch.tensor([[9.0], [5.0], [9.0]]), torch.zeros(3), 400)
    broken = Measured(torch.full((3, 100), torch.nan), torch.zeros(3), 400)
    assert [m.winner() for m in (clear, small, noisy, ignorant, broken)] == [1, None, None, None, None]


def test_the_verb_tells_all_and_fails_where_something_is_wrong(right, capsys, tmp_path):
    assert main(["verify", str(right())]) == 0
    assert capsys.readouterr().out.count("\nok ") > 8
    folder = right(name="wrong", eos_token_id=2)
    assert main(["verify", str(folder), "--json"]) == 1
    printed = capsys.readouterr()
    checks = {check["name"]: check for check in json.loads(printed.out)["checks"]}
    assert checks["begin and end ids"]["remedy"] == f"spanmix convert {folder} DEST --to native"
    assert "1 of 13 checks are wrong: begin and end ids" in printed.err.splitlines()[-1]
    (tmp_path / "empty").mkdir()
    for missing in ("none", "empty", "none.gguf"):
        assert main(["verify", str(tmp_path / missing)]) == 2
    assert main(["verify", str(folder), "--model", "m"]) == 2
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        verify(str(folder), 600)


def test_a_ctranslate2_folder_of_a_right_model_passes_and_of_a_wrong_one_does_not(
    right, trained, regrouped, tmp_path
):

    native = tmp_path / "native"
    convert(str(right()), native, "native")
    for quantization, unsure in (("float32", {}), ("int8", {"qkv grouping": "cannot tell"})):
        convert(str(native), tmp_path / quantization, "ctranslate2", quantization)
        assert results(found(tmp_path / quantization)) == unsure
    folder = tmp_path / "float32"
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    vocabulary[5], vocabulary[6] = vocabulary[6], vocabulary[5]
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
    edit(folder / "config.json", eos_token="#")
    assert results(found(folder)) == {"vocabulary": "wrong", "begin and end ids": "wrong"}
    wrongly = right(as_gptj(in_groups(trained, regrouped, 8), 4), name="cut", kind=GPTJForCausalLM)
    convert(str(wrongly), tmp_path / "cut-fast", "ctranslate2", "float32")
    check = found(tmp_path / "cut-fast")["qkv grouping"]
    assert check.result == "wrong" and "--to ctranslate2 --mp-num 8" in check.remedy
