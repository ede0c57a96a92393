"""``spanmix evaluate``: measure a model by held-out text, questions, and programs that it writes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_engine, add_json, add_lead_tokens, add_model, add_verb
from spanmix.cli.choice_tasks import (
    CHOICE_TASKS,
    add_choice_tasks,
    measure_questions,
    print_questions,
    read_questions,
    split_named,
)
from spanmix.cli.code_tasks import add_code_tasks, answer_and_grade, read_code, require_askable
from spanmix.cli.corpus_tasks import (
    CORPUS_TASKS,
    DEFAULT_TASKS,
    add_corpus_tasks,
    measure_corpus,
    open_corpus,
)
from spanmix.cli.files import require_writable
from spanmix.cli.graded import require_apart
from spanmix.cli.memorization import FLAGS as MEMORIZATION_FLAGS
from spanmix.cli.memorization import print_memorization
from spanmix.cli.models import add_served, open_named
from spanmix.cli.repositories import add_repositories, measure_repositories, repositories_asked
from spanmix.cli.tables import print_infill, print_sources
from spanmix.cli.terminal import print_json, tell
from spanmix.cli.understanding import (
    LOCAL_TASKS,
    UNDERSTANDING_TASKS,
    add_understanding,
    measure_understanding,
    print_understanding,
    require_understandable,
)
from spanmix.errors import InputError, nearest

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix evaluate runs/demo --corpus runs/demo/corpus
spanmix evaluate runs/mine --corpus corpora/mine --tasks bits-per-byte --json
spanmix evaluate runs/mine --corpus corpora/mine --tasks infill --kinds in_word --sources code
spanmix evaluate runs/mine --corpus corpora/mine --tasks memorization --report memory.html
spanmix evaluate runs/mine --tasks humaneval,single-line --samples evals/mine --num-samples 20
spanmix evaluate runs/mine --tasks piqa=piqa/valid.jsonl,boolq=boolq/dev.jsonl --out choice.json
spanmix evaluate runs/mine --tasks defects,clones --corpus corpora/mine --head-only
spanmix evaluate runs/mine --bench-from ../my-code --samples evals/my-code
spanmix evaluate runs/mine --replay ../my-code --since 2024-05-31 --samples evals/my-code
spanmix evaluate http://localhost:8000 --tokenizer models/served --tasks humaneval --samples evals/served
"""

CODE_SETS = ("humaneval", "single-line", "multi-line", "random-span", "random-span-light")

_FLAGS_OF = {
    "held-out files or understanding": ("corpus",),
    "held-out files": ("sources", "report"),
    "infill of held-out files": ("kinds", "spans"),
    "memorization": MEMORIZATION_FLAGS,
    "questions": ("start", "lm_eval"),
    "programming problems": (
        *("num_samples", "temperature", "top_p", "max_tokens", "truncation", "no_grade", "download"),
    ),
    "programming problems or repositories": ("samples",),
    "programs that are run": ("workers", "seconds", "memory_mb"),
    "programs or tests that are run": ("unsafe",),
    "understanding": (
        *("representation", "head_only", "fine_tune_epochs", "fine_tune_lr", "fine_tune_batch"),
        *("fine_tune_tokens", "max_examples", "tuned"),
    ),
    "a repository (--bench-from, --replay)": ("revision", "languages"),
    "--bench-from": ("places", "place_kinds", "place_tokens", "executed"),
    "--replay": ("since", "cursors", "proposal_tokens"),
    "--executed": ("test_python", "test_command", "test_seconds", "test_memory_mb", "test_disk_mb"),
}
"""Flags that say nothing unless something else is measured."""


