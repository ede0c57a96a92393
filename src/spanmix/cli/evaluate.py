"""``spanmix evaluate``: measure a model by held-out text, questions, and programs that it writes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_engine, add_json, add_lead_tokens, add_model, add_verb, listed
from spanmix.cli.choice_tasks import (
    CHOICE_TASKS,
    add_choice_tasks,
    measure_questions,
    print_questions,
    read_questions,
    split_named,
)
from spanmix.cli.code_tasks import add_code_tasks, answer_and_grade
from spanmix.cli.corpus_tasks import CORPUS_TASKS, add_corpus_tasks, measure_corpus, open_corpus
from spanmix.cli.files import require_writable
from spanmix.cli.models import add_served, open_named
from spanmix.cli.repositories import add_repositories, measure_repositories, repositories_asked
from spanmix.cli.tables import print_infill, print_sources
from spanmix.cli.terminal import print_json
from spanmix.cli.understanding import (
    LOCAL_TASKS,
    UNDERSTANDING_TASKS,
    add_understanding,
    measure_understanding,
    print_understanding,
)

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs

EXAMPLE = """
spanmix evaluate runs/demo --corpus runs/demo/corpus
spanmix evaluate runs/mine --corpus corpora/mine --tasks bits-per-byte --json
spanmix evaluate runs/mine --corpus corpora/mine --tasks infill --kinds in_word --sources code
spanmix evaluate runs/mine --tasks humaneval,single-line --samples evals/mine --num-samples 20
spanmix evaluate runs/mine --tasks piqa=piqa/valid.jsonl,boolq=boolq/dev.jsonl --out choice.json
spanmix evaluate runs/mine --tasks defects,clones --corpus corpora/mine --head-only
spanmix evaluate runs/mine --bench-from ../my-code --samples evals/my-code
spanmix evaluate runs/mine --replay ../my-code --since 2024-05-31 --samples evals/my-code
spanmix evaluate http://localhost:8000 --tokenizer models/served --tasks humaneval --samples evals/served
"""

CODE_SETS = ("humaneval", "single-line", "multi-line", "random-span", "random-span-light")


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
        help=f"what to measure: {','.join(CORPUS_TASKS)} (both if not given; infill only of a model that was "
        f"trained to), {','.join(CODE_SETS)}, a file of problems, questions as NAME=FILE with "
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


def run(args: argparse.Namespace) -> None:
    """Measure all that is asked for, and print a table for each."""
    tasks = _tasks(args)
    for path in filter(None, (args.out, args.lm_eval)):
        require_writable(path)
    from spanmix.evaluate.lm_eval.results import choice_results
    from spanmix.evaluate.results import write_results

    corpus = open_corpus(args, tasks.corpus) if tasks.corpus else None
    questions = read_questions(tasks.questions)
    results: dict[str, Any] = {}
    identity: dict[str, Any] = {"model": args.model}
    if tasks.need_engine:
        model = open_named(args)
        identity = model.identity()
        results = measure_corpus(args, model, corpus, tasks.corpus) if corpus else {}
        if questions:
            results["questions"] = measure_questions(args, model, questions)
        if tasks.code:
            results["code"] = answer_and_grade(args, model, tasks.code)
        if tasks.repositories:
            results |= measure_repositories(args, model)
    if tasks.understanding:
        results["understanding"] = measure_understanding(args, tasks.understanding)
    _say_how(results, identity, args.seed)
    if args.out is not None:
        write_results(args.out, results)
    if args.lm_eval is not None:
        write_results(args.lm_eval, choice_results(results.get("questions", {}), args.model, args.seed))
    if args.json:
        print_json(results)
        return
    if corpus:
        print_sources(results)
        print_infill(results)
    print_questions(results.get("questions", {}))
    if tasks.understanding:
        print_understanding(results["understanding"])


def _tasks(args: argparse.Namespace) -> Tasks:
    """Sort what is asked for by what it needs."""
    repositories = repositories_asked(args)
    default = "" if repositories else ",".join(CORPUS_TASKS)
    asked = [name for name in dict.fromkeys((args.tasks or default).split(",")) if name]
    questions, others = split_named(asked, CHOICE_TASKS)
    code = [name for name in others if name in CODE_SETS or Path(name).is_file()]
    understanding = [
        name for name in others if name in LOCAL_TASKS or name.partition("=")[0] in UNDERSTANDING_TASKS
    ]
    corpus = [name for name in others if name not in code and name not in understanding]
    if corpus:
        named = [f"{name}=FILE" for name in CHOICE_TASKS]
        corpus = listed("--tasks", ",".join(corpus), [*CORPUS_TASKS, *CODE_SETS, *LOCAL_TASKS, *named])
    return Tasks(corpus, code, questions, understanding, repositories)


def _say_how(results: dict[str, Any], identity: dict[str, Any], seed: int) -> None:
    """Write down what was measured with what, on what."""
    from spanmix import __version__
    from spanmix.evaluate.measured_on import measured_on

    results["how"] = {"spanmix": __version__, **identity, "seed": seed, "machine": measured_on()}
