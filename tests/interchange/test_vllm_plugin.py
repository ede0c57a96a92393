"""The plugin for vLLM, in stand-ins for what it touches there.

Their signatures and the code around them are those of vLLM 0.32.0 and 0.33.0: `RendererRegistry` and
`renderer_from_config` (vllm/renderers/registry.py), `_TokenizerRegistry` (vllm/tokenizers/registry.py),
`BaseRenderer` (vllm/renderers/base.py), `HfRenderer` (vllm/renderers/hf.py), the suffix of
`render_completion` (vllm/renderers/online_renderer.py), `prompt_to_seq` and `parse_dec_only_prompt`
(vllm/renderers/inputs/preprocess.py). vLLM itself needs another torch than this one, so it is not here.
"""

import importlib
import json
import subprocess
import sys
import tomllib
import types
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from spanmix.errors import InputError
from spanmix.generate.formats import codegen2_format
from spanmix.interchange import vllm_plugin
from spanmix.interchange.tokenizers import codegen2_tokenizer
from spanmix.model import native
from spanmix.model.architecture import Architecture
from spanmix.model.prompting import CODEGEN2_CARD, NO_INFILL, OURS

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@dataclass
class Registry:
    """`_TokenizerRegistry` and `RendererRegistry` alike."""

    entries: dict[str, tuple[str, str]] = field(default_factory=dict)
    calls: int = 0

    @property
    def renderers(self):
        return self.entries

    def register(self, mode: str, module: str, class_name: str) -> None:
        self.entries[mode] = (module, class_name)
        self.calls += 1

    def load_renderer(self, renderer_mode, config, tokenizer):
        module, class_name = self.entries[renderer_mode]
        renderer_cls = getattr(importlib.import_module(module), class_name)  # resolve_obj_by_qualname
        return renderer_cls(config, tokenizer)


class HfRenderer:
    def __init__(self, config, tokenizer) -> None:
        self.config, self.model_config, self.tokenizer = config, config.model_config, tokenizer

    def render_completion_suffix(self, prompt: str, suffix: str) -> str | None:
        return None

    def _tokenize_prompt(self, prompt, params):
        raise AssertionError("the plugin has a way of its own")

    def _tokenize_singleton_prompt(self, prompt, params):
        if "prompt_token_ids" not in prompt:
            assert isinstance(prompt.get("prompt"), str)
            prompt = self._tokenize_prompt(prompt, params)
        return prompt


@dataclass(frozen=True)
class TokenizeParams:
    add_special_tokens: bool = True


@dataclass(frozen=True)
class Request:
    prompt: object
    suffix: str | None = None
    add_special_tokens: bool = True


def render_completion(renderer, request):
    """Return the token ids of each prompt of a request, or the message of its error."""
    prompt_input = request.prompt
    if request.suffix is not None:
        if isinstance(request.prompt, str):
            rendered_prompt = renderer.render_completion_suffix(request.prompt, request.suffix)
            if rendered_prompt is None:
                return "suffix is only supported for models with FIM completion rendering"
            prompt_input = rendered_prompt
        elif all(isinstance(prompt, str) for prompt in request.prompt):
            prompt_input = [renderer.render_completion_suffix(p, request.suffix) for p in request.prompt]
        else:
            return "suffix requires text prompt input for FIM completion rendering"
    params = TokenizeParams(request.add_special_tokens)
    parsed = [parse_dec_only_prompt(prompt) for prompt in prompt_to_seq(prompt_input)]
    return [renderer._tokenize_singleton_prompt(prompt, params)["prompt_token_ids"] for prompt in parsed]


def is_list_of(value, kind):
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def prompt_to_seq(prompts):
    if isinstance(prompts, dict | str | bytes) or (len(prompts) > 0 and is_list_of(prompts, int)):
        return [prompts]
    return prompts


def parse_dec_only_prompt(prompt):
    if isinstance(prompt, str):
        return {"prompt": prompt}
    if isinstance(prompt, list):
        assert is_list_of(prompt, int)
        return {"prompt_token_ids": prompt}
    return prompt


@pytest.fixture
def vllm(monkeypatch):
    """Its modules that the plugin imports; the two registries."""
    tokenizers, renderers = Registry(), Registry()
    contents = {
        "vllm": {},
        "vllm.tokenizers": {},
        "vllm.tokenizers.registry": {"TokenizerRegistry": tokenizers},
        "vllm.renderers": {},
        "vllm.renderers.registry": {"RENDERER_REGISTRY": renderers},
        "vllm.renderers.hf": {"HfRenderer": HfRenderer},
    }
    for name, attributes in contents.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    return tokenizers, renderers


