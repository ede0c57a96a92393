"""Build the data path of a recipe over a corpus."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np

from spanmix.config import DataRecipe, Recipe
from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet
from spanmix.recipes import load_data_recipe
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer


def open_loader(recipe: str, overrides: Sequence[str] = ()) -> Loader:
    """Open the rows of a recipe over its corpus, for use without the trainer.

    Args:
        recipe: a recipe file, or the name of a built-in recipe; see `spanmix.recipes.load_data_recipe`.
        overrides: ``section.field=value`` each.

    Raises:
        InputError: recipe or corpus cannot be used, or do not fit.
    """
    loaded = load_data_recipe(recipe, overrides)
    corpus = Corpus.open(loaded.corpus.path)
    corpus.check_recipe(loaded)
    return build_loader(loaded, corpus)


def build_objectives(recipe: Recipe | DataRecipe, tokenizer: Tokenizer) -> ObjectiveMixture:
    """Return the recipe's objectives; raises `InputError` where recipe and tokenizer do not fit."""
    ends_line = tokenizer.ends_line
    if recipe.data.unit == "sequence":  # cut where the row ends, not where a line does
        ends_line = np.zeros_like(ends_line)
    alphabet = Alphabet(tokenizer.control, ends_line, tokenizer.special_ids)
    cutter = CharacterCutter(tokenizer.encode, tokenizer.token_bytes, tokenizer.num_bytes)
    sources = [source.name for source in recipe.data.sources]
    return ObjectiveMixture(recipe.objectives, alphabet, recipe.data.row_tokens, sources, cutter)


def build_loader(recipe: Recipe | DataRecipe, corpus: Corpus) -> Loader:
    """Return the rows of a recipe; raises `InputError` where recipe and corpus do not fit."""
    objectives = build_objectives(recipe, corpus.tokenizer)
    with_languages = any(objective.needs_language for objective in objectives.objectives)
    mixture = Mixture(recipe.data, dict(corpus.train), recipe.run.seed, with_languages)
    fingerprint = f"{corpus.fingerprint}:{data_fingerprint(recipe)}"
    return Loader(recipe.data, mixture, objectives, corpus.tokenizer.control.pad, fingerprint)


def data_fingerprint(recipe: Recipe | DataRecipe) -> str:
    """Return 16 hex digits over what decides the rows of a recipe, but for what may change on the way."""
    data = dataclasses.asdict(recipe.data)
    for name in ("global_batch_rows", "stages"):  # a stage that has begun is saved by its number
        del data[name]
    objectives = [dataclasses.asdict(objective) for objective in recipe.objectives]
    deciding = json.dumps([objectives, data, recipe.run.seed], sort_keys=True)
    return hashlib.sha256(deciding.encode()).hexdigest()[:16]
