"""Laws 1, 3, 6 and 7 for every objective: nothing is lost, no target is cut, the right tokens carry loss."""

import itertools
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    PrefixLMConfig,
    PromptResponseConfig,
    SpanUnitsConfig,
    Ul2Config,
)
from spanmix.objectives.build import build, denoisers
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet, DocumentKey, TokenizedDocument, write_all
from spanmix.objectives.spans import SPAN_CONTROLS, Corruption, SpanDraws, draw_spans
from spanmix.types import Example

MODES = ("<unused_0>", "<unused_1>", "<unused_2>")
LINES = [
    "def area(radius):\n",
    "    r2 = radius * radius\n",
    "\n",
    "\treturn 3.14159 * r2\r\n",
    "x=" + "1" * 300 + "\n",
]
LINES += [
    "class Näme_mit_Umlaut(Base):\n",
    "    pass  # ☃🦉\n",
    "print('hello, wörld')\n",
    "        deep()\n",
    "no line end",
]


@pytest.fixture(scope="session")
def parts(tokenizer):
    """Alphabet and cutter of the tiny tokenizer, with fillers in the place of what it does not have."""
    special = {name: int(i) for name in MODES for i in [tokenizer.special_ids[name]]}
    fillers = [
        i for name, i in tokenizer.special_ids.items() if name.startswith("<unused_") and name not in MODES
    ]
    special |= dict(zip(("<fim_prefix>", "<fim_suffix>", "<fim_middle>"), fillers, strict=False))
    alphabet = Alphabet(tokenizer.control, tokenizer.ends_line, special)
    return alphabet, CharacterCutter(tokenizer.encode, tokenizer.token_bytes, tokenizer.num_bytes)


mode_tokens = st.sampled_from([None, MODES[0]])


@st.composite
def infill_configs(draw):
    low = draw(st.floats(0, 1))
    lengths = draw(st.sampled_from(["uniform", "uniform", "fixed", "geometric", "poisson"]))
    units = draw(st.sampled_from(["random", "random", "lines", "blocks", "nodes"]))
    return InfillConfig(
        weight=1,
        mode_token=draw(mode_tokens),
        min_ratio=low,
        max_ratio=draw(st.floats(low, 1)),
        span_lengths=lengths,
        mean_span_tokens=draw(st.floats(1, 40))
        if lengths != "uniform"
        else draw(st.sampled_from([None, 3.0])),
        one_span_probability=draw(st.sampled_from([0.0, 0.5, 1.0])),
        max_spans=draw(st.integers(2, 9)),
        span_units=SpanUnitsConfig(**{"random": 0.0, units: 1.0}),
        cut=draw(st.sampled_from(["token", "character"])),
        bidirectional=draw(st.booleans()),
        loss_on_shown=draw(st.booleans()),
        loss_on_sentinels=draw(st.booleans()),
    )


@st.composite
def prefix_configs(draw):
    low = draw(st.floats(0, 1))
    high = draw(st.floats(low, 1))
    both = draw(st.booleans())
    return PrefixLMConfig(
        weight=1, mode_token=draw(mode_tokens), min_share=low, max_share=high, bidirectional=both
    )


fim_configs = st.builds(
    FimConfig,
    weight=st.just(1),
    mode_token=mode_tokens,
    spm_share=st.sampled_from([0.0, 0.5, 1.0]),
    cut=st.sampled_from(["token", "character"]),
)
ul2_configs = st.builds(
    Ul2Config,
    weight=st.just(1),
    mode_tokens=st.sampled_from([(), MODES]),
    bidirectional=st.booleans(),
    max_spans=st.just(9),
)
CONFIGS = {
    "causal": st.builds(CausalConfig, weight=st.just(1), mode_token=mode_tokens),
    "infill": infill_configs(),
    "fim": fim_configs,
    "prefix_lm": prefix_configs(),
    "prompt_response": st.builds(PromptResponseConfig, weight=st.just(1)),
    "ul2": ul2_configs,
}


