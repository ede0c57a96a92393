"""Watch how much a model in training writes word for word as in its training documents."""

from __future__ import annotations

from collections.abc import Callable

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.memorization import measure_memorization
from spanmix.evaluate.memorization_prompts import MemorizationSettings, NoPromptsError, draw_prompts
from spanmix.generate.engine import Engine
from spanmix.model.decoder import Decoder
from spanmix.text.corpus import Corpus, CorpusSource
from spanmix.text.trace.index import TraceIndex

_PROMPT_TOKENS = 50
_MATCH_TOKENS = 50
_MAX_TOKENS = 100


class MemorizationWatch:
    """Share of the tokens of greedy completions that lie in copies of 50 tokens and more.

    Prompts are 50 tokens of training and of held-out documents, the first that
    `spanmix.evaluate.memorization_prompts` draws by the run's seed, the same each time; completions have up
    to 100 tokens. It costs a copy of the model; see `spanmix.evaluate.first_process`.

    Args:
        recipe: a resolved recipe.
        corpus: its documents are read.
        index: of this corpus.
        first: asks the model.
        tell: is told of what has no document long enough.
    """

    kind = "memorization"

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        index: TraceIndex,
        first: FirstProcess,
        tell: Callable[[str], None],
    ) -> None:
        self.every_steps = recipe.evaluate.every_steps
        self._settings = MemorizationSettings(
            _MATCH_TOKENS,
            recipe.evaluate.memorization_prompts,
            _PROMPT_TOKENS,
            _MAX_TOKENS,
            seed=recipe.run.seed,
        )
        self._first = first
        self._tokenizer = corpus.tokenizer
        self._index = index
        self._asked: dict[tuple[str, str], CorpusSource] = {}
        for name in (source.name for source in recipe.data.sources):
            for side, documents in (("train", corpus.train[name]), ("held_out", corpus.held_out[name])):
                try:
                    draw_prompts(documents, side, self._settings)
                except NoPromptsError as error:
                    tell(f"memorization of {name} ({side}) is not watched: {error}")
                    continue
                self._asked[name, side] = documents

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return ``source/train`` and ``source/held_out``, shares from 0 to 1; none but in the first
        process."""
        return self._first.figures(model, self._figures) if self._asked else {}

    def _figures(self, engine: Engine) -> dict[str, float]:
        figures: dict[str, float] = {}
        for (name, side), documents in self._asked.items():
            found = measure_memorization(
                engine, self._tokenizer, self._index, documents, side, self._settings
            )
            figures[f"{name}/{side}"] = 0.0 if found.memorized is None else found.memorized.value
        return figures


def require_memorization(recipe: Recipe) -> None:
    """Raise `InputError` if a recipe's corpus has no trace index, or its rows do not hold what is asked."""
    needed = 1 + _PROMPT_TOKENS + _MAX_TOKENS
    if recipe.data.row_tokens < needed:
        raise InputError(
            f"evaluate.memorization_prompts is {recipe.evaluate.memorization_prompts}, and a prompt with its "
            f"completion takes {needed} positions; data.row_tokens is {recipe.data.row_tokens}: use "
            f"{needed} or more, or evaluate.memorization_prompts 0"
        )
    index = TraceIndex.open(recipe.corpus.path)
    if index.shortest_bytes > _MATCH_TOKENS:
        raise InputError(
            f"evaluate.memorization_prompts is {recipe.evaluate.memorization_prompts}, and the trace index "
            f"of {recipe.corpus.path} finds matches of {index.shortest_bytes} bytes and more; build one of "
            f"{_MATCH_TOKENS} or fewer: `spanmix trace --corpus {recipe.corpus.path} --build "
            "--shortest-bytes 16`"
        )
