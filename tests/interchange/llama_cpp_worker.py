"""Print as JSON what llama.cpp makes of a GGUF file: ids, log-probabilities, greedy tokens; no test itself.

python llama_cpp_worker.py JOB.json    {"file", "texts", "prompts", "num_new"} -> one line
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(job: dict[str, object]) -> dict[str, object]:
    import llama_cpp  # of the nightly environment alone: pytest reads this file, too

    model = llama_cpp.Llama(
        job["file"],
        n_ctx=256,
        n_threads=1,
        logits_all=True,
        verbose=False,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
    )
    plain = [model.tokenize(text.encode(), add_bos=False, special=False) for text in job["texts"]]
    controls = [model.tokenize(text.encode(), add_bos=False, special=True) for text in job["texts"]]
    started = [model.tokenize(text.encode(), add_bos=True, special=False) for text in job["texts"]]
    back = [model.detokenize(ids).decode() for ids in plain]
    logits = []
    for prompt in job["prompts"]:
        model.reset()
        model.eval(prompt)
        logits.append(np.array(model.scores[: len(prompt)]).tolist())
    greedy = []
    for prompt in job["prompts"]:
        model.reset()
        model.eval(prompt)
        ids = []
        for _ in range(job["num_new"]):
            ids.append(int(np.argmax(model.scores[model.n_tokens - 1])))
            model.eval(ids[-1:])
        greedy.append(ids)
    ends = [i for i in range(model.n_vocab()) if llama_cpp.llama_vocab_is_eog(model._model.vocab, i)]
    found = {"plain": plain, "controls": controls, "started": started, "back": back, "ends": ends}
    return found | {"logits": logits, "greedy": greedy, "metadata": model.metadata}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
