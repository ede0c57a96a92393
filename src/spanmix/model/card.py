"""Write the model card of a model folder."""

from __future__ import annotations

from collections.abc import Mapping

from spanmix.model.architecture import Architecture
from spanmix.text.tokenizer import Tokenizer

_USE = """\
```
spanmix complete PATH --prompt "def main():"
spanmix infill PATH FILE --at LINE:COL
```

With transformers, without remote code:

```python
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH")
model = AutoModelForCausalLM.from_pretrained("PATH")
prompt = "<|endoftext|>def add(a, b):\\n    <mask_1>\\n<|endoftext|><sep><mask_1>"
ids = tokenizer(prompt, return_tensors="pt").input_ids
print(tokenizer.decode(model.generate(ids, max_new_tokens=64)[0, ids.shape[1] :]))
```
"""


def model_card(shape: Architecture, tokenizer: Tokenizer, facts: Mapping[str, object]) -> str:
    """Return the text of README.md.

    Args:
        shape: the decoder's architecture.
        tokenizer: its tokenizer.
        facts: what else is known, one line each.
    """
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [code, infilling, spanmix]",
        "---",
        "",
        "# A code model that completes and infills",
        "",
        f"- parameters: {shape.num_parameters:,} ({shape.num_layers} layers of width {shape.dim}, "
        f"{shape.num_heads} heads, rotary on {shape.rotary_dim} channels of each head)",
        "- form: the CodeGen decoder, stored as GPT-J (the same mathematics), opened with no remote code",
        f"- context: {shape.context_tokens:,} tokens; every prompt starts with `<|endoftext|>`",
        f"- vocabulary: {shape.vocab_size:,} entries, {len(tokenizer.control.masks)} sentinels `<mask_n>`",
        "- infill: `<|endoftext|>prefix<mask_1>suffix<|endoftext|><sep><mask_1>`, answered by "
        "`middle<eom>` (CodeGen2, arXiv 2305.02309)",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "Made with Spanmix.",
        "",
        "## Use",
        "",
        _USE,
    ]
    return "\n".join(lines)