@dataclass(frozen=True)
class Tasks:
    """What is to be measured.

    Args:
        corpus: on the held-out files of a corpus.
        code: sets of problems, by name or file.
        questions: file by task.
        understanding: by fine-tuning.
        repositories: whether a checkout or a history is to be measured on.
    """

    corpus: list[str]
    code: list[str]
    questions: dict[str, str]
    understanding: list[str]
    repositories: bool

    @property
    def need_engine(self) -> bool:
        """Whether any of them asks the model, and does not train it."""
        return bool(self.corpus or self.code or self.questions or self.repositories)


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "measure a model: on held-out files, questions, or programs that it writes"
    parser = add_verb(verbs, "evaluate", summary, EXAMPLE, run)
    add_model(parser, served=True)
    add_engine(parser)
    parser.add_argument(
        "--tasks",
        metavar="A,B",
        help=f"what to measure: {','.join(DEFAULT_TASKS)} (both if not given; infill only of a model that "
        "was trained to), memorization (which needs the index of `spanmix trace`), "
        f"{','.join(CODE_SETS)}, a file of problems, questions as NAME=FILE with "
        f"{','.join(CHOICE_TASKS)}, or understanding as {','.join(UNDERSTANDING_TASKS)}, =FOLDER behind each",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides which spans and which answers (%(default)s)"
    )
    add_lead_tokens(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON too")
    parser.add_argument(
        "--lm-eval",
        type=Path,
        metavar="FILE",
        help="write the figures of questions as lm-eval writes its results",
    )
    add_corpus_tasks(parser)
    add_choice_tasks(parser)
    add_code_tasks(parser)
    add_understanding(parser)
    add_repositories(parser)
    add_served(parser)
    add_json(parser)
    parser.set_defaults(default_of=parser.get_default)


def run(args: argparse.Namespace) -> None:
    """Measure all that is asked for, print a table for each, and keep what is there if one of them fails."""
    tasks = _tasks(args)
    _require_belonging(args, tasks)
    written = {"--out": args.out, "--lm-eval": args.lm_eval, "--report": args.report}
    require_apart(written, [*tasks.questions.values(), *tasks.code])
    for path in filter(None, written.values()):
        require_writable(path)
    results: dict[str, Any] = {}
    try:
        _measure(args, tasks, results)
    except BaseException:
        if len(results) > 1 and args.out is not None:
            _write(args, results)
            tell(f"what was measured before is in {args.out}")
        raise
    _write(args, results)
    if args.json:
        print_json(results)


def _measure(args: argparse.Namespace, tasks: Tasks, results: dict[str, Any]) -> None:
    """Measure one after the other into `results`, with all inputs read first."""
    corpus = open_corpus(args, tasks.corpus) if tasks.corpus else None
    questions = read_questions(tasks.questions)
    code = read_code(args, tasks.code)
    require_understandable(args, tasks.understanding)
    show = (lambda *_: None) if args.json else (lambda printing, found: printing(found))
    _say_how(results, {"model": args.model}, args.seed)
    if tasks.need_engine:
        model = open_named(args)
        if code:
            require_askable(model, code)
        _say_how(results, model.identity(), args.seed)
        if corpus:
            results |= measure_corpus(args, model, corpus, tasks.corpus)
            show(print_sources, results)
            show(print_infill, results)
            show(print_memorization, results)
        if questions:
            results["questions"] = measure_questions(args, model, questions)
            show(print_questions, results["questions"])
        if code:
            results["code"] = answer_and_grade(args, model, code)
        if tasks.repositories:
            results |= measure_repositories(args, model)
    if tasks.understanding:
        results["understanding"] = measure_understanding(args, tasks.understanding)
        show(print_understanding, results["understanding"])


def _write(args: argparse.Namespace, results: dict[str, Any]) -> None:
    """Write what ``--out`` and ``--lm-eval`` name."""
    from spanmix.evaluate.lm_eval.results import choice_results
    from spanmix.evaluate.results import write_results

    if args.out is not None:
        write_results(args.out, results)
    if args.lm_eval is not None:
        write_results(args.lm_eval, choice_results(results.get("questions", {}), args.model, args.seed))


def _tasks(args: argparse.Namespace) -> Tasks:
    """Sort what is asked for by what it needs."""
    repositories = repositories_asked(args)
    default = "" if repositories else ",".join(DEFAULT_TASKS)
    asked = [name for name in dict.fromkeys((args.tasks or default).split(",")) if name]
    questions, others = split_named(asked, CHOICE_TASKS)
    code = [name for name in others if name in CODE_SETS or Path(name).is_file()]
    understanding = [
        name for name in others if name in LOCAL_TASKS or name.partition("=")[0] in UNDERSTANDING_TASKS
    ]
    corpus = [name for name in others if name not in code and name not in understanding]
    if not (asked or repositories):
        raise InputError(f"--tasks {args.tasks} names nothing to measure; see `spanmix evaluate --help`")
    for name in (name for name in corpus if name not in CORPUS_TASKS):
        named = [f"{name}=FILE" for name in CHOICE_TASKS]
        known = nearest(name, [*CORPUS_TASKS, *CODE_SETS, *LOCAL_TASKS, *named])
        raise InputError(f"--tasks: there is no {name!r}{known}, and no file of that name")
    return Tasks(corpus, code, questions, understanding, repositories)


def _require_belonging(args: argparse.Namespace, tasks: Tasks) -> None:
    """Raise `InputError` if a flag was given that nothing which is measured looks at."""
    runs = bool(tasks.code) and not args.no_grade
    bench, replay = args.bench_from is not None, args.replay is not None
    measured = {
        "held-out files or understanding": bool(tasks.corpus or tasks.understanding),
        "held-out files": bool(tasks.corpus),
        "infill of held-out files": "infill" in tasks.corpus,
        "memorization": "memorization" in tasks.corpus,
        "questions": bool(tasks.questions),
        "programming problems": bool(tasks.code),
        "programming problems or repositories": bool(tasks.code) or tasks.repositories,
        "programs that are run": runs,
        "programs or tests that are run": runs or args.executed,
        "understanding": bool(tasks.understanding),
        "a repository (--bench-from, --replay)": tasks.repositories,
        "--bench-from": bench,
        "--replay": replay,
        "--executed": args.executed,
    }
    for what, flags in _FLAGS_OF.items():
        for flag in flags if not measured[what] else ():
            if getattr(args, flag) != args.default_of(flag):
                name = flag.replace("_", "-")
                raise InputError(f"--{name} is for {what}, and none is measured here; leave it out")


def _say_how(results: dict[str, Any], identity: dict[str, Any], seed: int) -> None:
    """Write down what was measured with what, on what."""
    from spanmix import __version__
    from spanmix.evaluate.measured_on import measured_on

    results["how"] = {"spanmix": __version__, **identity, "seed": seed, "machine": measured_on()}
