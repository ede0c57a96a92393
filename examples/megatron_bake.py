"""Bake rows for Megatron-LM, in two parts that follow on each other.

python examples/megatron_bake.py recipe.yaml OUT data.document_mask=false data.positions=continue

Every token of every example must carry loss: those of causal, infill and fim do, those of ul2, prefix_lm and
prompt_response do not.
"""

import sys
from pathlib import Path

from spanmix.data.build import open_loader
from spanmix.data.loader import LoaderState
from spanmix.data.megatron_rows import Baked, bake
from spanmix.recipes import load_data_recipe
from spanmix.text.corpus import Corpus

recipe, out, *overrides = sys.argv[1:]
tokenizer = Corpus.open(load_data_recipe(recipe, overrides).corpus.path).tokenizer
loader = open_loader(recipe, overrides)
first = bake(loader, tokenizer, Path(out, "first"), num_rows=20)
second = bake(loader, tokenizer, Path(out, "second"), 20, LoaderState.from_json(first.next))
assert second == Baked.load(Path(out, "second")) and second.first_row == 20
print(f"--data-path {out}/first/rows {out}/second/rows --seq-length {first.seq_length} --split 100,0,0")
