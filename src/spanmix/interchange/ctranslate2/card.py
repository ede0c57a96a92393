"""Write the model card of a folder for CTranslate2, with code that completes and infills."""

from __future__ import annotations

from spanmix.interchange.sources import Source

_CODE = """\
```
spanmix complete PATH --prompt "def main():"
{infill}```

With CTranslate2 and tokenizers alone:

```python
import json
import ctranslate2
import tokenizers

tokenizer = tokenizers.Tokenizer.from_file("PATH/tokenizer.json")
model = ctranslate2.Generator("PATH")
# CTranslate2's folders have no place for tokens that must never come: fillers and padding.
never = json.load(open("PATH/generation_config.json"))["suppress_tokens"]

def generate(prompt, end):
    tokens = tokenizer.encode(prompt, add_special_tokens=False).tokens
    result = model.generate_batch(
        [tokens],
        max_length=64,
        include_prompt_in_result=False,
        end_token=end,
        suppress_sequences=[[tokenizer.id_to_token(i)] for i in never],
    )[0]
    return tokenizer.decode(result.sequences_ids[0])

print(generate({prompt!r}, ["<|endoftext|>"]))
{infill_call}```
"""


def card(source: Source, quantization: str) -> str:
    """Return the text of README.md.

    Args:
        source: what was exported.
        quantization: how its weights are stored.
    """
    shape, asked = source.shape, source.prompting
    start = "".join(asked.start)
    infill, infill_call = "", ""
    if asked.infill is not None:
        infill = "spanmix infill PATH FILE --at LINE:COL\n"
        prefix, suffix, middle = (
            "".join(part) for part in (asked.infill.prefix, asked.infill.suffix, asked.infill.middle)
        )
        before, after = f"{prefix}def add(a, b):\n    ", f"{suffix}\n"
        parts = before + after if asked.infill.order == "psm" else after + before
        infill_call = f"print(generate({start + parts + middle!r}, {list(asked.infill.end)!r}))\n"
    lines = [
        "---",
        "library_name: ctranslate2",
        "pipeline_tag: text-generation",
        "tags: [code, infilling, spanmix]",
        "---",
        "",
        "# A code model for CTranslate2",
        "",
        f"- parameters: {shape.num_parameters:,} ({shape.num_layers} layers of width {shape.dim})",
        f"- stored as: {quantization}; `export_report.json` says how well it agrees with its source",
        f"- converted from: {source.layout}",
        f"- context: {shape.context_tokens:,} tokens, which CTranslate2 itself does not check",
        "",
        "Made with Spanmix.",
        "",
        "## Use",
        "",
        _CODE.format(infill=infill, prompt=start + "def add(a, b):\n", infill_call=infill_call),
    ]
    return "\n".join(lines)
