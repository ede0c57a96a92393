"""Draw the places of documents that a model is asked to go on from when its memory is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spanmix import seeding
from spanmix.errors import InputError
from spanmix.text.corpus import CorpusSource

_PURPOSE = "memorization prompts"


class NoPromptsError(InputError):
    """No document of a source is long enough to cut a prompt from."""


@dataclass(frozen=True)
class MemorizationSettings:
    """What is asked, and what counts.

    Args:
        min_tokens: N, tokens of the shortest match that counts; at least the index's `shortest_bytes`,
            since a token may be one byte.
        num_prompts: documents that are drawn, one prompt of each; fewer if there are no more that are long
            enough.
        prompt_tokens: tokens of a prompt.
        max_tokens: most tokens of a completion; at least `min_tokens`.
        temperature: 0 is greedy.
        seed: draws documents and cuts, and the samples if there is a temperature.
    """

    min_tokens: int = 50
    num_prompts: int = 200
    prompt_tokens: int = 50
    max_tokens: int = 200
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("min_tokens", "num_prompts", "prompt_tokens", "max_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.max_tokens < self.min_tokens:
            raise InputError(
                f"completions of up to {self.max_tokens} tokens hold no match of {self.min_tokens}; ask for "
                "longer completions, or for shorter matches"
            )


class Prompt(NamedTuple):
    """A place in a document: what stands in front of it, from token `start` on, and what comes behind it."""

    document: int
    start: int
    prompt_ids: list[int]
    next_ids: list[int]


def draw_prompts(source: CorpusSource, side: str, settings: MemorizationSettings) -> list[Prompt]:
    """Draw documents that are longer than a prompt, and cut each at one place, in the documents' order.

    The same seed draws the same, and more prompts are those and others.

    Args:
        source: documents to draw from.
        side: of the corpus, for the error.
        settings: how many, and how long.

    Raises:
        NoPromptsError: no document is long enough.
    """
    key = seeding.name_key(source.name)
    documents = np.arange(source.num_documents)
    words_D2 = seeding.draw(settings.seed, _PURPOSE, key, 0, documents, 2)
    prompts: list[Prompt] = []
    for document in np.argsort(words_D2[:, 0], kind="stable").tolist():
        if len(prompts) == settings.num_prompts:
            break
        ids = source.tokens(document).tolist()
        room = len(ids) - settings.prompt_tokens
        if room < 1:
            continue
        # Where the document allows it, as many tokens follow as are asked for.
        start = seeding.below(int(words_D2[document, 1]), max(1, room - settings.max_tokens + 1))
        cut = start + settings.prompt_tokens
        prompts.append(Prompt(document, start, ids[start:cut], ids[cut : cut + settings.max_tokens]))
    if not prompts:
        raise NoPromptsError(
            f"source {source.name!r} has no document of more than {settings.prompt_tokens} tokens among its "
            f"{source.num_documents:,} ({side}); ask for shorter prompts"
        )
    return sorted(prompts, key=lambda prompt: prompt.document)
