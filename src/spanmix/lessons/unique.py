"""Make a corpus of fewer different tokens out of another one, with the same held-out files.

What it holds is what a run of the same seed would read first of the whole corpus, so that runs of one seed
with more and with fewer different tokens begin with the same files.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from spanmix.data.order import Permutation
from spanmix.files import one_whole_folder
from spanmix.seeding import name_key
from spanmix.text.corpus import TOKENIZER_FOLDER, Corpus, CorpusSource, SourceWriter, stores_fingerprint
from spanmix.text.report import CORPUS_FILE, HELD_OUT_SUFFIX, CorpusReport, SourceReport
from spanmix.text.written_files import written_files
from spanmix.types import Document

_NEAR = 0.01
"""Documents are not cut: as near as this, by its share, a source comes to the tokens that were asked for."""


def unique_corpus(corpus: Corpus, folder: Path, tokens: Mapping[str, int], seed: int) -> Corpus:
    """Return a corpus of so many training tokens of each source; made once, and opened from then on.

    One that was made of another corpus, or of other numbers, is made anew.

    Args:
        corpus: what it is made of.
        folder: where it lies.
        tokens: of each source; one that is not named, or has no more, stays whole.
        seed: of the run, whose order decides what is taken.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # runs side by side may need the same one; the second one waits
        made_from = _made_from(corpus, tokens, seed)
        if not folder.is_dir() or CorpusReport.load(folder).made_from != made_from:
            _make(corpus, folder, tokens, seed, made_from)
    return Corpus.open(folder)


def _make(corpus: Corpus, folder: Path, tokens: Mapping[str, int], seed: int, made_from: str) -> None:
    with one_whole_folder(folder) as aside:
        corpus.tokenizer.save(aside / TOKENIZER_FOLDER)
        sources = {
            name: _write(corpus, source, aside, tokens.get(name, source.num_tokens + len(source)), seed)
            for name, source in corpus.train.items()
        }
        report = replace(
            corpus.report,
            sources=sources,
            fingerprint=stores_fingerprint(aside, list(sources), corpus.tokenizer),
            made_from=made_from,
            files=written_files(aside, without=CORPUS_FILE),
        )
        report.save(aside)


def first_documents(source: CorpusSource, num_tokens: int, seed: int) -> Iterator[int]:
    """Yield documents of a source, in the order of the run's first epoch, that come to about `num_tokens`.

    The token behind each document counts. One that would go beyond is passed over, so that a long one does
    not decide how much there is.
    """
    order = Permutation(seed, name_key(source.name), 0, len(source))
    taken = 0
    lengths = source.lengths
    for place in range(len(source)):
        document = order[place]
        length = int(lengths[document]) + 1
        if taken + length <= (1 + _NEAR) * num_tokens or not taken:
            taken += length
            yield document
        if taken >= (1 - _NEAR) * num_tokens:
            return


def _write(corpus: Corpus, source: CorpusSource, folder: Path, num_tokens: int, seed: int) -> SourceReport:
    name = source.name
    for file in corpus.path.glob(f"{name}{HELD_OUT_SUFFIX}.*"):
        shutil.copyfile(file, folder / file.name)
    with SourceWriter(folder / name, corpus.tokenizer) as writer:
        for number in first_documents(source, num_tokens, seed):
            text = source.text(number)
            path, language, repository = (
                tell(number) for tell in (source.path, source.language, source.repository)
            )
            document = Document(text, name, path, language, repository=repository)
            ids = source.tokens(number)
            writer.add(document, ids, source.num_bytes_of(number), source.num_prompt_tokens(number))
        counts = writer.counts
    old = corpus.report.sources[name]
    licences = Counter({"": counts.documents + old.held_out.documents})
    return SourceReport(counts, old.held_out, dict(licences), {})


def _made_from(corpus: Corpus, tokens: Mapping[str, int], seed: int) -> str:
    deciding = f"{corpus.fingerprint} {sorted(tokens.items())} {seed}"
    return hashlib.sha256(deciding.encode()).hexdigest()
