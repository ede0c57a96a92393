"""Fine-tune a model on tasks of understanding and measure it, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import whole_number
from spanmix.cli.terminal import Progress, print_table, tell
from spanmix.errors import InputError, nearest

if TYPE_CHECKING:
    from spanmix.evaluate.understanding.examples import LabeledSet
    from spanmix.evaluate.understanding.settings import TuningSettings

UNDERSTANDING_TASKS = ("defects", "clones", "boolq-tuned")
LOCAL_TASKS = ("defects", "clones")
"""Tasks whose set can be made of local code."""

_REPRESENTATIONS = {
    "causal": ["causal"],
    "bidirectional": ["bidirectional"],
    "both": ["causal", "bidirectional"],
}


def add_understanding(parser: argparse.ArgumentParser) -> None:
    """Add what decides how a model is fine-tuned for the tasks of `UNDERSTANDING_TASKS`."""
    group = parser.add_argument_group("understanding by fine-tuning (defects, clones, boolq-tuned=FOLDER)")
    group.add_argument(
        "--representation",
        choices=tuple(_REPRESENTATIONS),
        default="both",
        help="what a token sees: those before it, or all of the text (%(default)s)",
    )
    group.add_argument(
        "--head-only", action="store_true", help="fit a linear map alone, and leave the model as it is: fast"
    )
    group.add_argument(
        "--fine-tune-epochs", type=whole_number(1), default=3, metavar="N", help="(%(default)s)"
    )
    group.add_argument(
        "--fine-tune-lr", type=float, default=1e-4, metavar="X", help="learning rate (%(default)s)"
    )
    group.add_argument(
        "--fine-tune-batch",
        type=whole_number(1),
        default=16,
        metavar="N",
        help="texts or pairs a step (%(default)s)",
    )
    group.add_argument(
        "--fine-tune-tokens",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="longest row, longer texts are cut (the model's context, at most 512)",
    )
    group.add_argument(
        "--max-examples",
        type=whole_number(0),
        default=2000,
        metavar="N",
        help="of each of train, valid and test; 0 takes all (%(default)s)",
    )
    group.add_argument(
        "--tuned", type=Path, metavar="DIR", help="keep the predictions there, and the sets that are made"
    )


def require_understandable(args: argparse.Namespace, asked: list[str]) -> None:
    """Raise `InputError` for whatever `measure_understanding` would refuse before any work."""
    _settings(args)
    named = _named(asked)
    if named:
        _tunable(args.model)
    for name, place in named.items():
        _require_place(args, name, place)


def measure_understanding(args: argparse.Namespace, asked: list[str]) -> list[dict[str, Any]]:
    """Fine-tune and measure the model on each task, with each representation.

    Args:
        args: what `add_understanding` added, and ``model``, ``corpus`` and ``seed``.
        asked: tasks, as NAME=FOLDER or NAME.

    Returns:
        The results; see `spanmix.evaluate.understanding.measure`.

    Raises:
        InputError: the model cannot be fine-tuned, or there is no such task, set or corpus.
    """
    from spanmix.evaluate.understanding.measure import measure, results_of, write_predictions
    from spanmix.files import require_makable
    from spanmix.model.folder import load_model_folder
    from spanmix.text.tokenizer import Tokenizer
    from spanmix.train.machine import prepare_process

    named = _named(asked)
    folder = _tunable(args.model)
    settings = _settings(args)
    if args.tuned is not None:
        require_makable(args.tuned)
        args.tuned.mkdir(parents=True, exist_ok=True)
    prepare_process(_num_threads())
    tokenizer = Tokenizer.load(folder)
    measured = []
    with tempfile.TemporaryDirectory(prefix="spanmix-") as scratch, Progress() as progress:
        kept = args.tuned or Path(scratch)
        sets = [_set(args, name, place, kept) for name, place in named.items()]
        for examples in sets:
            for representation in _REPRESENTATIONS[args.representation]:
                label = f"{examples.task}, {representation}"
                found = measure(
                    lambda: load_model_folder(folder)[0],
                    tokenizer,
                    examples,
                    representation,
                    settings,
                    _staged(progress, label),
                )
                measured.append(found)
                if args.tuned is not None:
                    write_predictions(
                        args.tuned / f"{examples.task}.{representation}.predictions.jsonl", found
                    )
    return results_of(measured)


def print_understanding(results: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of the figures, and what seeing all of the text changes."""
    if not results:
        return
    rows = []
    for result in results:
        figures = result["figures"]
        rows.append(
            [
                f"{result['task']}, {result['representation']}, {result['trained']} trained",
                f"{result['examples']['train']:,}",
                f"{result['examples']['test']:,}",
                *(_shown(figures[name]) for name in ("accuracy", "f1", "majority", "surface")),
            ]
        )
    header = ["understanding", "train", "test", "accuracy", "F1", "majority", "surface"]
    print_table(header, rows)
    for result in results:
        if "against_causal" in result:
            change = _shown(result["against_causal"])
            print(f"{result['task']}: seeing all of the text changes the accuracy by {change}")
        num_cut = result["cut"]["test"]
        if num_cut:
            print(
                f"{result['task']}, {result['representation']}: {num_cut:,} of the test texts were cut to "
                f"{result['max_tokens']:,} tokens"
            )
    print()


