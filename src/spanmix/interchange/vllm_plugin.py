"""Let vLLM ask a model as its folder says, and infill between ``prompt`` and ``suffix`` of a completion.

vLLM finds `register` by the entry point ``vllm.general_plugins``, and takes what it registers only under
``--tokenizer-mode spanmix``. Nothing here imports anything of weight before vLLM does.

Written against vLLM 0.32 and 0.33. There, `render_completion_suffix` may return token ids as well as a text:
ids go through as they are, so nothing in a user's text becomes a control.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanmix.generate.asked import Asked
    from spanmix.text.tokenizer import Tokenizer

MODE = "spanmix"
RENDERER = "SpanmixRenderer"


def register() -> None:
    """Tell vLLM of the mode; it may call this several times, in several processes."""
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    if MODE not in RENDERER_REGISTRY.renderers:
        TokenizerRegistry.register(MODE, "vllm.tokenizers.hf", "CachedHfTokenizer")
        RENDERER_REGISTRY.register(MODE, __name__, RENDERER)


class SpanmixPrompts:
    """What a renderer of vLLM gets in addition: prompts in the form that the model was trained with.

    Args:
        config: vLLM's; its ``model_config.tokenizer`` names the model's folder, or the model on the hub.
        tokenizer: vLLM's own, which goes on turning ids into text.
    """

    def __init__(self, config: Any, tokenizer: Any) -> None:
        super().__init__(config, tokenizer)  # type: ignore[call-arg]
        self._plain, self._asked = _read(str(config.model_config.tokenizer))

    def render_completion_suffix(self, prompt: str, suffix: str) -> list[int] | None:
        """Return the ids that ask for what stands between; None if the model was not trained to infill."""
        if self._asked.infill is None:
            return None
        return self._asked.infill.prompt(self._plain.encode(prompt), self._plain.encode(suffix))

    def _tokenize_prompt(self, prompt: Any, params: Any) -> dict[str, Any]:
        """Return a prompt without suffix with its ids: the start, unless that is declined, and the text."""
        start = self._asked.start_ids if params.add_special_tokens else ()
        return {**prompt, "prompt_token_ids": [*start, *self._plain.encode(prompt["prompt"])]}


def __getattr__(name: str) -> Any:
    """Make the renderer's class when vLLM asks for it by name."""
    if name != RENDERER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vllm.renderers.hf import HfRenderer

    return type(RENDERER, (SpanmixPrompts, HfRenderer), {})


def _read(name: str) -> tuple[Tokenizer, Asked]:
    """Read tokenizer and prompting of a model folder, or of a hub model."""
    from spanmix.generate.asked import read_asked
    from spanmix.model.folder import fetch_from_hub
    from spanmix.text.tokenizer import Tokenizer

    folder = Path(name) if Path(name).is_dir() else fetch_from_hub(name, ("*.json", "*.txt"))
    tokenizer = Tokenizer.load(folder)
    return tokenizer, read_asked(folder, tokenizer)
