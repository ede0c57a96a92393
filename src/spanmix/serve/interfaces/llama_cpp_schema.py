"""llama.cpp's own interface as types (https://github.com/ggml-org/llama.cpp, tools/server/README.md)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from spanmix.serve.interfaces.fields import Files, Ids, Milliseconds, Names, Parts, RepetitionPenalty, Text


class CompletionBody(BaseModel):
    """``POST /completion``; what is not here is passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    prompt: Text | Annotated[list[int | str], Field(max_length=1_000_000, fail_fast=True)] = ""
    n_predict: int = -1
    stream: bool = False
    stop: Names = []
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_k: int = 0
    top_p: Annotated[float, Field(ge=0)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = -1
    n_probs: Annotated[int, Field(ge=0)] = 0
    n_cmpl: Annotated[int, Field(ge=1)] = 1
    n_indent: Annotated[int, Field(ge=0)] = 0
    t_max_prompt_ms: Milliseconds = 0
    """Of ``/infill``: the prompt is cut around the cursor to what is likely to be read in this time."""
    t_max_predict_ms: Milliseconds = 0
    """After the first token; the answer ends at the next end of a line."""
    token_healing: bool | None = None
    """Go on inside a word; if not said, ``/infill`` does and ``/completion`` does not."""
    repeat_penalty: RepetitionPenalty = 1.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    ignore_eos: bool = False
    response_fields: Names | None = None
    return_tokens: bool = False
    model: str = ""


class InfillBody(CompletionBody):
    """``POST /infill``; ``prompt`` is what stands between ``input_prefix`` and the cursor."""

    prompt: Text = ""
    input_prefix: Text = ""
    input_suffix: Text = ""
    input_extra: Files = []
    input_parts: Parts | None = None
    """The text around several cursors, in the place of ``input_prefix``, ``prompt`` and ``input_suffix``."""


class TokenizeBody(BaseModel):
    """``POST /tokenize``: ``content`` is llama.cpp's name, ``prompt`` vLLM's."""

    content: Text | None = None
    prompt: Text | None = None
    add_special: bool = False
    with_pieces: bool = False


class DetokenizeBody(BaseModel):
    """``POST /detokenize``."""

    tokens: Ids


def only(answer: dict[str, Any], fields: list[str] | None) -> dict[str, Any]:
    """Return the fields of an answer that were asked for; ``a/b`` is field b of a, under that flat name.

    >>> only({"content": "x", "timings": {"n": 1, "ms": 2}}, ["content", "timings/n", "none"])
    {'content': 'x', 'timings/n': 1}
    >>> only({"content": "x"}, None)
    {'content': 'x'}
    """
    if fields is None:
        return answer
    found: dict[str, Any] = {}
    for name in fields:
        value: Any = answer
        for part in name.split("/"):
            value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
        if value is not _MISSING:
            found[name] = value
    return found


_MISSING = object()
