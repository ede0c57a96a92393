"""Recipes: what is written is what runs, and a typing slip never passes in silence."""

import copy
import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix import objective_configs
from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.recipes import (
    load_corpus_recipe,
    load_recipe,
    parse_fields,
    recipe_from_fields,
    to_fields,
    to_yaml,
)

RECIPE = """
corpus:
  path: corpus
  sources:
    - {name: code, paths: [src], include: ["*.py"]}
model: {preset: demo}
objectives:
  - {name: causal, weight: 1}
  - {name: infill, weight: 1, max_ratio: 0.25}
data:
  row_tokens: 512
  global_batch_rows: 8
  sources:
    - {name: code, weight: 0.8}
    - {name: prose, weight: 0.2}
optimizer: {learning_rate: 1e-4}
schedule: {warmup_steps: 10}
run: {seed: 1, num_steps: 100, save_every_steps: 50}
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    return str(file)


def refusal(path: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize(
    ("old", "new", "key", "meant"),
    [
        ("schedule:", "shedule:", "shedule", "schedule"),
        ("learning_rate:", "learning_rat:", "optimizer.learning_rat", "learning_rate"),
        ("max_ratio:", "max_ration:", "objectives.1.max_ration", "max_ratio"),
        ("{name: prose, weight: 0.2}", "{name: prose, wieght: 0.2}", "data.sources.1.wieght", "weight"),
        ("include:", "inclde:", "corpus.sources.0.inclde", "include"),
    ],
)
def test_an_unknown_key_names_the_nearest_at_every_depth(tmp_path, old, new, key, meant):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.replace(old, new, 1), encoding="utf-8")
    message = refusal(str(file))
    assert f"unknown key {key} (did you mean {meant!r}?)" in message
    assert str(file) in message


def test_a_key_that_resembles_nothing_lists_the_choices(path):
    message = refusal(path, "run.zzzz=1")
    assert "run.zzzz" in message
    assert "num_steps" in message and "seed" in message


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("run.num_steps=many", "run.num_steps"),
        ("run.num_steps='100'", "run.num_steps"),
        ("run.num_steps=1.5", "run.num_steps"),
        ("run.num_steps=true", "run.num_steps"),
        ("run.num_steps=", "run.num_steps"),
        ("optimizer.learning_rate=[1]", "optimizer.learning_rate"),
        ("model.preset=3", "model.preset"),
        ("objectives.0.loss_on_sentinels=1", "objectives.0.loss_on_sentinels"),
        ("data.sources.0.weight=heavy", "data.sources.0.weight"),
        ("data.sources={}", "data.sources"),
        ("corpus.path=2026-01-01", "test|recipe"),
    ],
)
def test_a_wrong_type_names_its_field(path, override, field):
    assert re.search(field, refusal(path, override))


def test_a_missing_required_field_is_named(path):
    fields = parse_fields(RECIPE, "test")
    del fields["run"]["seed"]
    with pytest.raises(InputError, match=r"run\.seed"):
        recipe_from_fields(fields, "test")


def test_overrides_reach_every_depth(path):
    overrides = [
        "run.seed=7",
        "optimizer.learning_rate=3e-4",
        "objectives.1.max_spans=4",
        "data.sources.0.name=rust",
        "evaluate.every_steps=20",
        "tokenizer.path=some/folder",
        "corpus.sources.0.include=['*.rs', '*.toml']",
    ]
    recipe = load_recipe(path, overrides)
    assert recipe.run.seed == 7
    assert recipe.optimizer.learning_rate == 3e-4
    assert recipe.objectives[1].max_spans == 4
    assert [source.name for source in recipe.data.sources] == ["rust", "prose"]
    assert recipe.evaluate.every_steps == 20
    assert recipe.tokenizer.path == "some/folder"
    assert recipe.corpus.sources[0].include == ("*.rs", "*.toml")


def test_the_last_override_wins(path):
    assert load_recipe(path, ["run.seed=1", "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("run.seed", "not of the form"),
        ("=3", "not of the form"),
        ("objectives.2.weight=1", "'2' is not an index from 0 to 1"),
        ("objectives.first.weight=1", "'first' is not an index"),
        ("run.seed.more=1", "which has no fields"),
        ("run.seed=]", "override run.seed: its value is not valid YAML"),
        ("run.seed=2026-99-99", "override run.seed: its value holds a number, a date"),
        ("run={seed: 1, seed: 2}", "the key 'seed' stands"),
    ],
)
def test_a_broken_override_is_refused(path, override, said):
    assert said in refusal(path, override)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-4", 1e-4),
        ("3E-4", 3e-4),
        ("1.5e3", 1500.0),
        (".5e1", 5.0),
        ("1.e-2", 0.01),
        ("2e+1", 20.0),
        ("5", 5),
    ],
)
def test_scientific_notation_is_a_number(path, text, number):
    assert load_recipe(path, [f"optimizer.learning_rate={text}"]).optimizer.learning_rate == number


def test_exponents_do_not_swallow_words(path):
    assert load_recipe(path, ["model.preset=e4"]).model.preset == "e4"


def test_no_such_recipe(tmp_path):
    message = refusal(str(tmp_path / "missing.yaml"))
    assert "missing.yaml" in message and "no such file" in message


BROKEN = ["a: [", "- 1\n- 2\n", "", "just words", "a: !!python/object:os.system {}", "a: " + "[" * 10_000]
BROKEN += ["corpus: 2026-99-99", "corpus: &x [*x]", 'corpus: {path: "\\ud800"}', "corpus: null"]
BROKEN += [f"run: {{seed: {value}}}" for value in ("!!int x", "!!bool x", "!!timestamp x", "9" * 5000)]


@pytest.mark.parametrize("text", BROKEN, ids=[text[:24] for text in BROKEN])
def test_a_file_that_is_no_recipe(tmp_path, text):
    file = tmp_path / "broken.yaml"
    file.write_text(text, encoding="utf-8")
    assert "broken.yaml" in refusal(str(file))


def test_a_folder_is_no_recipe(tmp_path):
    (tmp_path / "folder.yaml").mkdir()
    assert "folder.yaml is a folder; name a recipe file" in refusal(str(tmp_path / "folder.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "schedule: {",
            "run: {seed: 2}\nschedule: {",
            "the key 'run' stands in line 17 and again in line 19",
        ),
        (
            "  row_tokens: 512",
            "  row_tokens: 64\n  row_tokens: 512",
            "stands in line 11 and again in line 12",
        ),
        ("{seed: 1,", '{seed: 1, "seed": 2,', "the key 'seed' stands in line 18 and again in line 18"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path, old, new, said):
    file = tmp_path / "twice.yaml"
    assert old in RECIPE
    file.write_text(RECIPE.replace(old, new), encoding="utf-8")
    message = refusal(str(file))
    assert said in message and "twice.yaml" in message


def test_a_merged_key_may_stand_again(tmp_path):
    file = tmp_path / "merged.yaml"
    text = RECIPE.replace("{name: code, weight: 0.8}", "&code {name: code, weight: 0.8}")
    text = text.replace("{name: prose, weight: 0.2}", "{<<: *code, name: prose}")
    file.write_text(text, encoding="utf-8")
    sources = load_recipe(str(file)).data.sources
    assert [(source.name, source.weight) for source in sources] == [("code", 0.8), ("prose", 0.8)]


def test_prepare_needs_only_corpus_and_tokenizer(tmp_path):
    file = tmp_path / "part.yaml"
    file.write_text("corpus: {path: c}\ntokenizer: {vocab_size: 512}\n")
    part = load_corpus_recipe(str(file), ["corpus.held_out_share=0.1"])
    assert (part.corpus.held_out_share, part.tokenizer.vocab_size) == (0.1, 512)
    assert "model is missing" in refusal(str(file))
    for more, said in (("modle: 1", "did you mean 'model'"), ("run: {seed: 1}", "model is missing")):
        file.write_text(f"corpus: {{path: c}}\n{more}\n")
        with pytest.raises(InputError, match=said):
            load_corpus_recipe(str(file))


def test_the_yaml_of_a_recipe_is_the_recipe(path):
    recipe = load_recipe(path)
    assert recipe_from_fields(parse_fields(to_yaml(recipe), "again"), "again") == recipe


small = st.floats(1e-6, 1.0, exclude_min=True, allow_subnormal=False)


@given(small, small, st.integers(0, 2**62), st.integers(1, 10**12), st.text(min_size=1, max_size=12))
def test_any_recipe_survives_yaml(learning_rate, weight, seed, num_steps, name):
    fields = copy.deepcopy(parse_fields(RECIPE, "test"))
    fields["optimizer"]["learning_rate"] = learning_rate
    fields["data"]["sources"][0] = {"name": f"x{name}", "weight": weight}
    fields["run"] |= {"seed": seed, "num_steps": num_steps}
    recipe = recipe_from_fields(fields, "test")
    again = recipe_from_fields(parse_fields(to_yaml(recipe), "again"), "again")
    assert again == recipe
    assert to_fields(again) == to_fields(recipe)


def documented_fields() -> dict[str, list[str]]:
    """Fields by section, as the tables of docs/recipes.md list them."""
    text = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if heading := re.fullmatch(r"## `([\w.\[\]]+)`", line):
            current = sections.setdefault(heading[1].replace("[]", ""), [])
        elif row := re.match(r"\| `(\w+)` \|", line):
            current.append(row[1])
    return sections


def test_the_recipe_page_documents_every_field_with_its_default(recipe_sections):
    kinds = recipe_sections
    assert {name.split(".")[0] for name in kinds} == {field.name for field in dataclasses.fields(Recipe)}
    shared = {field.name for field in dataclasses.fields(objective_configs.CausalConfig)}
    fields = {
        name: [
            f for f in dataclasses.fields(kind) if not name.startswith("objectives.") or f.name not in shared
        ]
        for name, kind in kinds.items()
    }
    documented = {name: set(rows) for name, rows in documented_fields().items()}
    assert documented == {name: {field.name for field in own} for name, own in fields.items()}
    text = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for section, own in fields.items():
        first, _, rest = section.partition(".")
        heading = f"## `{first}[].{rest}`" if first == "objectives" and rest else f"## `{section}"
        heading = heading.replace("corpus.sources.", "corpus.sources[].")
        part = text.split(heading, 1)[1].split("\n## ", 1)[0]
        for field in own:
            row = next(line for line in part.splitlines() if line.startswith(f"| `{field.name}` |"))
            assert f"| {shown_default(section, field)} |" in row, f"{section}.{field.name}: {row}"


def shown_default(section: str, field: "dataclasses.Field[object]") -> str:
    """A default as a recipe would write it; a required field says so."""
    if field.name == "name" and section.startswith("objectives"):
        return "required"  # it tells which objective is meant
    if field.default_factory is not dataclasses.MISSING:
        return "below"
    if field.default is dataclasses.MISSING:
        return "required"
    text = field.default if isinstance(field.default, str) else json.dumps(field.default)
    return f"`{text}`"


def test_a_value_that_a_shell_cut_is_said_to_be_cut(tmp_path):
    from spanmix.cli.recipe_inputs import corpus_recipe

    for cut, closing in (("{style:", "}"), ("[a,", "]"), ("{near: drop,", "}")):
        words = re.escape(f"quotation marks, as 'corpus.redaction={cut} …{closing}'")
        with pytest.raises(InputError, match=words):
            load_recipe("demo", [f"corpus.redaction={cut}", "x}"])
        with pytest.raises(InputError, match=words):  # and not that there is no source x}
            corpus_recipe([str(tmp_path), f"corpus.redaction={cut}", "x}"], "out")


@pytest.mark.parametrize(
    ("field", "word", "rule"),
    [
        ("corpus.duplicates.near", "yes", ": use one of drop, together"),
        ("corpus.redaction.style", "off", ": use parsable or bigcode"),
        ("corpus.path", "on", ""),
    ],
)
def test_a_word_that_yaml_takes_for_a_truth_value_is_explained(field, word, rule):
    said = f"{field} is {word in ('yes', 'on')}; input should be a valid string{rule} (YAML reads a bare yes"
    with pytest.raises(InputError, match=re.escape(said)):
        load_recipe("demo", [f"{field}={word}"])
