"""What torchtitan's loader and sample processor become with our rows and objectives.

    python examples/torchtitan_rows.py recipe.yaml

In torchtitan: ``ParallelAwareDataloader(rows, dp_rank, dp_world_size, batch_size=None)``; and a
``SampleProcessor`` whose ``__call__`` is ``processor``, with ``make=TextSequence``, packed by
``FirstFitPackingConfig``. The recipe may have no bidirectional objective.
"""

import sys

import numpy as np
from torchdata.stateful_dataloader import StatefulDataLoader

from spanmix.data.build import open_loader
from spanmix.data.torchtitan_rows import SequenceProcessor, TorchtitanRows, cut_records
from spanmix.recipes import load_data_recipe
from spanmix.text.corpus import Corpus

rows = TorchtitanRows(open_loader(sys.argv[1], sys.argv[2:]), rows=4, rank=0, world_size=2)
inputs, labels = next(iter(StatefulDataLoader(rows, batch_size=None)))
print(inputs["input"].shape, inputs["positions"].shape, labels.shape)

recipe = load_data_recipe(sys.argv[1], sys.argv[2:])
corpus = Corpus.open(recipe.corpus.path)
processor = SequenceProcessor(recipe, corpus.tokenizer, make=dict)
for record in cut_records(corpus.train[recipe.data.sources[0].name].tokens(0), processor.max_tokens):
    sequence = processor({"tokens": record}, np.random.default_rng(1))
    print({name: values.shape for name, values in sequence.items()})