def _named(asked: Sequence[str]) -> dict[str, Path | None]:
    named: dict[str, Path | None] = {}
    for word in asked:
        name, has_place, place = word.partition("=")
        if name not in UNDERSTANDING_TASKS:
            raise InputError(f"--tasks: there is no {name!r}{nearest(name, UNDERSTANDING_TASKS)}")
        if name in named:
            raise InputError(f"--tasks names {name} twice; measure one set of it at a time")
        if not place and (has_place or name not in LOCAL_TASKS):
            raise InputError(f"--tasks {word} names no folder; give {name}=FOLDER, with the task's files")
        named[name] = Path(place) if place else None
    return named


def _tunable(name: str) -> Path:
    """Return the folder of a model whose weights can be trained."""
    from spanmix.generate.ctranslate2_folder import is_ctranslate2_folder
    from spanmix.generate.opening import is_url
    from spanmix.model.folder import resolve_model

    if is_url(name):
        raise InputError(
            f"{name} is a server, and fine-tuning needs the weights; name the folder of the model it serves"
        )
    folder = resolve_model(name)
    if is_ctranslate2_folder(folder):
        raise InputError(
            f"{folder} is a CTranslate2 folder, which cannot be trained; name the folder that it was made of"
        )
    return folder


def _settings(args: argparse.Namespace) -> TuningSettings:
    from spanmix.evaluate.understanding.settings import TuningSettings

    return TuningSettings(
        epochs=args.fine_tune_epochs,
        learning_rate=args.fine_tune_lr,
        batch_size=args.fine_tune_batch,
        max_tokens=args.fine_tune_tokens,
        head_only=args.head_only,
        seed=args.seed,
    )


def _require_place(args: argparse.Namespace, name: str, place: Path | None) -> None:
    if place is None and args.corpus is None:
        raise InputError(f"to measure {name} give {name}=FOLDER with its files, or --corpus to make it of")
    if place is not None and not place.is_dir():
        raise InputError(f"--tasks {name}={place}: there is no folder {place}")


def _set(args: argparse.Namespace, name: str, place: Path | None, kept: Path) -> LabeledSet:
    """Read a task's set, or make it of a corpus or of the Python files of a folder."""
    from spanmix.evaluate.understanding.examples import PARTS, limited
    from spanmix.evaluate.understanding.local_sets import make_local_set
    from spanmix.evaluate.understanding.python_files import corpus_files, folder_files
    from spanmix.evaluate.understanding.readers import READERS, has_set
    from spanmix.text.corpus import Corpus

    _require_place(args, name, place)
    if place is not None and (name not in LOCAL_TASKS or has_set(place)):
        whole = READERS[name](place)
        examples = limited(whole, args.max_examples, args.seed)
        for part in PARTS:
            taken, there = len(examples.part(part)), len(whole.part(part))
            if taken < there:
                tell(f"{name}: {taken:,} of the {there:,} examples of {part} are taken; see --max-examples")
        return examples
    if place is not None:
        made_of, groups = f"the folder {place}", folder_files(place, args.seed)
    else:
        corpus = Corpus.open(args.corpus)
        made_of = f"the corpus {args.corpus} ({corpus.fingerprint[:12]})"
        groups = corpus_files(corpus, args.seed)
    tell(f"{name}: a set is made of {made_of}")
    return make_local_set(name, groups, kept / name, made_of, args.seed, args.max_examples)


def _staged(progress: Progress, label: str) -> Any:
    return lambda stage, done, total: partial(progress, f"{label}: {stage}")(done, total)


def _num_threads() -> int:
    import os

    return max(1, len(os.sched_getaffinity(0)))


def _shown(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
