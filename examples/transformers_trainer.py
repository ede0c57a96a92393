"""Train any causal model of transformers on our rows, with its own Trainer.

python examples/transformers_trainer.py recipe.yaml MODEL_FOLDER OUT
"""

import sys

from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from spanmix.data.build import open_loader
from spanmix.data.torch_rows import RowDataset
from spanmix.data.transformers_rows import TransformersCollator

recipe, folder, out, *overrides = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(folder)
rows = RowDataset(open_loader(recipe, overrides))
arguments = TrainingArguments(
    out,
    per_device_train_batch_size=2,
    max_steps=3,
    logging_steps=1,
    report_to="none",
    use_cpu=True,
    remove_unused_columns=False,
)
Trainer(model, arguments, train_dataset=rows, data_collator=TransformersCollator(model.dtype)).train()
