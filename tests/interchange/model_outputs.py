"""Print as JSON what the libraries of an environment compute with exported folders; no test itself.

python model_outputs.py JOB.json    {"prompts", "num_new", "folders": {path: "transformers" | "ctranslate2"}}

Log-probabilities of every token behind each prompt token, in one batch whose shorter prompts are padded, and
the greedy continuation of each prompt.
"""

import json
import sys
from pathlib import Path


def by_transformers(folder: str, prompts: list[list[int]], num_new: int) -> dict[str, object]:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
    assert type(model).__name__ == json.loads((Path(folder) / "config.json").read_text())["architectures"][0]
    width = max(map(len, prompts))
    ids = torch.tensor([prompt + [0] * (width - len(prompt)) for prompt in prompts])
    seen = torch.tensor([[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in prompts])
    with torch.no_grad():
        logprobs = model(ids, attention_mask=seen).logits.log_softmax(-1)
        options = {"max_new_tokens": num_new, "do_sample": False, "eos_token_id": -1, "pad_token_id": 0}
        rows = [torch.tensor([prompt]) for prompt in prompts]
        # Without a mask, token 0 of a prompt would be taken for padding.
        made = [model.generate(row, attention_mask=torch.ones_like(row), **options)[0] for row in rows]
    greedy = [ids[len(prompt) :].tolist() for ids, prompt in zip(made, prompts, strict=True)]
    found = [row[: len(prompt)].tolist() for row, prompt in zip(logprobs, prompts, strict=True)]
    return {"version": transformers.__version__, "logprobs": found, "greedy": greedy}


def by_ctranslate2(folder: str, prompts: list[list[int]], num_new: int) -> dict[str, object]:
    import ctranslate2
    import numpy as np

    vocabulary = json.loads((Path(folder) / "vocabulary.json").read_text(encoding="utf-8"))
    never = json.loads((Path(folder) / "generation_config.json").read_text())["suppress_tokens"]
    generator = ctranslate2.Generator(folder, compute_type="float32")
    logits = np.array(generator.forward_batch(prompts))
    top = logits.max(-1, keepdims=True)
    logprobs = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    made = generator.generate_batch(
        [[vocabulary[i] for i in prompt] for prompt in prompts],
        max_length=num_new,
        min_length=num_new,
        include_prompt_in_result=False,
        suppress_sequences=[[vocabulary[i]] for i in never],
    )
    rows = [row[: len(prompt)].tolist() for row, prompt in zip(logprobs, prompts, strict=True)]
    return {
        "version": ctranslate2.__version__,
        "logprobs": rows,
        "greedy": [one.sequences_ids[0] for one in made],
    }


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    opened = {"transformers": by_transformers, "ctranslate2": by_ctranslate2}
    found = {
        folder: opened[library](folder, job["prompts"], job["num_new"])
        for folder, library in job["folders"].items()
    }
    print(json.dumps(found))
