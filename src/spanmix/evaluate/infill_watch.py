"""Watch how many held-out lines a model in training fills in as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanmix.config import Recipe
from spanmix.evaluate.first_process import FirstProcess
from spanmix.evaluate.infill_answers import prompts_of, requests_of, write_answers
from spanmix.evaluate.infill_match import edit_similarity
from spanmix.evaluate.infill_spans import SINGLE_LINE, InfillCase, make_cases
from spanmix.generate.engine import Engine, GenerateRequest
from spanmix.generate.formats import InfillFormat
from spanmix.model.decoder import Decoder
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.trained_prompting import trained_prompting

_SHOWN = "suffix_shown"


@dataclass(frozen=True)
class _Asked:
    """What is asked of one source."""

    cases: Sequence[InfillCase]
    requests: Sequence[GenerateRequest]


class InfillWatch:
    """Exact match and edit similarity of single lines, written greedily between their prefix and suffix.

    The lines are the first that `spanmix.evaluate.infill_spans` draws by the run's seed, the same each time;
    `spanmix evaluate` with that seed and the context of a row draws them too. Sources on whose documents
    nothing teaches infill are left out. It costs a copy of the model; see
    `spanmix.evaluate.first_process`.

    Args:
        recipe: a resolved recipe.
        corpus: its held-out documents are read.
        infill_format: how the model is asked.
        first: asks it.
        tell: is told of a source that has no line to fill in.
    """

    kind = "infill"

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        infill_format: InfillFormat,
        first: FirstProcess,
        tell: Callable[[str], None],
    ) -> None:
        self.every_steps = recipe.evaluate.every_steps
        self._first = first
        self._tokenizer = corpus.tokenizer
        self._asked: dict[str, _Asked] = {}
        for name in _taught_sources(recipe):
            asked = _asked(recipe, corpus, name, infill_format)
            if asked.cases:
                self._asked[name] = asked
            else:
                num_files = corpus.held_out[name].num_documents
                tell(
                    f"infill of {name} is not watched: its {num_files:,} held-out files have no line between "
                    "others that fits a row"
                )

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return ``source/exact`` and ``source/edit_similarity``, means from 0 to 1; none but in the first
        process."""
        return self._first.figures(model, self._figures) if self._asked else {}

    def _figures(self, engine: Engine) -> dict[str, float]:
        return {
            f"{name}/{what}": value
            for name, asked in self._asked.items()
            for what, value in _match(engine, self._tokenizer, asked).items()
        }


def _taught_sources(recipe: Recipe) -> list[str]:
    """Name the sources of the mixture whose documents may get an objective that teaches infill."""
    teaching = [one for one in recipe.objectives if trained_prompting([one], None).infill is not None]
    names = [source.name for source in recipe.data.sources]
    return [name for name in names if any(not one.sources or name in one.sources for one in teaching)]


def _asked(recipe: Recipe, corpus: Corpus, name: str, infill_format: InfillFormat) -> _Asked:
    tokenizer = corpus.tokenizer
    drawn = make_cases(
        corpus.held_out[name],
        tokenizer.encode,
        SINGLE_LINE,
        recipe.evaluate.infill_spans,
        seed=recipe.run.seed,
        context_tokens=recipe.data.row_tokens,
        num_control_tokens=max(1, infill_format.num_control_tokens),
    )
    prompts = [prompts_of(case, infill_format, tokenizer.control.eot) for case in drawn.cases]
    return _Asked(drawn.cases, requests_of(prompts, drawn, infill_format, tokenizer)[_SHOWN])


def _match(engine: Engine, tokenizer: Tokenizer, asked: _Asked) -> dict[str, float]:
    requests = {_SHOWN: asked.requests}
    written = write_answers(engine, tokenizer, asked.cases, requests, SINGLE_LINE, lambda done, total: None)
    pairs = [(answer.text, case.middle) for answer, case in zip(written[_SHOWN], asked.cases, strict=True)]
    return {
        "exact": sum(text == middle for text, middle in pairs) / len(pairs),
        "edit_similarity": sum(edit_similarity(text, middle) for text, middle in pairs) / len(pairs),
    }
