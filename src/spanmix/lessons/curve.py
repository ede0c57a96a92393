"""Take the bits of some held-out files while a run trains, of all sources, whatever the run's own are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from spanmix.config import Recipe
from spanmix.lessons.measure import chosen_files, file_bits
from spanmix.lessons.parts import Measuring
from spanmix.lessons.reading import Reading, ReadingEngine
from spanmix.model.decoder import Decoder
from spanmix.text.corpus import Corpus
from spanmix.train.hooks import Hook
from spanmix.train.machine import compute_dtype
from spanmix.train.parallel import gathered

CURVE_KIND = "held_out_bits"


class HeldOutCurve:
    """Bits per byte of the first tokens of some held-out files of every source.

    Args:
        recipe: a resolved recipe.
        corpus: the whole one, so that all runs take the same files.
        measuring: how many points, files and tokens.
    """

    kind = CURVE_KIND

    def __init__(self, recipe: Recipe, corpus: Corpus, measuring: Measuring) -> None:
        self.every_steps = max(1, recipe.run.num_steps // measuring.curve_points)
        self._measuring = measuring
        self._corpus = corpus
        self._dtype = compute_dtype(recipe)
        self._reading = Reading.of(recipe.objectives)
        most = measuring.curve_file_tokens * measuring.curve_files
        self._files = {
            name: chosen_files(source, measuring.curve_file_tokens, most)
            for name, source in corpus.held_out.items()
        }

    def run(self, model: Decoder, step: int) -> dict[str, float]:
        """Return the figure of each source; the model in training is left alone."""
        device = model.wte.weight.device
        with torch.device("meta"):
            copied = Decoder(model.architecture)
        copied.load_state_dict(gathered(model), assign=True)
        engine = ReadingEngine(
            copied.to(device), self._dtype, self._reading, self._corpus.tokenizer.control.sep
        )
        asked = self._measuring
        return {
            name: file_bits(
                engine, self._corpus, name, asked.curve_file_tokens, files, asked.context_tokens
            ).bits_per_byte
            for name, files in self._files.items()
            if files
        }


def curve_hooks(corpus: Corpus, measuring: Measuring) -> Callable[[Recipe, Corpus], Sequence[Hook]]:
    """Return what `spanmix.train.run.train` makes its hooks with.

    Args:
        corpus: the whole one; a run's own may have fewer training files.
        measuring: what is measured.
    """
    return lambda recipe, own: [HeldOutCurve(recipe, corpus, measuring)]
