"""Write rows of a run as an indexed dataset, for Megatron-LM to train on as if they were plain text.

Megatron lays its documents end to end, cuts samples of ``--seq-length`` tokens off and predicts every token
of them. So each row becomes one document of ``data.row_tokens + 1`` tokens, which must be Megatron's
``--seq-length``: however Megatron shuffles documents, its samples are then whole rows. Where an example ends
with ``<|endoftext|>`` and the next begins with it, the token stands once. What Megatron cannot do is refused:

- it knows no loss weights, so every token of a row must carry loss;
- it can tell documents apart at ``<|endoftext|>`` alone, which also stands inside infill examples, so
  documents see those before them (``data.document_mask: false``, ``data.positions: continue``).

Train with ``--split 100,0,0`` (or ``--train-data-path``), a tokenizer whose PAD is ours, and without
``--reset-attention-mask``, ``--reset-position-ids`` and ``--eod-mask-loss``. At the end of a row Megatron
also predicts the first token of the next one, unless its ``add_extra_token_to_sequence`` is off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from spanmix.data.loader import Loader, LoaderState
from spanmix.data.packing import Row
from spanmix.errors import EndOfDataError, InputError
from spanmix.files import one_whole_folder, read_versioned, write_json
from spanmix.text.corpus import TOKENIZER_FOLDER
from spanmix.text.token_store import TokenStoreWriter
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import IntArray

BAKED_FILE = "baked.json"
ROWS_PREFIX = "rows"
"""A baked folder holds ``rows.bin``, ``rows.idx``, ``baked.json`` and ``tokenizer/``."""
BAKED_FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Baked:
    """What ``baked.json`` says of baked rows.

    Args:
        format_version: of the folder.
        first_row: number of its first row in the run.
        num_rows: rows, each of them a document.
        seq_length: tokens in each; Megatron's ``--seq-length``.
        pad_id: what fills up rows; the PAD of Megatron's tokenizer has to be this.
        next: `LoaderState.to_json` of where the rows after these begin.
    """

    format_version: int
    first_row: int
    num_rows: int
    seq_length: int
    pad_id: int
    next: dict[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> Baked:
        """Read ``baked.json``; raises `InputError` if it is missing, damaged or of another version."""
        path = Path(folder) / BAKED_FILE
        if not path.is_file():
            raise InputError(f"{path} does not exist; name a folder that `spanmix data bake` wrote")
        return read_versioned(path, cls, BAKED_FORMAT_VERSION)


def bake(
    loader: Loader,
    tokenizer: Tokenizer,
    out: Path | str,
    num_rows: int,
    start: LoaderState | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Baked:
    """Write rows into the folder `out`; it appears whole or not at all.

    Args:
        loader: the rows.
        tokenizer: the corpus's; it is put into the folder too.
        out: the folder, which may not hold anything yet.
        num_rows: how many rows.
        start: where the first one begins, as another baked folder's ``next``; by default row 0.
        progress: called with the rows done and in all.

    Raises:
        InputError: Megatron cannot train on such rows, see above; `out` holds something; `start` is of
            another corpus.
        EndOfDataError: there are fewer rows.
    """
    out = Path(out)
    _check(loader, out)
    state = first = loader.start() if start is None else start
    with one_whole_folder(out) as folder:
        with TokenStoreWriter(folder / ROWS_PREFIX, tokenizer.vocab_size, eod=None) as store:
            done = 0
            try:
                for row, after in islice(loader.rows(first), num_rows):
                    store.add(_tokens(row, loader))
                    state, done = after, done + 1
                    progress(done, num_rows)
            except EndOfDataError as error:
                raise EndOfDataError(
                    f"there are {done:,} rows and not {num_rows:,}: every source has been read as often as "
                    f"data.sources.max_epochs allows; ask for {done:,} rows, or raise max_epochs"
                ) from error
        seq_length = loader.config.row_tokens + 1
        baked = Baked(
            BAKED_FORMAT_VERSION, first.next_row, num_rows, seq_length, loader.pad_id, state.to_json()
        )
        tokenizer.save(folder / TOKENIZER_FOLDER)
        write_json(folder / BAKED_FILE, dataclasses.asdict(baked))
    return baked


def _check(loader: Loader, out: Path) -> None:
    """Refuse, before the first row, what Megatron cannot train on and a place that is taken."""
    config, objectives = loader.config, loader.objectives
    if config.document_mask or config.positions != "continue":
        masked = str(config.document_mask).lower()
        raise InputError(
            f"data.document_mask is {masked} and data.positions {config.positions}, but Megatron lets "
            "documents see those before them; use data.document_mask: false and data.positions: continue"
        )
    silent = {objectives.names[o.index]: None for o in objectives.objectives if not o.loss_on_all}
    if silent:
        raise InputError(
            "Megatron takes loss on every token, and there are tokens without loss in examples of objective "
            f"{', '.join(silent)}; leave out these objectives, or mode_token, loss_on_shown: false, "
            "loss_on_sentinels: false, bidirectional"
        )
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; choose another folder")


def _tokens(row: Row, loader: Loader) -> IntArray:
    """Return a row as int32 [row_tokens + 1]: every token but the first is predicted from those before."""
    start = int(row[0].token_ids[0])
    # A piece that does not end its file has no end token to share with its neighbor, so it comes last.
    *others, last = sorted(row, key=lambda example: int(example.token_ids[-1]) != start)
    assert all(example.token_ids[-1] == start for example in others), "two pieces in a row are cut off"
    tokens = np.full(loader.config.row_tokens + 1, loader.pad_id, dtype=np.int32)
    text = np.concatenate([*(example.token_ids[:-1] for example in others), last.token_ids])
    tokens[: len(text)] = text
    return tokens
