"""The examples run as they stand, on a recipe of the data alone, and without our model or trainer."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

RECIPE = """\
corpus: {{path: {corpus}}}
objectives:
  - {{name: causal, weight: 1}}
  - {{name: infill, weight: 1, max_spans: 4}}
data:
  row_tokens: 127
  global_batch_rows: 4
  window_documents: 8
  sources: [{{name: code, weight: 0.8}}, {{name: prose, weight: 0.2}}]
run: {{seed: 1}}
"""
GUARD = """
import runpy, sys
runpy.run_path(sys.argv[0], run_name="__main__")
others = tuple(f"spanmix.{name}." for name in ("model", "train", "generate", "evaluate"))
bad = [name for name in sys.modules if name.startswith(others)]
assert "spanmix.data.build" in sys.modules and not bad, bad
"""


@pytest.fixture
def recipe_file(corpus_folder, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(corpus=corpus_folder))
    return path


def run(name, *arguments):
    code = f"import sys; sys.argv = {[str(EXAMPLES / name), *map(str, arguments)]!r}\n{GUARD}"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_every_example_is_run_here_and_is_short():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {"torch_loop.py", "transformers_trainer.py", "torchtitan_rows.py", "megatron_bake.py"}
    for name in names:
        code = (EXAMPLES / name).read_text().split('"""', 2)[2]
        lines = [
            line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))
        ]
        assert len(lines) <= 20, f"{name}: {len(lines)} lines beside its imports"


def test_a_loop_of_ones_own_goes_on_where_it_was(recipe_file):
    lines = run("torch_loop.py", recipe_file).splitlines()
    assert [int(line.split()[0]) for line in lines] == [0, 4, 8, 12, 16, 20, 24]
    assert all("torch.Size([4, 127])" in line for line in lines)


def test_transformers_trainer_trains_on_our_rows(recipe_file, corpus_folder, make_decoder, tmp_path):
    from spanmix.model.folder import save_model_folder
    from spanmix.text.corpus import Corpus

    model = save_model_folder(
        tmp_path / "model",
        make_decoder(1, 32, 2, 8, 128, vocab_size=512),
        Corpus.open(corpus_folder).tokenizer,
        {},
    )
    printed = run("transformers_trainer.py", recipe_file, model, tmp_path / "out")
    assert printed.count("'loss'") == 3


def test_torchtitan_gets_batches_and_sequences(recipe_file):
    lines = run("torchtitan_rows.py", recipe_file).splitlines()
    assert lines[0] == " ".join(["torch.Size([4, 127])"] * 3)
    assert len(lines) > 3 and all("input_ids" in line and "positions" in line for line in lines[1:])


def test_megatron_gets_rows_in_two_parts(recipe_file, tmp_path):
    overrides = ("data.document_mask=false", "data.positions=continue")
    printed = run("megatron_bake.py", recipe_file, tmp_path / "out", *overrides)
    assert "--seq-length 128 --split 100,0,0" in printed
    assert (tmp_path / "out" / "second" / "rows.idx").is_file()
