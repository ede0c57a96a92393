"""Write the model card of a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping

from spanmix.model.architecture import Architecture
from spanmix.model.prompting import OURS, Prompting
from spanmix.text.tokenizer import Tokenizer

_SHELL = """\
```
spanmix complete PATH --prompt "def main():"
spanmix infill PATH FILE --at LINE:COL
```
"""

_PYTHON = """\
With transformers, without remote code:

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH")
model = AutoModelForCausalLM.from_pretrained("PATH")

for prompt in PROMPTS:
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    print(tokenizer.decode(model.generate(ids, max_new_tokens=64)[0, ids.shape[1] :]))
```
"""

_FORMS = {
    "codegen": "the CodeGen decoder, stored as GPT-J (the same mathematics)",
    "llama": "the Llama decoder, as CodeGen2.5 has it",
}


_SOURCES = {
    ("<|endoftext|>", "<sep>", "<mask_1>"): "CodeGen2, arXiv 2305.02309",
    ("<fim_middle>",): "StarCoder, arXiv 2305.06161",
    (): "StarCoder, arXiv 2305.06161",
}


def model_card(
    shape: Architecture, tokenizer: Tokenizer, facts: Mapping[str, object], prompting: Prompting = OURS
) -> str:
    """Return the text of README.md.

    Args:
        shape: the decoder's architecture.
        tokenizer: its tokenizer.
        facts: what else is known, one line each.
        prompting: how the model is asked.
    """
    start, infill = "".join(prompting.start), prompting.infill
    starts = f"; every prompt starts with `{start}`" if start else ""
    prompts = [f"{start}def add(a, b):"]
    if infill is None:
        title, asked = "completes", "not trained; the tokens for it are suppressed in generation"
    else:
        title, end = "completes and infills", infill.end[0]
        shown = _infill_prompt(prompting, "prefix", "suffix")
        asked = f"`{shown}`, answered by `middle{end}` ({_SOURCES.get(infill.middle, 'our own')})"
        prompts.append(_infill_prompt(prompting, "def add(a, b):\n    ", "\n"))
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [code, infilling, spanmix]" if infill else "tags: [code, spanmix]",
        "---",
        "",
        f"# A code model that {title}",
        "",
        f"- parameters: {shape.num_parameters:,} ({shape.num_layers} layers of width {shape.dim}, "
        f"{shape.num_heads} heads, rotary on {shape.rotary_dim} channels of each head)",
        f"- form: {_FORMS[shape.form]}, opened with no remote code",
        f"- context: {shape.context_tokens:,} tokens{starts}",
        f"- vocabulary: {shape.vocab_size:,} entries, {len(tokenizer.control.masks)} sentinels `<mask_n>`",
        f"- infill: {asked}",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "Made with Spanmix.",
        "",
        "## Use",
        "",
        _SHELL if infill else _SHELL.replace("spanmix infill PATH FILE --at LINE:COL\n", ""),
        _PYTHON.replace("PROMPTS", json.dumps(prompts)),
    ]
    return "\n".join(lines)


def _infill_prompt(prompting: Prompting, prefix: str, suffix: str) -> str:
    infill = prompting.infill
    assert infill is not None, "asked only of models that infill"
    parts = ["".join(infill.prefix) + prefix, "".join(infill.suffix) + suffix]
    shown = parts if infill.order == "psm" else parts[::-1]
    return "".join([*prompting.start, *shown, *infill.middle])
