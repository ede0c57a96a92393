"""What a model folder says of how to ask is what the objectives wrote into the examples."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from spanmix.cli import main
from spanmix.generate.asked import in_ids
from spanmix.model.prompting import CODEGEN2_CARD, OURS
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    PrefixLMConfig,
    PromptResponseConfig,
    Ul2Config,
)
from spanmix.objectives.build import build
from spanmix.objectives.objective import Alphabet, DocumentKey, TokenizedDocument, write_all
from spanmix.train.run import train
from spanmix.train.trained_prompting import trained_prompting
from spanmix.types import ControlIds

CONTROL = ControlIds(eot=0, sep=1, eom=2, pad=9, masks=(3, 4))
NAMES = {"<fim_prefix>": 5, "<fim_suffix>": 6, "<fim_middle>": 7, "<mode>": 8}
STRINGS = {"<|endoftext|>": 0, "<sep>": 1, "<eom>": 2, "<mask_1>": 3, "<mask_2>": 4, "<pad>": 9}
TOKENIZER = SimpleNamespace(control=CONTROL, special_ids=STRINGS | NAMES)
SPANS = {"weight": 1, "max_spans": 2, "min_ratio": 0.3, "max_ratio": 0.3, "cut": "token"}
TAUGHT = [
    InfillConfig(**SPANS),
    InfillConfig(mode_token="<mode>", **SPANS),
    FimConfig(weight=1, cut="token", spm_share=0),
    FimConfig(weight=1, cut="token", spm_share=1),
    FimConfig(weight=1, cut="token", spm_share=0, mode_token="<mode>"),
    FimConfig(weight=1, cut="token", spm_share=1, mode_token="<mode>"),
]


def examples_of(config, num_documents=40):
    """The tokens of documents 100, 101, ... as an objective writes them."""
    alphabet = Alphabet(CONTROL, np.zeros(200, dtype=bool), NAMES)
    objective = build(0, config, alphabet, None)
    document = TokenizedDocument(np.arange(100, 130, dtype=np.int32))
    for number in range(num_documents):
        key = DocumentKey(seed=0, source=0, source_key=0, document=number, epoch=0, corruption_epoch=0)
        for example in write_all(objective, document, key, row_tokens=64):
            if CONTROL.masks[1] not in example.token_ids:  # one gap
                yield example.token_ids.tolist()


@pytest.mark.parametrize("config", TAUGHT)
def test_the_prompt_is_how_the_examples_begin(config):
    """Cut in front of what is hidden, each is the prompt for what stands around it, to the token."""
    asked = in_ids(trained_prompting([config], None), TOKENIZER)
    format = replace(asked.infill, lead_tokens=0)
    assert asked.start_ids == (CONTROL.eot,)
    ids, seen = list(range(100, 130)), set()
    for tokens in examples_of(config):
        ways = [
            (start, stop)
            for start in range(31)
            for stop in range(start, 31)
            if [*format.prompt(ids[:start], ids[stop:]), *ids[start:stop], format.end[0]]
            in (tokens, tokens[:-1])  # <|endoftext|> may stand behind <eom>
        ]
        assert len(ways) == 1 or (ways and format.order == "spm"), tokens
        seen |= {*ways}
    assert len(seen) > 5


def test_of_several_the_one_with_the_most_weight_is_asked():
    def middle(*objectives):
        infill = trained_prompting(objectives, None).infill
        return infill.middle if infill else None

    causal, infill = CausalConfig(weight=9), InfillConfig(weight=1)
    fim, ul2 = FimConfig(weight=2, spm_share=0.5), Ul2Config(weight=3)
    assert middle(causal) is None
    assert middle(causal, PrefixLMConfig(weight=1), PromptResponseConfig(weight=1)) is None
    assert middle(causal, infill) == middle(ul2) == middle(fim, infill, ul2) == OURS.infill.middle
    assert middle(infill, fim) == ("<fim_middle>",)
    several = replace(fim, spm_share=0.9)
    assert middle(infill, several) == ()  # suffix-prefix-middle


def test_the_longest_spans_of_ul2_are_asked_for():
    modes = ("<r>", "<s>", "<x>")
    assert trained_prompting([Ul2Config(weight=1, mode_tokens=modes)], None).infill.prefix == ("<x>",)


def test_a_run_without_infill_leaves_what_its_base_could():
    base = CODEGEN2_CARD.infill
    assert trained_prompting([CausalConfig(weight=1)], base).infill == base
    assert trained_prompting([InfillConfig(weight=1)], base).infill == OURS.infill


def test_a_run_without_infill_leaves_a_model_that_says_so(recipe, corpus_folder, tmp_path, capsys):
    recipe = replace(recipe, objectives=(CausalConfig(weight=1),))
    recipe = replace(recipe, run=replace(recipe.run, num_steps=1))
    train(recipe, tmp_path / "run")
    model = str(tmp_path / "run" / "model")
    section = json.loads((tmp_path / "run" / "model" / "config.json").read_text())["spanmix"]
    assert (section["start"], section["infill"]) == (["<|endoftext|>"], None)
    assert main(["infill", model, "--prefix", "a", "--suffix", "b", "--max-tokens", "4"]) == 2
    assert "was not trained to infill" in capsys.readouterr().err
    evaluate = ["evaluate", model, "--corpus", str(corpus_folder), "--sources", "code"]
    assert main([*evaluate, "--tasks", "infill"]) == 2
    assert main([*evaluate, "--json"]) == 0
    printed = capsys.readouterr()
    assert "infill is left out" in printed.err and json.loads(printed.out)["infill"] == []
    # Another run may go on from it and teach it.
    again = replace(recipe, objectives=(InfillConfig(weight=1, max_spans=4),))
    again = replace(again, model=replace(again.model, preset=None, init_from=model))
    train(again, tmp_path / "again")
    section = json.loads((tmp_path / "again" / "model" / "config.json").read_text())["spanmix"]
    assert section["infill"]["middle"] == [*OURS.infill.middle]
