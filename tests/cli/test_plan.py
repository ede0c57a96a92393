"""``spanmix plan``: what it prints, and how it refuses."""

import json

import pytest

from spanmix.cli import main
from spanmix.cli.plan import _duration
from spanmix.text.tokenizer import Tokenizer

PAPER = ["plan", "paper", "--gpus", "8", "--gpu", "h100"]


def planned(capsys, *arguments, exit_code=0):
    """Run the verb with --json; return its object and what went to stderr."""
    assert main([*arguments, "--json"]) == exit_code
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_the_table_and_the_object_say_the_same(capsys):
    found, _ = planned(capsys, *PAPER)
    assert main(PAPER) == 0
    text = capsys.readouterr().out
    assert "vocabulary: 51,200, as the recipe has it; corpora/paper is not there" in text
    assert "layout: 8 (replicate) x 1 (shard) x 1 (tensor) on 8 x h100, bf16, checkpointing none" in text
    assert f"{found['tokens_per_second']:,.0f}" in text and f"{found['dollars']:,.0f}" in text
    assert "assumed, not measured" in text
    for moment, parts in found["memory_bytes"].items():
        assert moment in text and sum(parts.values()) <= found["needed_bytes"] < found["usable_bytes"]
    assert sum(found["parameters"].values()) == 1_015_306_240
    assert found["tokens"] == 350_000 * 256 * 2048
    assert found["dollars"] == pytest.approx(found["device_hours"] * 3.99)
    assert not found["speed_is_measured"] and found["would_fit"] is None


def test_a_measured_share_and_a_price_take_the_place_of_ours(capsys):
    found, _ = planned(capsys, *PAPER, "--mfu", "0.5", "--price", "2")
    assert found["mfu"] == pytest.approx(0.5) and found["speed_is_measured"]
    assert found["dollars"] == pytest.approx(2 * found["device_hours"])


def test_what_cannot_fit_is_refused_with_what_would(capsys):
    """The table is printed all the same, and the advice, typed as it stands, fits."""
    large = [*PAPER, "model.preset=codegen2-7b"]
    found, error = planned(capsys, *large, exit_code=2)
    assert not found["fits"] and found["would_fit"]["overrides"]
    assert "GiB in each device" in error and "of h100 are usable" in error
    advised = error.rpartition("would fit with ")[2].split()
    assert advised == found["would_fit"]["overrides"]
    again, _ = planned(capsys, *large, *advised)
    assert again["fits"]

    assert main(large) == 2
    assert "largest micro_batch_rows that fits" in capsys.readouterr().out


def test_more_devices_or_none_are_advised(capsys):
    _, error = planned(capsys, "plan", "paper", "--gpu", "h100", "model.preset=codegen2-16b", exit_code=2)
    assert "would fit with --gpus " in error
    wide = ["model.preset=codegen2-16b", "tokenizer.vocab_size=1048576"]
    _, error = planned(capsys, "plan", "paper", "--gpu", "l40s", *wide, exit_code=2)
    assert "take a larger device" in error


def test_the_corpus_tokenizer_is_taken_where_there_is_one(capsys, tmp_path):
    Tokenizer.train(["def f(x):\n    return x\n"], vocab_size=448, num_sentinels=9).save(
        tmp_path / "tokenizer"
    )
    found, _ = planned(capsys, "plan", "demo", "--gpu", "cpu", f"corpus.path={tmp_path}")
    assert found["parameters"]["embedding"] == 448 * 256
    assert main(["plan", "demo", "--gpu", "cpu", f"corpus.path={tmp_path}"]) == 0
    assert f"vocabulary: 448, of {tmp_path / 'tokenizer'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "demo"], "--gpu"),
        (["plan", "demo", "--gpu", "h10"], "did you mean 'h100'"),
        (["plan", "demo", "--gpu", "tpu-v9"], "a100-40, a100-80, b200, cpu"),
        (["plan", "demo", "--gpu", "h100", "--gpus", "0"], "--gpus: '0' is not a whole number from 1"),
        (["plan", "demo", "--gpu", "h100", "--gpus", "3"], "data.global_batch_rows is 8, which 3 processes"),
        (["plan", "demo", "--gpu", "h100", "--mfu", "40"], "--mfu: '40' is not a share from 0.000001 to 1"),
        (["plan", "demo", "--gpu", "h100", "--mfu", "1e-320"], "--mfu: '1e-320' is not a share"),
        (["plan", "demo", "--gpu", "h100", "--price", "1e308"], "is not a price from 0 to 1,000,000"),
        (["plan", "demo", "--gpu", "h100", "--mfu", "nan"], "--mfu: 'nan' is not a share"),
        (["plan", "demo", "--gpu", "h100", "--price", "-1"], "--price"),
        (["plan", "demo", "--gpu", "h100", "--price", "much"], "--price: 'much' is not a number"),
        (["plan", "demo", "--gpu", "h100", "run.sed=1"], "did you mean 'seed'"),
    ],
)
def test_what_cannot_be_planned_is_refused(capsys, arguments, said):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err and printed.out == "" and printed.err.count("\n") == 1


def test_times_are_in_the_largest_unit_that_they_fill_and_always_finite(capsys):
    short = ["plan", "demo", "--gpu", "h100", "run.num_steps=1"]
    assert main(short) == 0
    text = capsys.readouterr().out
    assert "\nseconds  " in text and "days" not in text and "device hours" in text
    found, _ = planned(capsys, *PAPER, "--mfu", "1e-6", "--price", "1e6")
    assert all(found[name] > 0 for name in ("days", "dollars", "step_seconds", "tokens_per_second", "mfu"))
    assert _duration(0.5) == ["minutes", "30.00"] and _duration(24) == ["days", "1.00"]