@st.composite
def documents(draw, tokenizer):
    """A text from one token to several rows, as tokens; some are Python, some have a prompt."""
    text = "".join(draw(st.lists(st.sampled_from(LINES), min_size=1, max_size=40)))
    text = draw(st.sampled_from([text, text, text[:1], text[: 1 + len(text) // 2]]))
    tokens = np.array(tokenizer.encode(text), dtype=np.int32)
    prompt = draw(st.integers(1, len(tokens)))
    language = draw(st.sampled_from(["python", "python", "prose"]))
    return text, TokenizedDocument(tokens, language, prompt)


keys = st.builds(
    DocumentKey,
    seed=st.integers(0, 99),
    source=st.just(0),
    source_key=st.integers(0, 2**64 - 1),
    document=st.integers(0, 999),
    epoch=st.just(0),
    corruption_epoch=st.integers(0, 9),
)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_objective_is_undone_and_fits_its_row(name, tokenizer, parts):
    alphabet, cutter = parts
    met: Counter[str] = Counter()

    @given(CONFIGS[name], documents(tokenizer), keys, st.integers(64, 400), st.data())
    def check(config, document_and_text, key, row_tokens, data):
        text, document = document_and_text
        objective = build(3, data.draw(st.sampled_from(denoisers(config))), alphabet, cutter)
        row_tokens = max(row_tokens, objective.wanted_room)
        examples = write_all(objective, document, key, row_tokens)
        restored = np.concatenate([objective.restore(example) for example in examples])
        assert tokenizer.decode_bytes(restored.tolist()) == text.encode()
        if getattr(config, "cut", "token") != "character" and not met_units(config):
            assert restored.tolist() == document.tokens.tolist()
        for number, example in enumerate(examples):
            assert example.num_positions <= row_tokens
            assert example.ref == key.ref(number) and example.objective == 3
            assert (
                example.token_ids[0] == alphabet.control.eot and alphabet.control.pad not in example.token_ids
            )
            assert (example.loss_weights[: max(1, example.prefix_length)] == 0).all()
            assert example.prefix_length == 0 or getattr(config, "bidirectional", False)
        met["one-token file"] += len(document.tokens) == 1
        met["longer than a row"] += len(examples) > 1
        met["ends inside a line"] += not text.endswith("\n")
        met["beyond ASCII"] += not text.isascii()

    check()
    assert len(met) == 4 and min(met.values()) >= 10, met


def met_units(config):
    """Whether spans are lines, blocks or nodes."""
    units = getattr(config, "span_units", None)
    return units is not None and not units.random


def test_infill_is_laid_out_as_the_contract_says(tokenizer, parts):
    alphabet, cutter = parts
    control = alphabet.control
    met: Counter[str] = Counter()

    @given(infill_configs(), documents(tokenizer), keys, st.integers(64, 400))
    def check(config, document_and_text, key, row_tokens):
        _, document = document_and_text
        objective = build(0, config, alphabet, cutter)
        for example in write_all(objective, document, key, max(row_tokens, objective.wanted_room)):
            ids = example.token_ids.tolist()
            num_start, sep = len(objective.start_ids), ids.index(control.sep)
            assert ids[sep - 1] == ids[-1] == control.eot and ids.count(control.eot) == 3
            spans = answers(example, control)
            assert 1 <= len(spans) <= config.max_spans and all(spans)
            shown = ids[num_start : sep - 1]
            masks = [token for token in shown if token in control.masks]
            assert masks == list(control.masks[: len(spans)])
            assert not any(a in control.masks and b in control.masks for a, b in pairwise(shown))
            for i, (token, weight) in enumerate(zip(ids, example.loss_weights.tolist(), strict=True)):
                sentinel = token == control.sep or token in control.masks
                silent = (config.bidirectional or not config.loss_on_shown) and i <= sep
                assert weight == float(
                    not (i < num_start or silent or (sentinel and not config.loss_on_sentinels))
                )
            assert example.prefix_length == (sep + 1 if config.bidirectional else 0)
            met["many spans"] += len(spans) >= 4
            met["empty prefix"] += shown[0] == control.masks[0]
            met["empty suffix"] += shown[-1] == masks[-1]
            met["whole piece hidden"] += len(shown) == 1
            met["mode token"] += num_start == 2

    check()
    assert len(met) == 5 and min(met.values()) >= 10, met


def answers(example: Example, control) -> list[list[int]]:
    """The hidden spans, read the way a model is asked: sentinel, tokens, <eom>."""
    ids = example.token_ids.tolist()
    tail = ids[ids.index(control.sep) + 1 :]
    spans = []
    while tail[0] != control.eot:
        assert tail[0] == control.masks[len(spans)], "sentinels count from 1 in each piece"
        end = tail.index(control.eom)
        spans.append(tail[1:end])
        tail = tail[end + 1 :]
    assert len(tail) == 1
    return spans


def test_spans_of_characters_are_encoded_as_an_editor_would(tokenizer, parts):
    """Each part of an example is what the part's text is encoded to by itself."""
    alphabet, cutter = parts
    met: Counter[str] = Counter()

    @given(documents(tokenizer), keys, st.sampled_from(["infill", "fim"]))
    def check(document_and_text, key, name):
        _, document = document_and_text
        infill = InfillConfig(weight=1, cut="character")
        config = infill if name == "infill" else FimConfig(weight=1, cut="character", spm_share=0)
        objective = build(0, config, alphabet, cutter)
        [example, *more] = write_all(objective, document, key, 100_000)
        assert not more
        marks = np.flatnonzero(tokenizer.is_control[example.token_ids])
        for start, stop in pairwise(marks.tolist()):
            part = example.token_ids[start + 1 : stop].tolist()
            text = tokenizer.decode_bytes(part)
            again = tokenizer.encode(text.decode())  # a part never begins or ends inside a character
            met["inside a token"] += len(part) > 0 and again == part
            # A word too long to be encoded again, which is data, keeps its tokens.
            assert again == part or b"1" * 200 in text
        cut = set(np.cumsum(tokenizer.num_bytes[document.tokens]).tolist())
        met["token cut"] += len(cut) > 2

    check()
    assert min(met.values()) >= 50, met


@pytest.mark.parametrize("unit", ["lines", "blocks", "nodes"])
def test_spans_are_made_of_the_unit(unit, tokenizer, parts):
    alphabet, cutter = parts
    text = 6 * (
        "def area(r):\n    r2 = r * r\n    if r2 > 4:\n        return 0\n    return 3 * r2\n"
        "\nprint(area(2))\n"
    )
    document = TokenizedDocument(np.array(tokenizer.encode(text), dtype=np.int32), "python")
    config = InfillConfig(weight=1, span_units=SpanUnitsConfig(**{"random": 0.0, unit: 1.0}))
    objective = build(0, config, alphabet, cutter)
    found: Counter[str] = Counter()
    for number in range(200):
        key = DocumentKey(0, 0, 0, number, 0, 0)
        [example] = write_all(objective, document, key, 2000)
        for span in answers(example, alphabet.control):
            found[tokenizer.decode(span)] += 1
    if unit == "lines":
        assert all(span.endswith("\n") for span in found) and len(found) > 20
    elif unit == "blocks":
        # Where no block has room, tokens take its place.
        whole = {"        return 0\n", "".join(text.splitlines(keepends=True)[1:5])}
        assert whole <= set(found) and sum(found[block] for block in whole) > 0.9 * found.total()
    else:
        assert {"return 0", "area(2)", "r * r", "3 * r2"} <= set(found)
        assert not any(span.endswith("\n") for span in found)


def test_a_full_piece_fills_its_row_or_ends_a_line_within_a_hundredth(tokenizer, parts):
    alphabet, cutter = parts
    met: Counter[str] = Counter()

    @given(st.sampled_from(["causal", "infill", "fim"]), documents(tokenizer), keys, st.integers(100, 300))
    def check(name, document_and_text, key, row_tokens):
        config = {"causal": CausalConfig, "infill": InfillConfig, "fim": FimConfig}[name](weight=1)
        config = replace(config, cut="token") if name == "fim" else config
        tokens = np.resize(document_and_text[1].tokens, 3 * row_tokens)
        objective = build(0, config, alphabet, cutter)
        start = 0
        for example in write_all(objective, TokenizedDocument(tokens), key, row_tokens)[:-1]:
            start += len(objective.restore(example))
            missing = row_tokens - example.num_positions
            ends_line = bool(alphabet.ends_line[tokens[start - 1]])
            near_end = start >= len(tokens) - 1
            assert missing == 0 or (ends_line and missing <= row_tokens // 100) or near_end
            met["exact"] += missing == 0
            met["line end"] += missing > 0 and ends_line

    check()
    assert met["exact"] >= 50 and met["line end"] >= 5, met


def test_spans_are_uniform():
    """Two spans of 3 hidden among 7 tokens: every split and every placing is equally likely."""
    counts: Counter[tuple[tuple[int, int], ...]] = Counter()
    num_draws = 12_000
    for document in range(num_draws):
        words = DocumentKey(7, 0, 0, document, 0, 0).words("spans", 8)
        counts[tuple(draw_spans(Corruption(round(3.2 / 7 * 2**32), 2), 7, words))] += 1
    possible = 2 * 10  # splits of 3 in two parts; 2 of the 5 places before, between and behind 4 shown
    assert len(counts) == possible
    expected = num_draws / possible
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 43.8  # 0.1 % point of 19 degrees of freedom; the draws are fixed


@pytest.mark.parametrize("kind", ["fixed", "geometric", "poisson", "uniform"])
@pytest.mark.parametrize(("row_tokens", "num_tokens"), [(1000, 160), (160, 2000), (400, 2000)])
def test_spans_have_their_mean_length_and_their_ratio(kind, row_tokens, num_tokens, parts):
    """In files that are shorter than a row, in rows that are full, and in rows for several pieces."""
    alphabet, cutter = parts
    config = InfillConfig(
        weight=1, min_ratio=0.25, max_ratio=0.25, span_lengths=kind, mean_span_tokens=5, max_spans=9
    )
    objective = build(0, config, alphabet, cutter)
    document = TokenizedDocument(np.full(num_tokens, 65, dtype=np.int32))
    lengths: list[int] = []
    positions: Counter[int] = Counter()
    num_shown = 0
    for number in range(400 * 160 // num_tokens):
        written = write_all(objective, document, DocumentKey(0, 0, 0, number, 0, 0), row_tokens)
        # The last piece of a file is as short as it happens to be.
        for example in written if len(written) == 1 else written[:-1]:
            spans = answers(example, alphabet.control)
            lengths += map(len, spans)
            num_shown += len(objective.restore(example)) - sum(map(len, spans))
            positions[example.num_positions] += 1
    assert len(lengths) > 1000 and abs(np.mean(lengths) - 5) < 0.35
    spread = {"fixed": 0.0, "geometric": 4.5, "poisson": 2.0, "uniform": 4.0}[kind]
    assert abs(np.std(lengths) - spread) < 0.8, np.std(lengths)
    assert abs(sum(lengths) / (sum(lengths) + num_shown) - 0.25) < 0.02
    # 400 positions would take more than 9 spans, so two such pieces share a row.
    full = {1000: None, 160: 160, 400: 200}[row_tokens]
    assert full is None or set(positions) == {full}, positions


@pytest.mark.parametrize(
    ("unit", "asked", "mean", "near"),
    [
        ("characters", 0.15, 5, (0.03, 1.0)),
        ("characters", 0.4, 20, (0.03, 2.0)),
        ("lines", 0.15, None, (0.06, None)),
        ("lines", 0.3, 60, (0.04, 8.0)),
        ("blocks", 0.2, None, (0.09, None)),  # a file has only so many
        ("nodes", 0.15, None, (0.04, None)),
        ("nodes", 0.3, None, (0.08, None)),
    ],
)
def test_the_ratio_holds_in_every_piece_of_a_long_file(unit, asked, mean, near, tokenizer, parts):
    """Whatever spans are made of, in files of many pieces, whose rows are filled."""
    alphabet, cutter = parts
    text = "".join(
        f"def area_{i}(radius, n):\n    r2 = radius * radius + {i}\n    if r2 > n:\n        return None\n"
        f"    return 3 * r2 - helper_{i % 7}(n)\n\n"
        for i in range(120)
    )
    document = TokenizedDocument(np.array(tokenizer.encode(text), dtype=np.int32), "python")
    lengths = {"span_lengths": "fixed", "mean_span_tokens": mean} if mean else {}
    made_of = {} if unit == "characters" else {"span_units": SpanUnitsConfig(**{"random": 0.0, unit: 1.0})}
    cut = "character" if unit == "characters" else "token"
    config = InfillConfig(
        weight=1, min_ratio=asked, max_ratio=asked, max_spans=9, cut=cut, **lengths, **made_of
    )
    objective = build(0, config, alphabet, cutter)
    hidden = text_tokens = num_pieces = used = 0
    spans: list[int] = []
    for number in range(12):
        written = write_all(objective, document, DocumentKey(0, 0, 0, number, 0, 0), 400)
        assert len(written) > 12
        for example in written[:-1]:
            found = [len(span) for span in answers(example, alphabet.control)]
            hidden += sum(found)
            text_tokens += len(objective.restore(example))
            spans += found
            used += example.num_positions
            num_pieces += 1
    assert abs(hidden / text_tokens - asked) < near[0], hidden / text_tokens
    assert mean is None or abs(np.mean(spans) - mean) < near[1], np.mean(spans)
    if mean is None:  # with a mean, several pieces may share a row
        assert used / num_pieces > 0.98 * 400


def test_too_many_spans_for_the_tokenizer_are_refused(parts):
    config = InfillConfig(weight=1, max_spans=10)
    with pytest.raises(InputError, match=r"10 spans.*9 sentinels"):
        ObjectiveMixture([config], parts[0], 512, ["code"])


def test_rows_too_short_for_the_spans_are_refused(parts):
    with pytest.raises(InputError, match="row_tokens is 40"):
        ObjectiveMixture([InfillConfig(weight=1, max_spans=8)], parts[0], 40, ["code"])


def test_special_tokens_that_are_missing_or_taken_are_refused(parts):
    alphabet = Alphabet(parts[0].control, parts[0].ends_line, {"<sep>": parts[0].control.sep})
    with pytest.raises(
        InputError, match="the tokenizer lacks <fim_prefix>, <fim_suffix>, <fim_middle>; prepare"
    ):
        ObjectiveMixture([FimConfig(weight=1, cut="token")], alphabet, 512, ["code"])
    with pytest.raises(InputError, match="<sep>, which marks files and spans"):
        ObjectiveMixture([CausalConfig(weight=1, mode_token="<sep>")], alphabet, 512, ["code"])


def test_a_document_without_a_prompt_has_no_response(parts):
    objective = build(0, PromptResponseConfig(weight=1), *parts)
    with pytest.raises(InputError, match="no prompt"):
        write_all(
            objective, TokenizedDocument(np.full(9, 65, dtype=np.int32)), DocumentKey(0, 0, 0, 0, 0, 0), 64
        )


def test_the_choice_of_objective_follows_the_weights_of_the_source_and_changes_with_the_epoch(parts):
    configs = [
        CausalConfig(weight=0.25, sources=("code",)),
        InfillConfig(weight=0.75, sources=("code",)),
        PrefixLMConfig(weight=1, sources=("prose",)),
        Ul2Config(weight=3, sources=("prose",), max_spans=9),
    ]
    mixture = ObjectiveMixture(configs, parts[0], 512, ["code", "prose"])
    chosen = {
        (source, document, epoch): mixture.choose(DocumentKey(1, source, 5, document, epoch, epoch)).index
        for source in range(2)
        for document in range(2000)
        for epoch in range(2)
    }
    shares = [Counter(index for (source, _, _), index in chosen.items() if source == s) for s in range(2)]
    assert set(shares[0]) == {0, 1} and set(shares[1]) == {2, 3}
    assert abs(shares[0][1] / 4000 - 0.75) < 0.03 and abs(shares[1][3] / 4000 - 0.75) < 0.03
    assert sum(chosen[0, d, 0] != chosen[0, d, 1] for d in range(2000)) > 500
    with pytest.raises(InputError, match=r"for source 'cod' .did you mean 'code'"):
        ObjectiveMixture([CausalConfig(weight=1, sources=("cod",))], parts[0], 512, ["code"])
    with pytest.raises(InputError, match="source 'prose' has no objective"):
        ObjectiveMixture(configs[:2], parts[0], 512, ["code", "prose"])


def test_every_piece_has_room_for_its_spans():
    """Where a row is shared by several pieces, a piece's spans, hidden and shown tokens fit its share."""
    shared = 0
    for mean, max_spans, ratio in itertools.product((1.0, 1.5, 3.0), (2, 3, 8), (0.3, 0.7, 1.0)):
        config = InfillConfig(
            weight=1,
            min_ratio=ratio,
            max_ratio=ratio,
            span_lengths="fixed",
            mean_span_tokens=mean,
            max_spans=max_spans,
        )
        draws = SpanDraws(config)
        for room, length, word in itertools.product(range(8, 200), (1, 5, 14, 400), (0, 2**64 - 1)):
            found = draws.corruption([0, word, 0], length, room, 3)
            left = room // found.share - 3 - SPAN_CONTROLS * found.num_spans
            assert left >= 2 * found.num_spans - 1
            shared += found.share > 1
    assert shared > 1000
