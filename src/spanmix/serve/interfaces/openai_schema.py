"""OpenAI's completions interface as types: what comes in and what goes out.

After https://github.com/openai/openai-openapi (CreateCompletionRequest, CreateCompletionResponse); the fields
below ``user`` are vLLM's. Fields that are not here are passed over, as clients send many.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from spanmix.serve.interfaces.fields import Ids, Names, Parts, RepetitionPenalty, Text, Texts

_SomeIds = Annotated[list[Ids], Field(fail_fast=True)]


class StreamOptions(BaseModel):
    """What a stream also tells."""

    include_usage: bool = False


class Snippet(BaseModel):
    """Text of another file that Tabby's editors send."""

    filepath: str = ""
    body: Text = ""


_Snippets = Annotated[list[Snippet], Field(max_length=1024, fail_fast=True)]


class Segments(BaseModel):
    """What Tabby's editors send in the place of a prompt."""

    prefix: Text
    suffix: Text | None = None
    filepath: str | None = None
    declarations: _Snippets | None = None
    relevant_snippets_from_changed_files: _Snippets | None = None
    relevant_snippets_from_recently_opened_files: _Snippets | None = None
    clipboard: Text | None = None


class CompletionRequest(BaseModel):
    """``POST /v1/completions``."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str = ""
    prompt: Text | Texts | Ids | _SomeIds = ""
    suffix: Text | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1)] | None = 1
    best_of: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Field(ge=0)] | None = None
    echo: bool | None = False
    stop: str | Names | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = 0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = 0
    logit_bias: dict[str, float] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    user: str | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = 0
    min_p: Annotated[float, Field(ge=0, le=1)] | None = 0
    min_tokens: Annotated[int, Field(ge=0)] | None = 0
    repetition_penalty: RepetitionPenalty | None = 1
    ignore_eos: bool | None = False
    stop_token_ids: Ids | None = None
    return_tokens_as_token_ids: bool | None = False
    token_healing: bool | None = None
    """Ours: go on inside a word; if not said, what infills does."""
    input_parts: Parts | None = None
    """Ours: the text around several cursors, in the place of ``prompt`` and ``suffix``; a choice a cursor."""
    segments: Segments | None = None
    """Tabby's form of a request, on the same path."""


class Logprobs(BaseModel):
    """The tokens of a choice, each with what the model thought of it."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    """One answer, or in a stream more of it."""

    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "content_filter"] | None = None
    spanmix_match: dict[str, str | int] | None = Field(default=None, exclude_if=lambda match: match is None)
    """Where the server is asked to look: the longest part that stands in the training data."""


class Usage(BaseModel):
    """Tokens that were read and made."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionResponse(BaseModel):
    """The answer, or one event of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage | None = None