@pytest.fixture
def serve(vllm, tmp_path):
    """Makes the renderer of a model folder, as `renderer_from_config` does."""

    def make(tokenizer, prompting):
        shape = Architecture(1, 8, 1, 4, 64, tokenizer.vocab_size)
        tokenizer.save(tmp_path)
        config = native.config_json(shape, tokenizer, "float32", prompting)
        (tmp_path / "config.json").write_text(json.dumps(config))
        vllm_plugin.register()
        mode = "spanmix"
        config = types.SimpleNamespace(model_config=types.SimpleNamespace(tokenizer=str(tmp_path)))
        return vllm[1].load_renderer(mode, config, tokenizer=None)

    return make


USER_TEXT = "if x == '<mask_1>':  # <|endoftext|> <eom><sep>\n    "


def test_registering_twice_is_registering_once(vllm):
    vllm_plugin.register()
    vllm_plugin.register()
    tokenizers, renderers = vllm
    assert tokenizers.entries == {"spanmix": ("vllm.tokenizers.hf", "CachedHfTokenizer")}
    assert renderers.entries == {"spanmix": ("spanmix.interchange.vllm_plugin", "SpanmixRenderer")}
    assert (tokenizers.calls, renderers.calls) == (1, 1)


def test_our_models_start_with_eot_and_have_a_lead(serve, tokenizer):
    renderer = serve(tokenizer, OURS)
    prefix, suffix = "def add(a, b):\n" * 20 + USER_TEXT, USER_TEXT + "return b\n"
    format = codegen2_format(tokenizer.control)
    expected = format.prompt(tokenizer.encode(prefix), tokenizer.encode(suffix))
    assert render_completion(renderer, Request(prefix, suffix)) == [expected]
    eot, masks = tokenizer.control.eot, tokenizer.control.masks
    assert expected[0] == eot and expected[-33] == masks[0] and expected.count(masks[0]) == 2
    assert tokenizer.decode(expected[-32:]) == prefix[-len(tokenizer.decode(expected[-32:])) :]


def test_codegen2_is_asked_as_on_its_card(serve):
    tokenizer = codegen2_tokenizer()
    renderer = serve(tokenizer, CODEGEN2_CARD)
    inner = tokenizer._inner
    inner.encode_special_tokens = False
    card = inner.encode("def f(x):\n    <mask_1>    return y\n<|endoftext|><sep><mask_1>").ids
    inner.encode_special_tokens = True
    assert render_completion(renderer, Request("def f(x):\n    ", "    return y\n")) == [card]
    assert render_completion(renderer, Request("import os")) == [tokenizer.encode("import os")]


def test_a_users_text_stays_text(serve, tokenizer):
    renderer = serve(tokenizer, OURS)
    plain = tokenizer.encode(USER_TEXT)
    assert not tokenizer.is_control[plain].any()
    assert render_completion(renderer, Request(USER_TEXT)) == [[tokenizer.control.eot, *plain]]
    assert render_completion(renderer, Request(USER_TEXT, add_special_tokens=False)) == [plain]
    (ids,) = render_completion(renderer, Request(USER_TEXT, USER_TEXT))
    assert tokenizer.is_control[ids].sum() == 5  # start, sentinel, the three of the middle


def test_several_prompts_and_token_ids(serve, tokenizer):
    renderer = serve(tokenizer, OURS)
    pair = render_completion(renderer, Request(["a = 1\n", "b"], "c"))
    assert pair == [render_completion(renderer, Request(text, "c"))[0] for text in ("a = 1\n", "b")]
    assert render_completion(renderer, Request([1, 2, 3])) == [[1, 2, 3]]
    assert render_completion(renderer, Request("", "")) == [codegen2_format(tokenizer.control).prompt([], [])]
    assert render_completion(renderer, Request([1, 2, 3], "c")).startswith("suffix requires text")


def test_a_model_that_does_not_infill_refuses_a_suffix(serve, tokenizer):
    renderer = serve(tokenizer, NO_INFILL)
    assert render_completion(renderer, Request("a", "b")).startswith("suffix is only supported")
    assert render_completion(renderer, Request("a")) == [tokenizer.encode("a")]


def test_a_model_that_is_not_there(serve, tokenizer, tmp_path):
    renderer = serve(tokenizer, OURS)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        type(renderer)(renderer.config, None)


def test_the_entry_point_is_light_and_needs_no_vllm():
    entry = tomllib.loads(PROJECT.read_text("utf-8"))["project"]["entry-points"]["vllm.general_plugins"]
    module, function = entry["spanmix"].split(":")
    code = (
        f"import sys, {module} as plugin; assert callable(plugin.{function})\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'transformers', 'pydantic', 'vllm'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="no attribute 'Other'"):
        _ = vllm_plugin.Other
