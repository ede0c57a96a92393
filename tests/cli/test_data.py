"""``spanmix data``: what it prints, what it writes, and what it refuses."""

import json
import subprocess
import sys

import pytest

from spanmix.cli import main
from spanmix.data.megatron_rows import Baked
from spanmix.recipes import to_yaml


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(recipe))
    return str(path)


def test_preview_prints_rows_of_which_the_second_half_answers_the_first(recipe_file, capsys):
    assert main(["data", "preview", recipe_file, "--rows", "12"]) == 0
    printed = capsys.readouterr().out
    assert [f"── row {number}:" in printed for number in range(13)] == [True] * 12 + [False]
    assert "<mask_1>" in printed and "<eom>" in printed and "code: " in printed and "prose: " in printed
    assert "loss on" in printed and "\x1b" not in printed  # no terminal, no colors


def test_preview_begins_at_any_row(recipe_file, capsys):
    assert main(["data", "preview", recipe_file, "--rows", "6"]) == 0
    first = capsys.readouterr().out
    assert main(["data", "preview", recipe_file, "--rows", "2", "--from-row", "4"]) == 0
    later = capsys.readouterr().out
    assert first.startswith("epoch: how often the source was read before; piece: which part of the document")
    later = later.partition("\n")[2]
    assert later.strip() and later in first and first.index(later) > 0


def test_preview_lists_every_position_and_writes_a_page(recipe_file, capsys, tmp_path):
    assert main(["data", "preview", recipe_file, "--rows", "1", "--tokens"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "target" in lines[3] and len([line for line in lines if line.startswith(("1:", "2:"))]) > 50
    page = tmp_path / "preview.html"
    assert main(["data", "preview", recipe_file, "--html", str(page)]) == 0
    assert page.read_text().startswith("<!DOCTYPE html>") and "wrote 4 rows" in capsys.readouterr().out


def test_preview_of_a_run_shows_the_rows_that_it_trains_on_next(recipe, tmp_path, capsys):
    from spanmix.train.run import train

    train(recipe, tmp_path / "run")
    assert main(["data", "preview", str(tmp_path / "run"), "--rows", "1"]) == 0
    next_row = recipe.run.num_steps * recipe.data.global_batch_rows
    assert f"── row {next_row}:" in capsys.readouterr().out
    assert main(["data", "preview", str(tmp_path / "run"), "--rows", "1", "--from-row", "0"]) == 0
    assert "── row 0:" in capsys.readouterr().out
    assert main(["data", "preview", str(tmp_path / "run"), "data.row_tokens=128"]) == 2
    assert "is a run, whose rows are decided; leave out data.row_tokens=128" in capsys.readouterr().err


def test_stats_prints_what_it_writes_as_json(recipe_file, capsys, tmp_path):
    page = tmp_path / "stats.html"
    assert main(["data", "stats", recipe_file, "--steps", "30", "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "120 rows of 64 positions" in printed and "tokens in a span" in printed and "█" in printed
    assert "Span lengths" in page.read_text()
    assert main(["data", "stats", recipe_file, "--steps", "30", "--json"]) == 0
    [stage] = json.loads(capsys.readouterr().out)["stages"]
    assert stage["rows"] == 120 and f"{stage['padding_share']:.2%} padding" in printed
    for name, source in stage["sources"].items():
        assert f"{source['share']:.4f}" in printed and f"{name} " in printed


def test_stats_ends_with_the_data_and_says_so(recipe_file, capsys):
    caps = ["data.sources.0.max_epochs=1", "data.sources.1.max_epochs=1"]
    assert main(["data", "stats", recipe_file, "--steps", "100000", *caps]) == 0
    printed = capsys.readouterr().out
    assert "note: there is no row " in printed and "rows of 64 positions" in printed
    notes = " ".join(line for line in printed.splitlines() if "as often as data.sources.max_epochs" in line)
    assert "prose has been read 1 time" in notes and "code has been read 1 time" in notes
    assert notes.endswith("no source is left")
    assert main(["data", "preview", recipe_file, "--from-row", "999999", *caps]) == 2
    assert "every source of the stage has been read" in capsys.readouterr().err


def test_bake_writes_parts_that_follow_each_other(recipe_file, capsys, tmp_path):
    ours = ["data.document_mask=false", "data.positions=continue"]
    for part, after in (("a", []), ("b", ["--after", str(tmp_path / "a")])):
        out = ["--out", str(tmp_path / part), "--rows", "9"]
        assert main(["data", "bake", recipe_file, *out, *after, *ours]) == 0
    assert "rows 9 to 17" in capsys.readouterr().out
    assert Baked.load(tmp_path / "b").first_row == 9
    assert main(["data", "bake", recipe_file, "--out", str(tmp_path / "a"), "--rows", "9", *ours]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["data", "bake", recipe_file, "--out", str(tmp_path / "c"), "--rows", "9"]) == 2
    assert "data.document_mask is true" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["data"], "the following arguments are required: WHAT"),
        (["data", "previw", "demo"], "invalid choice: 'previw'"),
        (["data", "preview"], "required: RECIPE"),
        (["data", "preview", "nothing.yaml"], "no such file or built-in recipe"),
        (["data", "preview", "demo", "corpus.path=/nowhere"], "corpus /nowhere does not exist"),
        (["data", "preview", "demo", "--rows", "0"], "'0' is not a whole number from 1"),
        (["data", "stats", "demo", "data.row_token=3"], "did you mean 'row_tokens'"),
        (["data", "bake", "demo", "--rows", "3"], "required: --out"),
        (["data", "preview", "demo", "--html", "p.html", "--tokens"], "leave out one of them"),
        (["data", "preview", "demo", "--html", "/dev/full"], "/dev/full is no regular file; name a file"),
        (["data", "stats", "demo", "--html", "."], "is a folder; name a file to write to"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_paragraph(arguments, words, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and not captured.out


@pytest.mark.parametrize("what", ["preview", "stats", "bake"])
def test_every_part_has_help_with_an_example(what, capsys):
    with pytest.raises(SystemExit) as left:
        main(["data", what, "--help"])
    assert left.value.code == 0
    assert f"spanmix data {what} recipe.yaml" in capsys.readouterr().out


def test_a_reader_that_has_enough_ends_it(recipe_file):
    for extra in ([], ["--tokens"]):
        command = [sys.executable, "-m", "spanmix", "data", "preview", recipe_file, "--rows", "300", *extra]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.readline()
            process.stdout.close()
            assert process.wait() == 141
            assert b"spanmix:" not in process.stderr.read()


def test_rows_of_another_recipe_do_not_follow_on(recipe_file, capsys, tmp_path):
    ours = ["data.document_mask=false", "data.positions=continue", "--rows", "9"]
    assert main(["data", "bake", recipe_file, "--out", str(tmp_path / "a"), *ours]) == 0
    after = ["--out", str(tmp_path / "b"), "--after", str(tmp_path / "a")]
    assert main(["data", "bake", recipe_file, *after, *ours, "run.seed=2"]) == 2
    assert "is of another recipe" in capsys.readouterr().err and not (tmp_path / "b").exists()
