"""Run a suite: find or make its corpus, make what is missing, seed by seed, and write the report.

Everything of a suite lies in its own folder but the records, which are small and are kept::

    OUT/lock  OUT/corpus/  OUT/corpora/  OUT/sets/  OUT/runs/<arm>-<key>-seed<N>/
    METRICS/<scale>/<key>-seed<N>.json  <key>.yaml
    METRICS/<scale>.md  <scale>.html  verdicts.json
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError, StoppedEarlyError
from spanmix.files import require_makable, write_text
from spanmix.lessons.collected import collect
from spanmix.lessons.configurations import scale_recipe
from spanmix.lessons.job import Job
from spanmix.lessons.parts import Scale
from spanmix.lessons.plan import Folders, SuitePlan, main_jobs, plan_suite, sweep_jobs
from spanmix.lessons.pool import JobProgress, Place, run_jobs
from spanmix.lessons.records import recipe_file
from spanmix.lessons.report import write_reports
from spanmix.lessons.suite import Suite
from spanmix.recipes import recipe_from_fields, to_yaml
from spanmix.text.corpus import Corpus, read_tokenizer
from spanmix.train.machines import Machine
from spanmix.train.run import StopWatch

MakeCorpus = Callable[[Path, Scale, JobProgress], None]
"""Makes a corpus at a place, for a scale."""


@dataclass(frozen=True)
class Asked:
    """What a suite is asked for.

    Args:
        suite: what can be run.
        scale: how large.
        only: numbers of lessons; empty means all.
        out: the suite's folder.
        metrics: the folder of all scales' records and reports.
        corpus: a corpus that is there; None takes ``out/corpus``.
    """

    suite: Suite
    scale: Scale
    only: tuple[int, ...]
    out: Path
    metrics: Path
    corpus: Path | None = None

    @property
    def folders(self) -> Folders:
        """Where it works."""
        return Folders(self.out, self.metrics / self.scale.name, self.corpus or self.out / "corpus")


def fingerprint_of(asked: Asked) -> str:
    """Return the fingerprint of the suite's corpus, or ``""`` if that is still to be made.

    Raises:
        InputError: there is none, and none can be made; or it is not one.
    """
    folder = asked.folders.corpus
    if asked.corpus is None and not folder.exists():
        if asked.scale.corpus == "given":
            raise InputError(
                f"the scale {asked.scale.name} needs a corpus of yours, with sources `code` and `prose`; "
                "prepare one with the vocabulary and the tokens that the scale's recipe names, and give it "
                "as --corpus"
            )
        return ""
    return read_tokenizer(folder)[0].fingerprint


def plan_of(asked: Asked, machine: Machine, num_workers: int) -> SuitePlan:
    """Plan a suite, whose corpus need not be there yet; nothing is written."""
    there = asked.corpus is not None or asked.folders.corpus.exists()
    fingerprint = fingerprint_of(asked) if there else ""
    return plan_suite(asked.suite, asked.scale, asked.only, fingerprint, asked.folders, machine, num_workers)


def run_suite(
    asked: Asked,
    make_corpus: MakeCorpus,
    where: Sequence[Place],
    stop: StopWatch,
    progress: JobProgress,
    tell: Callable[[str], None],
) -> None:
    """Make every run that is missing, and write the reports, also of what there is when it ends early.

    Args:
        asked: what is wanted.
        make_corpus: makes the corpus if it is not there.
        where: where runs are made, side by side.
        stop: entered first; what it gives is asked whether to stop.
        progress: called with (what, units done, units in all).
        tell: called with a sentence about what was decided.

    Raises:
        InputError: another process works in the same folder, or the corpus does not fit.
        StoppedEarlyError: it was asked to stop.
    """
    require_makable(asked.out)
    require_makable(asked.metrics)
    with stop as should_stop, one_suite(asked.out):
        folders = asked.folders
        if not folders.corpus.exists() and asked.corpus is None:
            fingerprint_of(asked)
            make_corpus(folders.corpus, asked.scale, progress)
        corpus = Corpus.open(folders.corpus)
        _check_corpus(asked, corpus)
        try:
            _run(asked, corpus, where, should_stop, progress, tell)
        finally:
            write_reports(asked.suite, asked.metrics, {asked.scale.name: corpus.fingerprint})


def _run(
    asked: Asked,
    corpus: Corpus,
    where: Sequence[Place],
    should_stop: Callable[[], bool],
    progress: JobProgress,
    tell: Callable[[str], None],
) -> None:
    suite, scale, folders = asked.suite, asked.scale, asked.folders
    common = (corpus.fingerprint, folders)
    _do(sweep_jobs(suite, scale, *common), where, should_stop, progress)
    rate = collect(suite, scale, folders.metrics, corpus.fingerprint).learning_rate
    assert rate is not None, "the sweep is done"
    if scale.sweep is not None:
        tell(f"the learning rate of all arms is {rate:g}, which the sweep chose")
    jobs = main_jobs(suite, scale, asked.only, rate, *common)
    if any(job.missing() and job.understanding for job in jobs):
        _make_sets(corpus, scale, Path(jobs[0].sets), progress)
    _do(jobs, where, should_stop, progress)


def _do(
    jobs: Sequence[Job], where: Sequence[Place], should_stop: Callable[[], bool], progress: JobProgress
) -> None:
    todo = [job for job in jobs if job.missing()]
    done = len(jobs) - len(todo)
    for job in jobs:
        _keep_recipe(job)

    def finished(job: Job) -> None:
        nonlocal done
        done += 1
        progress("runs", done, len(jobs))

    if todo:
        if should_stop():
            raise StoppedEarlyError(
                "stopped before the next run, as it was asked to; the same command goes on"
            )
        progress("runs", done, len(jobs))
        run_jobs(todo, where, should_stop, progress, finished)


def _keep_recipe(job: Job) -> None:
    """Write the recipe of a job's key beside its records; the seed there is the first run's."""
    path = Path(job.metrics) / recipe_file(job.key)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = {**job.recipe, "corpus": {**job.recipe["corpus"], "path": "corpus"}}
        about = f"# {job.arm} at scale {job.scale}"
        if job.unique_tokens is not None:
            about += f", on a corpus of {job.unique_tokens:,} different tokens"
        recipe = recipe_from_fields(fields, f"of {job.name}")
        write_text(path, f"{about}\n{to_yaml(recipe)}")


def _make_sets(corpus: Corpus, scale: Scale, folder: Path, progress: JobProgress) -> None:
    """Make the sets that models are fine-tuned on, of the corpus; those that are there stay."""
    from spanmix.evaluate.understanding.local_sets import make_local_set
    from spanmix.evaluate.understanding.python_files import corpus_files
    from spanmix.evaluate.understanding.readers import has_set

    asked = scale.understanding
    assert asked is not None
    for done, task in enumerate(asked.tasks):
        progress("make sets for fine-tuning", done, len(asked.tasks))
        if not has_set(folder / task):
            folder.mkdir(parents=True, exist_ok=True)
            made_of = f"corpus {corpus.fingerprint[:12]}"
            make_local_set(task, corpus_files(corpus, 0), folder / task, made_of, 0, asked.most)
    progress("make sets for fine-tuning", len(asked.tasks), len(asked.tasks))


def _check_corpus(asked: Asked, corpus: Corpus) -> None:
    """Raise `InputError` unless every arm can be trained and measured on a corpus."""
    recipe = scale_recipe(asked.scale)
    corpus.check_recipe(recipe)
    names = sorted({source.name for source in recipe.data.sources} | {"code", "prose"})
    for name in names:
        if name not in corpus.train or not len(corpus.held_out[name]) or not len(corpus.train[name]):
            held = ", ".join(sorted(corpus.train))
            raise InputError(
                f"corpus {corpus.path} has the sources {held}; the lessons need {', '.join(names)}, each "
                "with training and held-out files"
            )


@contextmanager
def one_suite(folder: Path) -> Iterator[None]:
    """Hold a suite's lock; raises `InputError` if another process works there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another process is running lessons in {folder}; wait for it, or give another --out"
            ) from None
        yield
