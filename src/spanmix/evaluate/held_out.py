"""Watch the loss of held-out rows while a model trains: the `Hook` that the command line gives the loop."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from spanmix.config import Recipe
from spanmix.data.build import build_objectives
from spanmix.data.packing import Row, collate, pack
from spanmix.model.decoder import Decoder
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import DocumentKey, TokenizedDocument, write_all
from spanmix.seeding import name_key
from spanmix.text.corpus import Corpus, CorpusSource
from spanmix.train.machine import compute_dtype
from spanmix.train.step import batch_losses
from spanmix.types import Batch


class HeldOutLoss:
    """Nats per token of held-out rows, for each source and objective.

    Every objective is tried on the same documents, corrupted the same way each time, so the figures
    of a run compare with one another. They are a part of the held-out files, chosen to be quick.

    Args:
        recipe: a resolved recipe.
        corpus: its held-out documents are read.
    """

    kind = "held_out"

    def __init__(self, recipe: Recipe, corpus: Corpus) -> None:
        self.every_steps = recipe.evaluate.every_steps
        self._dtype = compute_dtype(recipe)
        objectives = build_objectives(recipe, corpus.tokenizer)
        size = recipe.parallel.micro_batch_rows or recipe.data.global_batch_rows
        self._batches: dict[str, list[Batch]] = {}
        for number, source in enumerate(recipe.data.sources):
            documents = corpus.held_out[source.name]
            for i, name in enumerate(objectives.names):
                if objectives.is_drawn(i, number):
                    rows = _rows(recipe, documents, objectives, i, number)
                    self._batches[f"{source.name}/{name}"] = [
                        collate(rows[start : start + size], recipe.data, corpus.tokenizer.control.pad, start)
                        for start in range(0, len(rows), size)
                    ]

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return ``source/objective`` and its loss."""
        figures = {}
        with torch.no_grad():
            for name, batches in self._batches.items():
                losses = [float(batch_losses(model, batch, self._dtype)[0]) for batch in batches]
                weight = sum(float(batch.loss_weights.sum()) for batch in batches)
                if weight:
                    figures[name] = sum(losses) / weight
        return figures


def make_hooks(recipe: Recipe, corpus: Corpus) -> list[HeldOutLoss]:
    """Build the hook of a run that watches this alone; see `spanmix.evaluate.loop_hooks` for all there is."""
    return [HeldOutLoss(recipe, corpus)] if recipe.evaluate.every_steps else []


def _rows(
    recipe: Recipe, source: CorpusSource, objectives: ObjectiveMixture, index: int, number: int
) -> list[Row]:
    """Pack documents until there are `held_out_rows` rows."""

    def examples() -> Iterator[Row]:
        for document in range(source.num_documents):
            key = DocumentKey(recipe.run.seed, number, name_key(source.name), document, 0, 0)
            objective = objectives.choose(key, index)
            language = source.language(document) if objective.needs_language else ""
            text = TokenizedDocument(source.tokens(document), language, source.num_prompt_tokens(document))
            yield write_all(objective, text, key, recipe.data.row_tokens)

    taken: Row = []
    wanted = recipe.evaluate.held_out_rows * recipe.data.row_tokens
    for row in examples():
        taken += row
        if sum(example.num_positions for example in taken) >= wanted:
            break
    rows = pack(taken, recipe.data.row_tokens, recipe.run.seed, 0)
    return rows[: recipe.evaluate.held_out_rows]
