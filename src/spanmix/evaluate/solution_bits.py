"""Watch how many bits a model in training needs for the canonical solutions of problems, given the prompts.

Only the solution is charged: the nats of all its tokens over the bytes of all solutions. Prompt and solution
are encoded each by itself, as the two are when a model answers. One that is longer than a row is scored in
windows, the far end of the prompt left out first. In rows of 6 positions a prompt of 3 tokens and a solution
of 5 are charged like this (``.`` is seen, ``#`` is charged)::

    token     0 1 2 3 4 5 6 7
    window 1  . . . # # #
    window 2      . . . . # #

A few rows hold many solutions, which do not see each other. It costs the forward pass of these rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from spanmix.config import Recipe
from spanmix.data.packing import Row, collate, pack
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.model.decoder import Decoder
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.machine import compute_dtype
from spanmix.train.step import batch_losses
from spanmix.types import DocumentRef, Example


class SolutionBits:
    """Bits per byte of canonical solutions given their prompts, over all of them.

    It goes the way of a training batch, so all processes of a run take part, however the model is spread.

    Args:
        recipe: a resolved recipe.
        tokenizer: the corpus's.
        name: of the set of problems.
        problems: each is continued, and has a canonical solution.
    """

    kind = "solution_bits_per_byte"

    def __init__(
        self, recipe: Recipe, tokenizer: Tokenizer, name: str, problems: Sequence[CodeProblem]
    ) -> None:
        self.every_steps = recipe.evaluate.every_steps
        self._name = name
        self._dtype = compute_dtype(recipe)
        self._num_bytes = sum(len(problem.canonical.encode("utf-8")) for problem in problems)
        # Whatever the run's own rows are like, a solution sees its prompt alone, from the first position on.
        data = replace(recipe.data, document_mask=True, positions="restart")
        prompts = tokenizer.encode_batch([problem.prompt for problem in problems])
        solutions = tokenizer.encode_batch([problem.canonical for problem in problems])
        examples = [
            example
            for number, (prompt_ids, ids) in enumerate(zip(prompts, solutions, strict=True))
            for example in solution_examples(prompt_ids, ids, tokenizer.control.eot, data.row_tokens, number)
        ]
        rows = pack(examples, data.row_tokens, recipe.run.seed, 0)
        size = recipe.parallel.micro_batch_rows or recipe.data.global_batch_rows
        empty: list[Row] = [[] for _ in range(-len(rows) % size)]
        rows += empty  # every batch has the shape of one in training, for which kernels are there
        self._batches = [
            collate(rows[start : start + size], data, tokenizer.control.pad, start)
            for start in range(0, len(rows), size)
        ]

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return the figure under the name of the set."""
        with torch.no_grad():
            nats = [float(batch_losses(model, batch, self._dtype)[0]) for batch in self._batches]
        return {self._name: math.fsum(nats) / math.log(2) / self._num_bytes}


def solution_examples(
    prompt_ids: Sequence[int], solution_ids: Sequence[int], start_id: int, row_tokens: int, number: int = 0
) -> Iterator[Example]:
    """Yield examples that charge each token of a solution once; see the module's header.

    Args:
        prompt_ids: of the prompt.
        solution_ids: of what follows it.
        start_id: ``<|endoftext|>``, in front of every example.
        row_tokens: most positions of an example.
        number: of the solution.

    >>> [example.token_ids.tolist() for example in solution_examples([1, 2, 3], [4, 5, 6, 7, 8], 0, 6)]
    [[0, 1, 2, 3, 4, 5, 6], [0, 3, 4, 5, 6, 7, 8]]
    >>> [example.loss_weights.tolist() for example in solution_examples([1, 2, 3], [4, 5, 6, 7, 8], 0, 6)]
    [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]]
    """
    ids = np.array([*prompt_ids, *solution_ids], dtype=np.int32)
    charged = len(prompt_ids)
    piece = 0
    while charged < len(ids):
        # Past what the first row holds, half a row is charged at a time behind at least half a row.
        stop = min(len(ids), max(row_tokens, charged + row_tokens // 2))
        start = max(0, stop - row_tokens)
        weights = np.zeros(1 + stop - start, dtype=np.float32)
        weights[1 + charged - start :] = 1
        token_ids = np.concatenate((np.array([start_id], dtype=np.int32), ids[start:stop]))
        yield Example(token_ids, weights, 0, 0, DocumentRef(0, number, 0, piece))
        charged = stop
        piece += 1
