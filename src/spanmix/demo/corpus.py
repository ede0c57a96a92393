"""Make the demo's corpus of this machine's own sources."""

from __future__ import annotations

from pathlib import Path

from spanmix.config import CorpusConfig, Recipe, SourceFilesConfig
from spanmix.demo.gather import gather
from spanmix.demo.length import Progress
from spanmix.recipes import load_recipe
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare

_CODE_BYTES = 48_000_000
_PROSE_BYTES = 6_000_000
_HELD_OUT_SHARE = 0.03


def demo_corpus(
    out: Path, recipe: Recipe | None = None, progress: Progress = lambda stage, done, total: None
) -> Corpus:
    """Gather sources into ``out/sources``, prepare ``out/corpus`` of them, and open it; what is there stays.

    Args:
        out: the demo's folder.
        recipe: decides the seed and the tokenizer; by default the built-in recipe ``demo``.
        progress: called with (stage, bytes done, bytes in all).
    """
    recipe = load_recipe("demo") if recipe is None else recipe
    progress("gather", 0, 1)
    code, prose = gather(out / "sources", _CODE_BYTES, _PROSE_BYTES, recipe.run.seed)
    progress("gather", 1, 1)
    sources = (SourceFilesConfig("code", (str(code),)), SourceFilesConfig("prose", (str(prose),)))
    config = CorpusConfig(str(out / "corpus"), sources, held_out_share=_HELD_OUT_SHARE, seed=recipe.run.seed)
    prepare(config, recipe.tokenizer, out / "corpus", progress)
    return Corpus.open(out / "corpus")
