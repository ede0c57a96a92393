"""Represent a text by one vector: the mean of the decoder's hidden states over its tokens.

``causal`` lets each token see those before it, as the model was trained. ``bidirectional`` lets every token
see all of the text, as a prefix of a prefix-LM does (Raffel et al., arXiv 1910.10683, section 3.2.1),
whatever the model was trained with.

How the CodeGen2 paper makes one vector of the hidden states is not known to us. The mean is our choice: it
treats both masks alike, while the last token alone, which has seen all of the text in either, was trained to
know the next one above all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spanmix.errors import InputError, nearest
from spanmix.evaluate.understanding.encoding import TEXT_SEGMENT, TextBatch
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask

CAUSAL, BIDIRECTIONAL = "causal", "bidirectional"
REPRESENTATIONS = (CAUSAL, BIDIRECTIONAL)
NUM_LABELS = 2


class Classifier(nn.Module):
    """A decoder and a linear map from its pooled hidden states to two logits.

    Args:
        decoder: the model; its own head, for tokens, is not used.
        representation: ``causal`` or ``bidirectional``.
        dtype: what the decoder computes in; pooling and the linear map are in float32.

    Raises:
        InputError: there is no such representation.
    """

    def __init__(self, decoder: Decoder, representation: str, dtype: torch.dtype) -> None:
        super().__init__()
        if representation not in REPRESENTATIONS:
            raise InputError(
                f"there is no representation {representation!r}{nearest(representation, REPRESENTATIONS)}"
            )
        self.decoder = decoder
        self.head = nn.Linear(decoder.architecture.dim, NUM_LABELS, device=decoder.wte.weight.device)
        # The first logits are 0 whatever the weights are, so nothing random begins a fine-tuning.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._is_bidirectional = representation == BIDIRECTIONAL
        self._dtype = dtype

    def forward(self, batch: TextBatch) -> Tensor:
        """Return logits, float32 [B, 2]."""
        logits_BK: Tensor = self.head(self.pooled(batch))
        return logits_BK

    def pooled(self, batch: TextBatch) -> Tensor:
        """Return the mean of the hidden states of each text's tokens, float32 [B, D]."""
        device = self.head.weight.device
        token_ids_BT, segment_ids_BT = batch.token_ids_BT.to(device), batch.segment_ids_BT.to(device)
        is_text_BT = segment_ids_BT == TEXT_SEGMENT
        seen_by_all_BT = is_text_BT if self._is_bidirectional else torch.zeros_like(is_text_BT)
        mask = AttentionMask.from_segments(segment_ids_BT, seen_by_all_BT)
        positions_BT = torch.arange(token_ids_BT.shape[1], device=device).expand_as(token_ids_BT)
        hidden_BTD = self.decoder(token_ids_BT, positions_BT, mask, dtype=self._dtype).float()
        weights_BT1 = is_text_BT.unsqueeze(-1).float()
        pooled_BD: Tensor = (hidden_BTD * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1)
        return pooled_BD
