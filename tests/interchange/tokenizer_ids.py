"""Print as JSON what the libraries of an environment make of saved tokenizers; no test itself.

python tokenizer_ids.py TEXTS.json FOLDER ...
"""

import json
import sys
from pathlib import Path

import tokenizers
import transformers
from transformers import AutoTokenizer


def ids_of(folder: str, texts: list[str]) -> dict[str, object]:
    theirs = AutoTokenizer.from_pretrained(folder)
    bare = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    vocabulary = sorted(theirs.get_vocab().items(), key=lambda item: item[1])
    assert [theirs.decode(theirs.encode(text)) for text in texts] == texts
    return {
        "plain": [theirs.encode(text, split_special_tokens=True) for text in texts],
        "with_controls": [theirs.encode(text) for text in texts],
        "tokenizers": [bare.encode(text).ids for text in texts],
        "vocabulary": [text for text, _ in vocabulary],
        "ids": [i for _, i in vocabulary] == list(range(len(theirs))),
        "controls": [theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id],
    }


if __name__ == "__main__":
    found = {
        folder: ids_of(folder, json.loads(Path(sys.argv[1]).read_text("utf-8"))) for folder in sys.argv[2:]
    }
    print(json.dumps({"transformers": transformers.__version__, "found": found}))
