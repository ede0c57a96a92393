"""Train on our rows in a loop of one's own: stop at any step, and go on with other workers.

python examples/torch_loop.py recipe.yaml
"""

import sys
from itertools import islice

from torch.utils.data import DataLoader

from spanmix.data.build import open_loader
from spanmix.data.torch_rows import RowDataset

loader = open_loader(sys.argv[1], sys.argv[2:])
for batch in islice(DataLoader(RowDataset(loader, rows=4), batch_size=None, num_workers=2), 5):
    print(batch["first_row"], batch["token_ids"].shape, int(batch["loss_weights"].sum()))  # train here
saved = batch["state"]  # plain values: put them into the checkpoint

again = RowDataset(loader, rows=4)
again.load_state_dict(saved)
for batch in islice(DataLoader(again, batch_size=None), 2):
    print(batch["first_row"], batch["token_ids"].shape, int(batch["loss_weights"].sum()))
