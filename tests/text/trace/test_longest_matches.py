"""The longest matches of a text are those that a search through all documents finds, whatever the text."""

import random
import shutil
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.text.corpus import Corpus
from spanmix.text.trace.build import build_index
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.layout import IndexSettings

# Characters of one, two, three and four bytes; of each pair the first bytes are the same.
LETTERS = "ab \n" + "éè" + "你佡" + "😀😁"
SIBLING = str.maketrans({"è": "é", "佡": "你", "😁": "😀"})
WORDS = [
    "abab",
    "aaaaaaaa",
    "def f(x):\n",
    "    return x\n",
    "éèé",
    "你佡你",
    "😀😁",
    "<|endoftext|>",
    "<mask_1>",
    "\r\n\0",
]

pieces = st.one_of(st.sampled_from(WORDS), st.text(LETTERS, max_size=6))
texts = st.lists(pieces, max_size=10).map("".join)


@st.composite
def corpora(draw):
    """Documents with much in common, and texts cut from them, glued together and made up."""
    documents = draw(st.lists(texts, min_size=1, max_size=6)) * draw(st.sampled_from([1, 1, 1, 5]))
    random_ = random.Random(draw(st.integers(0, 2**32)))

    def excerpt():
        document = random_.choice(documents)
        start = random_.randint(0, len(document))
        return document[start : random_.randint(start, len(document))]

    asked = [draw(texts), "", random_.choice(documents), excerpt(), excerpt() + excerpt()]
    swapped = random_.choice(documents).translate(SIBLING)
    asked += [swapped, swapped[:3] + excerpt()]
    asked += [excerpt() + draw(pieces) + excerpt(), "".join(documents), random_.choice(documents) * 3]
    return documents, asked


def test_matches_are_those_of_a_search_through_all_documents(tokenizer, traced, tmp_path_factory):
    cases = Counter()

    @settings(max_examples=settings().max_examples // 5)
    @given(corpora(), st.sampled_from([1, 2, 3, 4, 6, 9, 16]), st.integers(0, 12))
    def check(corpus, shortest, more):
        documents, asked = corpus
        half = len(documents) // 2
        sources = {"one": documents[:half], "two": documents[half:]} if half else {"one": documents}
        folder = traced.write_corpus(tmp_path_factory.mktemp("traced") / "corpus", tokenizer, sources)
        build_index(folder, IndexSettings(shortest))
        index = TraceIndex.open(folder)
        for text in asked:
            matches = index.longest_matches(text, shortest + more, max_occurrences=1000)
            found = traced.longest_by_search(documents, text, shortest + more)
            assert traced.spans_of(matches) == found
            for match in matches:
                _check_places(traced, sources, text, match)
            cases.update(_kinds(documents, text, matches, shortest))

    check()
    least = {
        "matches": 200,
        "several": 30,
        "none": 40,
        "many places": 8,
        "multi-byte": 80,
        "whole text": 40,
        "repeated": 10,
    }
    least |= {"control string": 20, "cut in a character": 4, "longer than all": 20, "sampled": 40}
    assert {name: cases[name] for name in least if cases[name] < least[name]} == {}


def _check_places(traced, sources, text, match):
    part = text[match.start_character : match.end_character]
    last = match.last_end_character
    assert text[:last].encode() == text.encode()[: match.last_end]
    assert text[last - len(part) : last] == part
    assert text.encode()[match.start : match.end].decode() == part
    places = traced.places_by_search(sources, part)
    assert (match.num_occurrences, match.is_count_exact) == (len(places), True)
    assert [(o.source, o.document, o.files[0].line, o.start) for o in match.occurrences] == places


def _kinds(documents, text, matches, shortest):
    """Count what the case was hard in."""
    kinds = Counter()
    for match in matches:
        part = text[match.start_character : match.end_character]
        kinds["matches"] += 1
        kinds["many places"] += match.num_occurrences > 8
        kinds["multi-byte"] += not part.isascii()
        kinds["control string"] += "<mask_1>" in part or "<|endoftext|>" in part
        kinds["cut in a character"] += _is_cut(documents, text, match)
        kinds["whole text"] += part == text
        kinds["sampled"] += shortest > 4
        kinds["repeated"] += match.num_repeats > 1
    kinds["several"] += len(matches) > 1
    kinds["longer than all"] += bool(matches) and len(text) > max(map(len, documents))
    kinds["none"] += not matches
    return kinds


def _is_cut(documents, text, match):
    """Whether the bytes of some document go on as the text's do, and its characters do not."""
    longer = text.encode()[match.start : match.end + 1]
    return match.end_character < len(text) and any(longer in document.encode() for document in documents)


@pytest.mark.parametrize("shortest", [1, 8, 16])
def test_long_repeats_are_found_to_their_ends(tokenizer, traced, tmp_path, shortest):
    """Matches far longer than what is compared at first, which reach over one another."""
    random_ = random.Random(7)
    licence = "".join(random_.choice("the license ") for _ in range(1500))
    other = "".join(random_.choice("xyz ") for _ in range(500))
    documents = [f"{i}{i}{i} {licence[100 * i :]}\n{other[: 50 * i]}#{i}" for i in range(8)] + [
        licence[:1700] + "!" + licence[1700:],
        licence[1000:2000] + other + licence[:450],
    ]
    folder = traced.write_corpus(tmp_path / "corpus", tokenizer, {"code": documents})
    build_index(folder, IndexSettings(shortest))
    index = TraceIndex.open(folder)
    asked = [
        licence,
        licence + "\n" + other,
        other + licence[:400],
        documents[8],
        licence[1:] + licence,
        documents[9] + "?",
    ]
    overlapping = 0
    for text in asked:
        found = traced.spans_of(index.longest_matches(text, 40))
        assert found == traced.longest_by_search(documents, text, 40)
        overlapping += sum(first[1] > second[0] for first, second in pairwise(found))
    assert overlapping >= 5


def test_whole_documents_are_found_whole(corpus_folder, tmp_path, traced, tokenizer):
    """Of a prepared corpus, each training document, and each excerpt whatever tokens its ends cut."""
    folder = shutil.copytree(corpus_folder, tmp_path / "corpus")
    build_index(folder)
    index = TraceIndex.open(folder)
    random_ = random.Random(3)
    checked = 0
    for name, source in Corpus.open(folder).train.items():
        for number in range(len(source)):
            text = source.text(number)
            start = random_.randrange(len(text) - 100)
            for part in (text, text[start : start + random_.randint(40, 100)]):
                (match,) = index.longest_matches(part, max_occurrences=10**6)
                assert (match.start, match.end) == (0, len(part.encode()))
                assert (name, number, source.path(number)) in [
                    (o.source, o.document, o.files[0].path) for o in match.occurrences
                ]
                checked += 1
    assert checked > 30
