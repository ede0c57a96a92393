"""`spanmix evaluate` of a server gives what it gives of the folder that is served."""

import json

import pytest

from spanmix.cli import main
from spanmix.model.folder import save_model_folder

PROBLEMS = [
    {
        "task_id": f"mine/{number}",
        "prompt": f"def add{number}(a, b):\n",
        "suffix": "\nprint(a)\n",
        "entry_point": f"add{number}",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
    }
    for number in range(3)
]


@pytest.fixture
def folder(tiny_decoder, tokenizer, tmp_path):
    (tmp_path / "lambada.jsonl").write_text('{"text": "return a + b"}\n{"text": "def add a class"}\n')
    lines = [json.dumps(row) + "\n" for row in PROBLEMS]
    (tmp_path / "problems.jsonl").write_text("".join(lines))
    return save_model_folder(tmp_path / "model", tiny_decoder, tokenizer, {})


def test_questions_and_infills_are_the_same(folder, make_model_server, serve, tmp_path, capsys):
    tasks = ["--tasks", f"lambada={tmp_path / 'lambada.jsonl'},{tmp_path / 'problems.jsonl'}"]
    options = ["--max-tokens", "8", "--no-grade", "--json"]
    server = make_model_server()
    with serve(server) as url:
        for name, model in (("served", [url, "--tokenizer", str(folder)]), ("own", [str(folder)])):
            assert main(["evaluate", *model, *tasks, *options, "--samples", str(tmp_path / name)]) == 0
            found = json.loads(capsys.readouterr().out)
            (tmp_path / f"{name}.json").write_text(json.dumps(found["questions"]["lambada"]["items"]))
            if name == "served":
                assert found["how"]["model"] == f"tiny at {url}/v1" and found["how"]["weights_sha256"] is None
    served, own = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("served", "own"))
    for one, other in zip(served, own, strict=True):
        assert one["logprobs"] == pytest.approx(other["logprobs"], abs=1e-4)
    served, own = (
        (tmp_path / name / "problems.jsonl").read_text().splitlines() for name in ("served", "own")
    )
    assert sorted(served) == sorted(own) and len(own) == 3
    assert len(server.bodies) > 5


def test_a_server_needs_a_tokenizer_and_no_engine(make_model_server, serve, folder, tmp_path, capsys):
    tasks = ["--tasks", "humaneval", "--samples", str(tmp_path / "kept"), "--max-tokens", "8"]
    with serve(make_model_server()) as url:
        assert main(["evaluate", url, *tasks]) == 2
        assert "--tokenizer FOLDER" in capsys.readouterr().err
        asked = ["--tokenizer", str(folder), *tasks]
        assert main(["evaluate", url, *asked, "--engine", "torch"]) == 2
        assert "is a server" in capsys.readouterr().err
        assert main(["evaluate", url, *asked, "--server-ends", "<eon>"]) == 2
        assert "no control '<eon>' (did you mean '<eom>'?)" in capsys.readouterr().err
        assert main(["evaluate", url, *asked, "--server-ends", ""]) == 2
        assert "<mask_" not in capsys.readouterr().err
        assert main(["evaluate", url, *asked, "--served-name", "other"]) == 2
        assert "/v1/models lists no model 'other'; give a name that it lists" in capsys.readouterr().err
