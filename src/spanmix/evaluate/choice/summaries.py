"""Let a model summarize XSum's articles in one sentence, after one example, and compare by ROUGE.

The example is fixed and our own, so that nothing of the benchmark is shown. CodeGen2's paper does not say
which words are around an article; these are::

    Article: <the example's article>
    Summary: <the example's summary>

    Article: <the article>
    Summary:

The model goes on greedily to the end of the line. ROUGE (Lin, 2004) is that of the package ``rouge-score``,
with its stemmer: F1 of single words, of pairs, and of the longest common subsequence, in percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.files import parse_json
from spanmix.generate.batch import generate
from spanmix.generate.engine import Engine, GenerateRequest
from spanmix.generate.text import controls_but
from spanmix.text.problems.json_lines import read_objects
from spanmix.text.text_tokenizer import TextTokenizer

KINDS = ("rouge1", "rouge2", "rougeL")
_AT_ONCE = 256
_MAX_TOKENS = 64
_LEAST_TOKENS = 64
"""Of an article; with less of it there is nothing to summarize."""

_INSTALL = (
    "install it with `pip install rouge-score==0.1.2`, or with the extra: `pip install 'spanmix[eval]'`"
)

_EXAMPLE_ARTICLE = (
    "The footbridge over the river at Millford will close on Monday for about six weeks. The town council "
    "said that divers had found cracks in two of its five piers in the spring, and that the work could not "
    "wait for another winter of high water. A free shuttle bus will run every twenty minutes between the "
    "station and the market square. Shopkeepers on the north bank fear that fewer customers will come. Ana "
    "Reis, who owns a bakery there, said that the last closure had cost her a third of her sales. The "
    "council expects the repairs to cost 400,000 euros."
)
_EXAMPLE_SUMMARY = "A cracked footbridge in Millford is to be closed for six weeks of repairs."


@dataclass(frozen=True)
class Article:
    """A text and its published summary of one sentence."""

    document: str
    summary: str


@dataclass(frozen=True)
class Summary:
    """What the model wrote of one article, and its ROUGE in percent, by kind."""

    text: str
    rouge: dict[str, float]
    num_cut_tokens: int


@dataclass(frozen=True)
class SummaryResult:
    """All that was measured.

    Args:
        rouge: mean F1 in percent, with its 95 % interval over articles, for each of `KINDS`.
        num_items: articles.
        num_cut_items: articles whose end was cut, to fit the model's context.
        items: what was written of each.
    """

    rouge: dict[str, Interval]
    num_items: int
    num_cut_items: int
    items: tuple[Summary, ...]


def read_xsum(path: Path) -> list[Article]:
    """Read XSum (Narayan et al., 2018): lines with ``document`` and ``summary``.

    Raises:
        InputError: the file is missing, broken or empty.
    """
    articles = [parse_json(text, Article, place) for place, text in read_objects(path)]
    if not articles:
        raise InputError(f"{path} is empty; name a file with articles")
    return articles


def score_summaries(
    engine: Engine,
    tokenizer: TextTokenizer,
    articles: Sequence[Article],
    start_ids: Sequence[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SummaryResult:
    """Summarize every article and compare with the published summary.

    Args:
        engine: what runs the model.
        tokenizer: the model's.
        articles: at least one.
        start_ids: stand in front of every prompt.
        progress: called with (articles done, articles in all).

    Raises:
        InputError: the package ``rouge-score`` is not installed, or the context has no room for an article.
    """
    compare = _rouge()
    prompts = [_prompt(engine, tokenizer, article, start_ids) for article in articles]
    stop_ids = tokenizer.end_ids | frozenset(_line_ends(tokenizer))
    written: list[Summary] = []
    for start in range(0, len(articles), _AT_ONCE):
        part = prompts[start : start + _AT_ONCE]
        requests = [
            GenerateRequest(
                ids, _MAX_TOKENS, stop_ids=stop_ids, suppress_ids=controls_but(tokenizer, stop_ids)
            )
            for ids, _ in part
        ]
        done = generate(engine, requests)
        for article, (_, num_cut), generation in zip(articles[start:], part, done, strict=False):
            text = tokenizer.decode_bytes(generation.token_ids).decode("utf-8", errors="replace")
            text = text.partition("\n")[0].strip()
            written.append(Summary(text, compare(article.summary, text), num_cut))
        if progress is not None:
            progress(len(written), len(articles))
    ones = np.ones(len(written))
    rouge = {
        kind: intervals.ratio(np.array([summary.rouge[kind] for summary in written]), ones, seed=0)
        for kind in KINDS
    }
    num_cut_items = sum(summary.num_cut_tokens > 0 for summary in written)
    return SummaryResult(rouge, len(written), num_cut_items, tuple(written))


def _prompt(
    engine: Engine, tokenizer: TextTokenizer, article: Article, start_ids: Sequence[int]
) -> tuple[list[int], int]:
    """Return the prompt and how many tokens of the article's end did not fit."""
    example = f"Article: {_EXAMPLE_ARTICLE}\nSummary: {_EXAMPLE_SUMMARY}\n\nArticle:"
    before = tokenizer.encode(example)
    text, after = map(tokenizer.encode_inside, (f" {_line(article.document)}", "\nSummary:"))
    num_around = len(start_ids) + len(before) + len(after)
    room = engine.info.context_tokens - _MAX_TOKENS - num_around
    if room < _LEAST_TOKENS:
        raise InputError(
            f"the example with its answer takes {num_around + _MAX_TOKENS} tokens of the model's context of "
            f"{engine.info.context_tokens}, which leaves too few for an article; XSum needs a longer context"
        )
    return [*start_ids, *before, *text[:room], *after], max(0, len(text) - room)


def _line(text: str) -> str:
    """Put a text on one line, since the end of a line ends a part of the prompt."""
    return " ".join(text.split())


def _line_ends(tokenizer: TextTokenizer) -> list[int]:
    return [token_id for token_id, piece in enumerate(tokenizer.token_bytes) if b"\n" in piece]


def _rouge() -> Callable[[str, str], dict[str, float]]:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise InputError(f"ROUGE comes in the package rouge-score, which is missing; {_INSTALL}") from None
    scorer = RougeScorer(KINDS, use_stemmer=True)

    def compare(summary: str, text: str) -> dict[str, float]:
        return {kind: 100 * float(found.fmeasure) for kind, found in scorer.score(summary, text).items()}

    return compare
