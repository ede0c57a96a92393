"""``spanmix train``: what it says of a run that begins, goes on, or was finished before."""

from spanmix.cli import main
from spanmix.recipes import to_yaml


def test_a_run_that_goes_on_or_is_finished_says_so_and_one_process_speaks(
    capsys, recipe, tmp_path, monkeypatch
):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]

    def trained(num_steps):
        assert main([*command, f"run.num_steps={num_steps}"]) == 0
        return capsys.readouterr()

    first, further, again = trained(2), trained(3), trained(3)
    assert "goes on" not in first.err and first.out.startswith("trained 2 steps; the model is ")
    assert f"spanmix: trains {tmp_path / 'run'}: " in first.err
    rows = f"each of {recipe.data.global_batch_rows} rows of {recipe.data.row_tokens} positions"
    assert f" parameters on cpu, steps 1 to 2, {rows}\nstep 1 of 2" in first.err
    assert " on cpu, steps 3 to 3, each" in further.err
    assert "spanmix: goes on from step 2 of 3\n" in further.err and further.out.startswith("trained 3 steps")
    assert again.err == "" and again.out.startswith("was finished already: 3 steps; the model is ")
    monkeypatch.setenv("RANK", "1")
    assert trained(3).out == ""
