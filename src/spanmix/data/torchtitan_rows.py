"""Train torchtitan on our rows, or let its data pipeline write its own records with our objectives.

Two ways, neither of which imports torchtitan:

- **Rows**: `TorchtitanRows` in torchtitan's ``ParallelAwareDataloader``, with ``batch_size=None``: mixture,
  packing, order and resume are ours, and exact.
- **Records**: `SequenceProcessor` is what a ``SampleProcessor`` calls on each record of a dataset graph.
  Random words come from the generator that torchtitan hands it, one for each record and epoch. Pack its
  sequences with ``FirstFitPackingConfig``: ``ConcatThenSplitPackingConfig`` would cut targets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spanmix.config import DataRecipe, Recipe
from spanmix.data.build import build_objectives
from spanmix.data.loader import Loader, LoaderState
from spanmix.data.packing import Row
from spanmix.data.torch_rows import RowDataset
from spanmix.errors import InputError, nearest
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import TokenizedDocument
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import DocumentRef, Example, IntArray

IGNORE_INDEX = -100
"""torchtitan's label of a position without loss."""

_TRIES = 16
_ONE = DocumentRef(0, 0, 0, 0)


class TorchtitanRows(RowDataset):
    """`RowDataset` whose elements are torchtitan's batches: ``({"input", "positions"}, labels)``.

    All are int64 [rows, T]. torchtitan's block-causal mask begins a document where positions begin again.

    Args:
        loader, rows, rank, world_size: as for `RowDataset`.

    Raises:
        InputError: torchtitan could not tell who may see whom (a bidirectional prefix,
            ``document_mask: false`` or ``positions: continue``).
    """

    def __init__(self, loader: Loader, rows: int = 1, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(loader, rows, rank, world_size)
        config = loader.config
        if not config.document_mask or config.positions != "restart":
            masked = str(config.document_mask).lower()
            raise InputError(
                f"data.document_mask is {masked} and data.positions {config.positions}, "
                "but torchtitan tells documents apart where positions begin again; use true and restart"
            )
        _refuse_prefixes(loader.objectives)

    def _element(self, taken: list[Row], first: int, state: LoaderState) -> Any:
        element = super()._element(taken, first, state)
        labels = element["targets"].long().masked_fill(element["loss_weights"] == 0, IGNORE_INDEX)
        inputs = {"input": element["token_ids"].long(), "positions": element["positions"].long()}
        return inputs, labels


def _refuse_prefixes(objectives: ObjectiveMixture) -> None:
    for objective in objectives.objectives:
        if objective.sees_both_ways:
            raise InputError(
                "torchtitan has no mask for a bidirectional prefix; leave out objective "
                f"{objectives.names[objective.index]} or its `bidirectional`"
            )


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
        self._objectives = build_objectives(recipe, tokenizer)
        _refuse_prefixes(self._objectives)
        self._tokenizer = tokenizer
        self._sources = [source.name for source in recipe.data.sources]
        self._row_tokens = recipe.data.row_tokens
        self._make = make
        safe = [objective.safe_tokens(self._row_tokens) for objective in self._objectives.objectives]
        self.max_tokens = min(safe)
        """The longest record, in tokens, that fits a row whatever is drawn; see `cut_records`."""
        if self.max_tokens < 1:
            raise InputError(
                f"data.row_tokens is {self._row_tokens}, which leaves no room for a record whatever is "
                "drawn; use longer rows, or lower objectives.max_spans"
            )

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
        document, source = self._read(sample)
        # A cut inside a word adds a token or two; very rarely, too many.
        for _ in range(_TRIES):
            examples = list(self._examples(document, source, rng))
            if sum(example.num_positions for example in examples) <= self._row_tokens:
                return self._sequence(examples)
        raise InputError(
            f"a record of {len(document.tokens):,} tokens did not fit a row of {self._row_tokens:,} in "
            f"{_TRIES} draws; cut the records shorter"
        )

    def _read(self, sample: Mapping[str, Any]) -> tuple[TokenizedDocument, int]:
        """Return a record's document and the number of its source."""
        if "tokens" not in sample and not isinstance(sample.get("text"), str):
            raise InputError(f"a record holds {', '.join(sample) or 'nothing'}; it needs `tokens` or `text`")
        given = sample["tokens"] if "tokens" in sample else self._tokenizer.encode(sample["text"])
        tokens, size = np.asarray(given), self._tokenizer.vocab_size
        if tokens.ndim != 1 or not 1 <= len(tokens) <= self.max_tokens:
            raise InputError(
                f"a record has tokens of shape {tokens.shape}; one sequence of torchtitan holds 1 to "
                f"{self.max_tokens:,} in rows of {self._row_tokens:,}: cut the records with `cut_records`"
            )
        if tokens.dtype.kind not in "iu" or tokens.min() < 0 or tokens.max() >= size:
            raise InputError(f"a record has tokens that are no ids from 0 to {size - 1:,} ({tokens.dtype})")
        if self._tokenizer.is_control[tokens].any():
            raise InputError("a record holds ids of control tokens, which no text yields; leave them out")
        prompt = sample.get("prompt_tokens", 0)
        if not isinstance(prompt, int) or not 0 <= prompt <= len(tokens):
            raise InputError(f"a record has prompt_tokens {prompt!r} among {len(tokens)} tokens")
        name = sample.get("source", self._sources[0])
        if name not in self._sources:
            raise InputError(f"a record is of source {name!r}{nearest(str(name), self._sources)}")
        document = TokenizedDocument(tokens.astype(np.int32), sample.get("language", ""), prompt)
        return document, self._sources.index(name)

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
    if max_tokens < 1:
        raise InputError(f"max_tokens is {max_tokens}; use at least 1")
    return list(np.array_split(tokens, -(-len(tokens) // max_tokens))) if len(tokens) else []


def _words(rng: np.random.Generator, n: int) -> list[int]:
    words: list[int] = rng.integers(0, 2**64, size=n, dtype=np.uint64).tolist()
    return words
