"""How a model is asked is read from its folder, whoever wrote it."""

import json

import pytest

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.generate.asked import read_asked
from spanmix.generate.formats import codegen2_format
from spanmix.model.folder import load_model_folder, save_model_folder

SHAPE = (1, 32, 1, 8, 128)


@pytest.fixture
def folder(tmp_path, make_decoder, tokenizer):
    return save_model_folder(tmp_path / "model", make_decoder(*SHAPE), tokenizer, {})


def rewrite(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def set_section(**fields):
    return lambda config: config.update(spanmix={"format_version": 1, **fields})


def test_our_folders_say_how_our_models_are_asked(folder, tokenizer):
    section = json.loads((folder / "config.json").read_text())["spanmix"]
    assert section == {
        "format_version": 1,
        "start": ["<|endoftext|>"],
        "infill": {
            "prefix": [],
            "suffix": ["<mask_1>"],
            "middle": ["<|endoftext|>", "<sep>", "<mask_1>"],
            "end": ["<eom>", "<|endoftext|>"],
            "order": "psm",
            "lead_tokens": 32,
        },
    }
    asked = read_asked(folder, tokenizer)
    assert asked.start_ids == (tokenizer.control.eot,)
    assert asked.infill == codegen2_format(tokenizer.control)
    rewrite(folder, set_section())  # as an earlier version wrote it
    assert read_asked(folder, tokenizer) == asked


def test_a_folder_that_others_wrote_is_asked_as_codegen2s_card_says(folder, tokenizer):
    rewrite(folder, lambda config: config.pop("spanmix"))
    asked = read_asked(folder, tokenizer)
    assert asked.start_ids == () and asked.infill is not None
    # prefix <mask_1> suffix <|endoftext|> <sep> <mask_1>
    control, mask = tokenizer.control, tokenizer.control.masks[0]
    prompt = [10, 11, mask, 12, control.eot, control.sep, mask]
    assert asked.infill.prompt([10, 11], [12]) == prompt
    assert asked.infill.sentinels == control.masks


def test_without_codegen2s_controls_a_foreign_model_does_not_infill(folder, tokenizer):
    rewrite(folder, lambda config: config.pop("spanmix"))
    untrained = tokenizer.with_controls(trained=False)
    asked = read_asked(folder, untrained)
    assert asked.start_ids == () and asked.infill is None


def test_another_order_has_no_second_cursor(folder, tokenizer):
    middle = ["<mask_3>"]
    infill = {"prefix": ["<mask_1>"], "suffix": ["<mask_2>"], "middle": middle, "end": ["<eom>"]}
    rewrite(folder, set_section(start=[], infill={**infill, "order": "spm", "lead_tokens": 0}))
    asked = read_asked(folder, tokenizer)
    one, two, three = tokenizer.control.masks[:3]
    assert asked.infill.prompt([10], [12]) == [two, 12, one, 10, three] and asked.infill.sentinels == ()


INFILL = {"prefix": [], "suffix": [], "middle": [], "end": ["<eom>"], "order": "psm", "lead_tokens": 0}
BROKEN = [
    (set_section(start=["<bos>"]), r"config\.json: the model is asked with '<bos>'.*no such special token"),
    (set_section(start=[], infill={**INFILL, "middle": ["def"]}), "asked with 'def'"),
    (set_section(start="x"), r"spanmix\.start 'x'"),
    (set_section(start=[], infill={**INFILL, "order": "mps"}), "order 'mps'"),
    (set_section(start=[], infill={**INFILL, "lead_tokens": -1}), "lead_tokens -1"),
    (set_section(start=[], infill={**INFILL, "end": []}), r"infill\.end \[\]"),
    (set_section(start=[], infill={}), r"has no spanmix\.infill\.prefix"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_a_broken_section_is_refused_with_its_reason(folder, tokenizer, change, message):
    rewrite(folder, change)
    with pytest.raises(InputError, match=message):
        read_asked(folder, tokenizer)


def test_a_model_that_cannot_infill_completes(folder, capsys):
    rewrite(folder, set_section(start=[], infill=None))
    infill = ["infill", str(folder), "--prefix", "a", "--suffix", "b", "--max-tokens", "4"]
    assert main(infill) == 2
    assert "was not trained to infill" in capsys.readouterr().err
    assert main([*infill, "--lead-tokens", "3"]) == 2
    capsys.readouterr()
    for prompt, num_prompt_tokens in (("x", 1), ("", 1)):
        complete = ["complete", str(folder), "--prompt", prompt, "--max-tokens", "4", "--json"]
        assert main(complete) == 0
        assert json.loads(capsys.readouterr().out)["num_prompt_tokens"] == num_prompt_tokens


def test_lead_tokens_override_the_folders_if_they_are_given(folder, capsys, monkeypatch):
    seen = []

    def infill_many(engine, tokenizer, format, parts, sampling, healer):
        seen.append(format.lead_tokens)
        raise InputError("enough")

    monkeypatch.setattr("spanmix.generate.infill.infill_many", infill_many)
    infill = ["infill", str(folder), "--prefix", "a", "--suffix", "b", "--max-tokens", "4"]
    for more in ([], ["--lead-tokens", "0"], ["--lead-tokens", "7"]):
        assert main([*infill, *more]) == 2
    capsys.readouterr()
    assert seen == [32, 0, 7]
    assert load_model_folder(folder)[0].architecture.form == "codegen"
