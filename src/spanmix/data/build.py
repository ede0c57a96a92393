"""Build the data path of a recipe over a corpus."""

from __future__ import annotations

from spanmix.config import Recipe
from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.objectives.characters import CharacterCutter
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer


def build_objectives(recipe: Recipe, tokenizer: Tokenizer) -> ObjectiveMixture:
    """Return the recipe's objectives; raises `InputError` where recipe and tokenizer do not fit."""
    alphabet = Alphabet(tokenizer.control, tokenizer.ends_line, tokenizer.special_ids)
    cutter = CharacterCutter(tokenizer.encode, tokenizer.token_bytes, tokenizer.num_bytes)
    sources = [source.name for source in recipe.data.sources]
    return ObjectiveMixture(recipe.objectives, alphabet, recipe.data.row_tokens, sources, cutter)


def build_loader(recipe: Recipe, corpus: Corpus) -> Loader:
    """Return the rows of a recipe; raises `InputError` where recipe and corpus do not fit."""
    objectives = build_objectives(recipe, corpus.tokenizer)
    with_languages = any(objective.needs_language for objective in objectives.objectives)
    mixture = Mixture(recipe.data, dict(corpus.train), recipe.run.seed, with_languages)
    return Loader(recipe.data, mixture, objectives, corpus.tokenizer.control.pad, corpus.fingerprint)
