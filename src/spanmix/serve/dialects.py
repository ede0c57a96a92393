"""Recognize prompts that are written for another model's infilling, and take them apart.

Editors write prompts themselves, with the sentinels of a model that they know: Zed, Continue, llm-ls, Tabby
and minuet know StarCoder's, Qwen's, CodeLlama's, DeepSeek's and Codestral's. What is between is prefix
and suffix, whichever model answers; it is then asked in its own form.

A prompt is taken apart only if each sentinel occurs exactly once, in its order, and the last stands where it
has to. So a file that talks of sentinels is left as it is, and text never becomes a control.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """How one family's prompts are written.

    Args:
        name: the model that it is named after.
        prefix: in front of the prefix; where that is nothing, the prompt begins with it.
        suffix: in front of the suffix.
        middle: behind both; where that is nothing, the prompt ends with the last part.
        suffix_first: the suffix comes before the prefix.
        source: where it is published.
    """

    name: str
    prefix: str
    suffix: str
    middle: str
    source: str
    suffix_first: bool = False

    def parts(self, prompt: str) -> tuple[str, str] | None:
        """Return prefix and suffix of a prompt, or None if it is not in this dialect.

        >>> dialect_of("<fim_prefix>a<fim_suffix>b<fim_middle>")[1]
        ('a', 'b')
        """
        body = prompt.removesuffix(self.middle)
        if self.middle and (body == prompt or self.middle in body):
            return None
        order = (self.suffix, self.prefix) if self.suffix_first else (self.prefix, self.suffix)
        if any(body.count(mark) != 1 for mark in order if mark):
            return None
        head, rest = body.split(order[0]) if order[0] else ("", body)
        if order[1] not in rest:
            return None
        first, last = rest.split(order[1])
        prefix, suffix = (last, first) if self.suffix_first else (first, last)
        return _files_named(head) + prefix, suffix


DIALECTS = (
    Dialect("starcoder", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "bigcode/starcoder2-15b"),
    Dialect("santacoder", "<fim-prefix>", "<fim-suffix>", "<fim-middle>", "bigcode/santacoder"),
    Dialect("qwen", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "Qwen/Qwen2.5-Coder-7B"),
    Dialect("codellama", "<PRE> ", " <SUF>", " <MID>", "meta-llama/codellama README.md"),
    Dialect(
        "deepseek",
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
        "deepseek-ai/deepseek-coder README.md",
    ),
    Dialect("codestral", "[PREFIX]", "[SUFFIX]", "", "mistralai/Codestral-22B-v0.1", suffix_first=True),
    Dialect("glm", "<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", "THUDM/codegeex4-all-9b"),
    Dialect("codegen2", "", "<mask_1>", "<|endoftext|><sep><mask_1>", "Salesforce/codegen2-1B_P README.md"),
)


def dialect_of(prompt: str) -> tuple[Dialect, tuple[str, str]] | None:
    """Return the dialect that a prompt is written in, with its prefix and suffix; None if it is in none."""
    for dialect in DIALECTS:
        parts = dialect.parts(prompt)
        if parts is not None:
            return dialect, parts
    return None


def _files_named(head: str) -> str:
    r"""Return what stands in front of a prompt's first sentinel, other files, without sentinels of its own.

    >>> _files_named("<|repo_name|>mine\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b.py\n")
    '# mine\n# a.py\nx = 1\n# b.py\n'
    """
    return re.sub(r"<\|?(?:repo_name|file_sep|filename)\|?>\n?", "# ", head)
