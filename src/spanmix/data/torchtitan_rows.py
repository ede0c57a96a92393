"""Train torchtitan on our rows, or let its data pipeline write its own records with our objectives.

Two ways, neither of which imports torchtitan:

- **Rows**: `torchtitan_batch` is the ``collate_fn`` of torchtitan's ``ParallelAwareDataloader`` over a
  `RowDataset`: mixture, packing, order and resume are ours, and exact.
- **Records**: `SequenceProcessor` is what a ``SampleProcessor`` calls on each record of a dataset graph.
  Random words come from the generator that torchtitan hands it, one for each record and epoch. Pack its
  sequences with ``FirstFitPackingConfig``: ``ConcatThenSplitPackingConfig`` would cut targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from spanmix.config import DataRecipe, Recipe
from spanmix.data.build import build_objectives
from spanmix.data.torch_rows import Element
from spanmix.errors import InputError
from spanmix.objectives.objective import TokenizedDocument
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import DocumentRef, Example, IntArray

IGNORE_INDEX = -100
"""torchtitan's label of a position without loss."""

_TRIES = 16
_ONE = DocumentRef(0, 0, 0, 0)


def torchtitan_batch(element: Element) -> tuple[dict[str, Tensor], Tensor]:
    """Return ``({"input", "positions"}, labels)``, int64 [rows, T] each, of an element of `RowDataset`.

    torchtitan's block-causal mask begins a document where positions begin again.

    Raises:
        InputError: the element has a bidirectional prefix, which torchtitan has no mask for.
    """
    if bool(element["in_prefix"].any()):
        raise InputError(
            "torchtitan has no mask for a bidirectional prefix; leave out bidirectional objectives"
        )
    labels = element["targets"].long().masked_fill(element["loss_weights"] == 0, IGNORE_INDEX)
    inputs = {"input": element["token_ids"].long(), "positions": element["positions"].long()}
    return inputs, labels


class SequenceProcessor:
    """Writes a record as one sequence of examples, ready for torchtitan's first-fit packing.

    Args:
        recipe: its objectives, and ``data.row_tokens``, which is torchtitan's ``max_context_length``.
        tokenizer: with the control tokens that the objectives need.
        make: torchtitan's ``TextSequence``, or whatever takes ``input_ids``, ``labels`` and ``positions``.

    Raises:
        InputError: objectives and tokenizer do not fit, or an objective needs what torchtitan has not.
    """

    def __init__(
        self, recipe: Recipe | DataRecipe, tokenizer: Tokenizer, make: Callable[..., Any] = dict
    ) -> None:
        for config in recipe.objectives:
            if getattr(config, "bidirectional", False):
                raise InputError(
                    f"torchtitan has no mask for a bidirectional prefix; objective {config.name} has one"
                )
        self._objectives = build_objectives(recipe, tokenizer)
        self._encode = tokenizer.encode
        self._sources = [source.name for source in recipe.data.sources]
        self._row_tokens = recipe.data.row_tokens
        self._make = make
        safe = [objective.safe_tokens(self._row_tokens) for objective in self._objectives.objectives]
        self.max_tokens = min(safe)
        """The longest record, in tokens, that fits a row whatever is drawn; see `cut_records`."""

    def __call__(self, sample: Mapping[str, Any], rng: np.random.Generator) -> Any:
        """Write one record.

        Args:
            sample: ``tokens`` (ids without control tokens) or ``text``; ``source``, the name of one of the
                recipe's sources, if they have different objectives; ``language`` and ``prompt_tokens``, if an
                objective asks for them.
            rng: the record's own generator.

        Returns:
            What `make` makes of the three arrays, int64 [n] each.

        Raises:
            InputError: the record is too long for a row.
        """
        tokens = sample["tokens"] if "tokens" in sample else self._encode(sample["text"])
        document = TokenizedDocument(
            np.asarray(tokens, dtype=np.int32), sample.get("language", ""), sample.get("prompt_tokens", 0)
        )
        if not 1 <= len(document.tokens) <= self.max_tokens:
            raise InputError(
                f"a record has {len(document.tokens):,} tokens; one sequence of torchtitan holds 1 to "
                f"{self.max_tokens:,} in rows of {self._row_tokens:,}: cut the records with `cut_records`"
            )
        source = self._sources.index(sample["source"]) if "source" in sample else 0
        # A cut inside a word adds a token or two; very rarely, too many.
        for _ in range(_TRIES):
            examples = list(self._examples(document, source, rng))
            if sum(example.num_positions for example in examples) <= self._row_tokens:
                return self._sequence(examples)
        raise InputError(
            f"a record of {len(document.tokens):,} tokens did not fit a row of {self._row_tokens:,} in "
            f"{_TRIES} draws; cut the records shorter"
        )

    def _examples(
        self, document: TokenizedDocument, source: int, rng: np.random.Generator
    ) -> Iterator[Example]:
        objective = self._objectives.choose_by_word(_words(rng, 1)[0], source)
        start = 0
        while start < len(document.tokens):
            words = _words(rng, objective.words_per_piece)
            example, taken = objective.write(document, start, self._row_tokens, words, _ONE)
            start += taken
            yield example

    def _sequence(self, examples: Sequence[Example]) -> Any:
        labels = [
            np.where(example.loss_weights[1:] > 0, example.token_ids[1:], IGNORE_INDEX)
            for example in examples
        ]
        return self._make(
            input_ids=np.concatenate([example.token_ids[:-1] for example in examples]).astype(np.int64),
            labels=np.concatenate(labels).astype(np.int64),
            positions=np.concatenate([np.arange(example.num_positions) for example in examples]),
        )


def cut_records(tokens: IntArray, max_tokens: int) -> list[IntArray]:
    """Cut a document into records of at most `max_tokens` tokens and nearly the same length.

    >>> [part.tolist() for part in cut_records(np.arange(5, dtype=np.int32), 3)]
    [[0, 1, 2], [3, 4]]
    """
    return list(np.array_split(tokens, -(-len(tokens) // max_tokens)))


def _words(rng: np.random.Generator, n: int) -> list[int]:
    words: list[int] = rng.integers(0, 2**64, size=n, dtype=np.uint64).tolist()
    return words
