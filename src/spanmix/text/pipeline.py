"""Make a corpus of raw sources: read and clean, find copies, train the tokenizer, encode, put together.

Sources are cut into partitions, each a task that runs on the cores of this machine or on a cluster. Nothing
that is written depends on which, or on how many there are. What is done is kept until the corpus is whole,
so that work that was interrupted goes on.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from spanmix.config import CORPUS_FORMAT_VERSION, CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.files import one_writer, whole_folder
from spanmix.text.corpus import TOKENIZER_FOLDER, Progress, stores_fingerprint
from spanmix.text.corpus_page.card import write_card
from spanmix.text.corpus_page.figures import read_figures
from spanmix.text.corpus_page.page import write_corpus_page
from spanmix.text.duplicates.decide import TRAIN
from spanmix.text.licences.opt_out_counts import write_counts
from spanmix.text.preparation.assemble import assemble_source, count_opt_outs
from spanmix.text.preparation.clean_all import Cleaned, clean_all
from spanmix.text.preparation.copies import Copies, find_copies
from spanmix.text.preparation.encode_all import encode_all
from spanmix.text.preparation.finished import CHECK_INPUTS, finished_corpus, require_place
from spanmix.text.preparation.held_out_draw import held_out_draws
from spanmix.text.preparation.inputs import fingerprint, save_inputs, save_seen
from spanmix.text.preparation.made_of import MadeOf
from spanmix.text.preparation.partitions import Partition, list_partitions, refuse_empty
from spanmix.text.preparation.parts import parts_of_sources
from spanmix.text.preparation.steps_of import check_steps, libraries
from spanmix.text.preparation.tokenizer_sample import draw_sample, sample_texts
from spanmix.text.preparation.work import Work, no_empty_parents, work_folder
from spanmix.text.report import CORPUS_FILE, CorpusReport, SplitSettings, check_source_name
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import check_size
from spanmix.text.written_files import written_files

READ, COPIES, TOKENIZER, ENCODE = "read", "copies", "tokenizer", "encode"
UNITS = dict.fromkeys((READ, COPIES, TOKENIZER, ENCODE, CHECK_INPUTS, "check"), "bytes")
"""By stage, what its progress counts."""

_FEW_BYTES = 32_000_000
"""Less than this is done in one process: starting others would take longer."""


def prepare(
    config: CorpusConfig,
    tokenizer: TokenizerConfig,
    out: Path | str,
    progress: Progress | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> CorpusReport:
    """Make the corpus `out` of `config.sources`; it appears whole or not at all.

    If `out` is already a corpus made with the same settings from the same files (by name and bytes), it is
    checked and returned at once. It may lie inside a source, and is never read as one. Exact
    copies are dropped, across sources too; the first stays, or that of the repository with the most stars.

    Args:
        config: what to read and what becomes of it; `out` stands for its `path`.
        tokenizer: what to train, or the folder of the tokenizer to use.
        out: the corpus folder.
        progress: called with the stage, bytes done and bytes in all; see `stages`. From 1 GB on there is a
            "check" behind them; of a finished corpus, "inputs" and "check" alone.
        workers: processes at once; by default one for each core.
        cluster: address of a Ray cluster, whose machines see all sources and `out` at the same paths.
        tell: called with a sentence if work that was begun before cannot be gone on with.

    Returns:
        The contents of ``corpus.json``.

    Raises:
        InputError: a name in the recipe is unknown, or a file that it names cannot be used; a source is
            missing or has no text; `out` holds something else; the vocabulary is too small; a file changed
            meanwhile.
    """
    out = Path(out)
    config = dataclasses.replace(config, path=str(out))
    meter = progress or (lambda stage, done, total: None)
    _check_names(config.sources)
    given = Tokenizer.load(tokenizer.path) if tokenizer.path else None
    if given is None:
        check_size(tokenizer.vocab_size, tokenizer.num_sentinels, len(tokenizer.extra_tokens))
    require_place(out, config.sources)
    files = check_steps(config)
    partitions = list_partitions(config)
    made_of = MadeOf.of(config, tokenizer, given, files, partitions)
    if (report := finished_corpus(out, made_of, meter)) is not None:
        return report
    refuse_empty(config, partitions)
    num_bytes = sum(partition.num_bytes for partition in partitions)
    if cluster is None and num_bytes < _FEW_BYTES:
        workers = 1
    versions = libraries(config)
    with no_empty_parents(out), one_writer(out), work_folder(out, num_bytes, versions, tell) as folder:
        work = Work(folder, workers or os.cpu_count() or 1, cluster)
        return _make(config, tokenizer, given, partitions, files, work, meter, made_of)


def stages(tokenizer: TokenizerConfig) -> list[str]:
    """Return the stages of `prepare` in their order, but for the "check" of much data behind them."""
    return [READ, COPIES, *([] if tokenizer.path else [TOKENIZER]), ENCODE]


def _make(
    config: CorpusConfig,
    tokenizer: TokenizerConfig,
    given: Tokenizer | None,
    partitions: Sequence[Partition],
    files: Mapping[str, str],
    work: Work,
    progress: Progress,
    made_of: MadeOf,
) -> CorpusReport:
    """Do all stages, one after the other."""
    to_read = sum(partition.num_bytes for partition in partitions)
    cleaned = clean_all(config, partitions, files, given, work, _advance(progress, READ, to_read))
    copies = find_copies(
        config, cleaned, work, _advance(progress, COPIES, sum(part.summary.kept_bytes for part in cleaned))
    )
    parts = parts_of_sources(config.sources, cleaned, copies)
    trained = given or _train_tokenizer(tokenizer, cleaned, copies, config.seed, progress)
    to_encode = sum(part.kept_bytes for mine in parts for part in mine)
    inputs = made_of.read([sha256 for part in cleaned for sha256 in part.summary.inputs])
    encoded = encode_all(config, trained, parts, work, _advance(progress, ENCODE, to_encode))
    draws = held_out_draws(len(config.sources), copies)
    with whole_folder(Path(config.path)) as folder:
        trained.save(folder / TOKENIZER_FOLDER)
        sources = {}
        for source, mine, done, draw in zip(config.sources, parts, encoded, draws, strict=True):
            assembled = assemble_source(source.name, mine, done, trained, folder)
            sources[source.name] = dataclasses.replace(assembled, held_out_draw=draw)
        report = CorpusReport(
            format_version=CORPUS_FORMAT_VERSION,
            fingerprint=stores_fingerprint(folder, list(sources), trained, progress),
            tokenizer=trained.fingerprint,
            vocab_size=trained.vocab_size,
            ends_with_eod=True,
            made_from=fingerprint(made_of.settings, inputs),
            sources=sources,
            settings=SplitSettings.of(config),
            copies=copies.report,
            made_with=made_of.record,
        )
        report.save(folder)
        write_counts(folder, count_opt_outs(config.sources, parts))
        save_inputs(folder, inputs)
        figures = read_figures(folder)
        write_corpus_page(folder, figures)
        write_card(folder, figures)
        report = dataclasses.replace(report, files=written_files(folder, without=CORPUS_FILE))
        save_seen(folder, made_of.inputs)
        report.save(folder)
    return report


def _train_tokenizer(
    config: TokenizerConfig, cleaned: Sequence[Cleaned], copies: Copies, seed: int, progress: Progress
) -> Tokenizer:
    facts, documents = copies.facts, copies.documents
    num_bytes = facts.whole("num_bytes")
    is_train = copies.decisions.fates == TRAIN
    chosen = draw_sample(documents.keys, documents.sources, num_bytes, is_train, seed)
    advance = _advance(progress, TOKENIZER, int(num_bytes[chosen].sum()))
    texts = sample_texts([part.folder for part in cleaned], facts.starts, chosen, advance)
    return Tokenizer.train(texts, config.vocab_size, config.num_sentinels, config.extra_tokens)


def _check_names(sources: Sequence[SourceFilesConfig]) -> None:
    if not sources:
        raise InputError("corpus.sources is empty; name at least one source")
    names = [source.name for source in sources]
    for name in names:
        check_source_name(name, "corpus.sources")
        if names.count(name) > 1:
            raise InputError(
                f"corpus.sources: {name!r} occurs {names.count(name)} times; name each source once"
            )


def _advance(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Report in about 200 steps at most, from 0 to exactly `total` unless the work stops."""
    done = reported = 0
    progress(stage, 0, total)

    def advance(num_bytes: int) -> None:
        nonlocal done, reported
        done = min(done + num_bytes, total)
        if done - reported >= total / 200 or done == total:
            reported = done
            progress(stage, done, total)

    return advance
