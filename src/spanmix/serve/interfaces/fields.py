"""Types of request fields that a hostile body cannot make costly: each wrong item would else be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from spanmix.generate.engine import LEAST_REPETITION_PENALTY, MOST_REPETITION_PENALTY
from spanmix.serve.extra_files import ExtraFile

Text = Annotated[str, Field(max_length=50_000_000)]
Texts = Annotated[list[Text], Field(fail_fast=True)]
Ids = Annotated[list[int], Field(max_length=1_000_000, fail_fast=True)]
Names = Annotated[list[str], Field(max_length=1024, fail_fast=True)]
"""A few strings: what ends an answer, which fields are wanted."""
Files = Annotated[list[ExtraFile], Field(max_length=1024, fail_fast=True)]
Parts = Annotated[list[Text], Field(min_length=2, max_length=1024, fail_fast=True)]
RepetitionPenalty = Annotated[float, Field(ge=LEAST_REPETITION_PENALTY, le=MOST_REPETITION_PENALTY)]
Milliseconds = Annotated[int, Field(le=1_000_000_000)]
