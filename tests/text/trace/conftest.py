"""What the tests of traces share: small corpora, and the same question answered by searching every
document."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from spanmix.text.corpus import TOKENIZER_FOLDER, SourceWriter, stores_fingerprint
from spanmix.text.preparation.layout import LaidOut
from spanmix.text.report import HELD_OUT_SUFFIX, CorpusReport, SourceReport
from spanmix.types import Document


def write_corpus(folder, tokenizer, sources, held_out=(), made_with=None):
    """A corpus of the given texts or laid out documents, as `prepare` would write it: {source: [text]}."""
    folder.mkdir(parents=True)
    tokenizer.save(folder / TOKENIZER_FOLDER)
    reports = {}
    for name, texts in sources.items():
        counts = []
        for side, side_texts in (("", texts), (HELD_OUT_SUFFIX, held_out)):
            with SourceWriter(folder / (name + side), tokenizer) as writer:
                for i, given in enumerate(side_texts):
                    laid = given
                    if isinstance(given, str):
                        licence = "MIT" if i % 2 else ""
                        laid = LaidOut(Document(given, name, f"{name}/{i}.py", "python", licence))
                    text = laid.document.text
                    ids = np.array(tokenizer.encode(text), np.int32)
                    writer.add(laid.document, ids, len(text.encode()), 0, laid.files)
            counts.append(writer.counts)
        reports[name] = SourceReport(*counts, {}, {})
    fingerprint = stores_fingerprint(folder, list(sources), tokenizer)
    names = (tokenizer.fingerprint, tokenizer.vocab_size)
    report = CorpusReport(1, fingerprint, *names, True, "made up", reports, made_with=made_with)
    report.save(folder)
    return folder


def longest_by_search(documents, text, least):
    """Start and end, in characters, of each longest part of a text that some document holds, by trying
    all."""
    found = []
    end = 0
    for start in range(len(text)):
        end = max(start, end)  # what is held without its first character is held
        while end < len(text) and any(text[start : end + 1] in document for document in documents):
            end += 1
        if len(text[start:end].encode()) >= least and not (found and found[-1][1] >= end):
            found.append((start, end))
    return found


def spans_of(matches):
    """Start and end, in characters, of each match, those that stand for several counted out."""
    found = []
    for match in matches:
        step = (match.last_end_character - match.end_character) // max(1, match.num_repeats - 1)
        assert match.last_end_character == match.end_character + step * (match.num_repeats - 1)
        assert step <= match.end_character - match.start_character
        moved = range(0, step * match.num_repeats, step) if match.num_repeats > 1 else [0]
        found += [(match.start_character + by, match.end_character + by) for by in moved]
    return found


def places_by_search(sources, part):
    """Source, document and line of every place where a part stands, in the corpus's order."""
    return [
        (name, number, document.count("\n", 0, at) + 1, len(document[:at].encode()))
        for name, documents in sources.items()
        for number, document in enumerate(documents)
        for at in range(len(document))
        if document.startswith(part, at)
    ]


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Hundreds of small indexes are written; none of these tests cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def traced():
    """All of the above by its name."""
    return SimpleNamespace(
        write_corpus=write_corpus,
        longest_by_search=longest_by_search,
        places_by_search=places_by_search,
        spans_of=spans_of,
    )
