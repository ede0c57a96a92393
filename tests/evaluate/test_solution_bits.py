"""The bits of canonical solutions are what an engine says, whatever shape the run's rows have."""

import math
import random
from dataclasses import replace

import pytest
import torch

from spanmix.evaluate.code.problem import CallCheck, CodeProblem
from spanmix.evaluate.solution_bits import SolutionBits, solution_examples
from spanmix.generate.engine import ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.text.corpus import Corpus
from spanmix.train.machine import resolve


def test_every_token_of_a_solution_is_charged_once_behind_as_much_as_fits():
    choose = random.Random(0)
    several = cut = 0
    for case in range(400):
        num_prompt, num_solution = choose.randint(0, 60), choose.randint(1, 90)
        row_tokens = choose.choice((32, 48, 80))
        prompt = list(range(1000, 1000 + num_prompt))
        solution = list(range(2000, 2000 + num_solution))
        charged = []
        examples = list(solution_examples(prompt, solution, 7, row_tokens, case))
        for piece, example in enumerate(examples):
            ids, weights = example.token_ids.tolist(), example.loss_weights.tolist()
            assert ids[0] == 7 and example.num_positions <= row_tokens
            assert (example.ref.document, example.ref.piece) == (case, piece)
            own = [token for token, weight in zip(ids, weights, strict=True) if weight]
            assert set(weights) <= {0.0, 1.0} and own == ids[len(ids) - len(own) :]
            seen = [*prompt, *solution[: len(charged)]]
            room = row_tokens - len(own)
            assert ids[1 : len(ids) - len(own)] == seen[max(0, len(seen) - room) :]
            assert room >= min(len(seen), row_tokens // 2)
            charged += own
        assert charged == solution
        several += len(examples) > 1
        cut += num_prompt + num_solution > row_tokens
    assert several > 50 and cut > several


def problem(number, prompt, canonical):
    check = CallCheck(prompt + canonical, "def check(candidate):\n    pass\n", "f")
    return CodeProblem(f"T/{number}", prompt, None, canonical, check)


@pytest.fixture
def problems():
    made = [
        problem(n, f"def value_{n}(name):\n    # {n}\n", f"    return name + {n}\n" * (n + 1))
        for n in range(5)
    ]
    return [*made, problem(5, "def total(count):\n" + "    # ü alpha beta\n" * 20, "    return count * 5\n")]


@pytest.mark.parametrize(
    "data", [{}, {"unit": "sequence", "document_mask": False, "positions": "continue"}], ids=["own", "paper"]
)
def test_bits_are_those_of_an_engine(recipe, problems, make_decoder, data):
    recipe = resolve(replace(recipe, run=replace(recipe.run, precision="fp32")))
    recipe = replace(recipe, data=replace(recipe.data, row_tokens=40, **data))
    tokenizer = Corpus.open(recipe.corpus.path).tokenizer
    decoder = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    hook = SolutionBits(recipe, tokenizer, "made_up", problems)
    requests = []
    for one in problems:
        prompt, solution = tokenizer.encode(one.prompt), tokenizer.encode(one.canonical)
        for example in solution_examples(prompt, solution, tokenizer.control.eot, 40):
            ids, weights = example.token_ids.tolist(), example.loss_weights
            shown = int((weights == 0).sum())
            requests.append(ScoreRequest(ids[:shown], ids[shown:]))
    assert len(requests) > len(problems)
    nats = -sum(sum(score.logprobs) for score in TorchEngine(decoder).score(requests))
    expected = nats / math.log(2) / sum(len(one.canonical.encode()) for one in problems)
    figures = hook.run(decoder, 1)
    assert figures.keys() == {"made_up"}
    assert figures["made_up"] == pytest.approx(expected, rel=1e-5) and expected > 1
    assert hook.run(decoder, 2) == figures
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_bits_do_not_depend_on_how_rows_are_cut_into_batches(recipe, problems, make_decoder):
    decoder = make_decoder(2, 64, 4, 8, 64, vocab_size=512)
    tokenizer = Corpus.open(recipe.corpus.path).tokenizer
    found = []
    for rows in (1, 3, 0):
        cut = resolve(replace(recipe, parallel=replace(recipe.parallel, micro_batch_rows=rows)))
        found.append(SolutionBits(cut, tokenizer, "made_up", problems).run(decoder, 1)["made_up"])
    assert found[1:] == pytest.approx([found[0]] * 2, rel=2e-2)  # what bf16 leaves
    assert torch.is_grad_enabled()
