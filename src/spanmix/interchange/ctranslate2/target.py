"""Write a folder for CTranslate2, tensor by tensor.

    model.bin  vocabulary.json  config.json  README.md  and the tokenizer's files

To be compared with its source CTranslate2 loads what was written, which takes as much memory as running it.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tokenizers
import torch
from torch import Tensor

from spanmix.errors import InputError
from spanmix.files import one_whole_folder, write_json
from spanmix.generate.ctranslate2_folder import load_generator, read_facts
from spanmix.interchange.ctranslate2.card import card
from spanmix.interchange.ctranslate2.weights import Layout
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.parity import Progress, Sides
from spanmix.interchange.sources import Source
from spanmix.interchange.target import Options, Written, require_model_place, system_errors_named
from spanmix.model.architecture import Architecture
from spanmix.model.folder import write_beside_weights

_ROUNDED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class CTranslate2Target:
    """See `spanmix.interchange.target.Target`."""

    is_file: ClassVar[bool] = False

    def __init__(self, source: Source, options: Options) -> None:
        self._source = source
        self.stored_as = options.stored_as or LAYOUTS["ctranslate2"][0]
        self._spec = _specification(source.shape)

    @staticmethod
    def require_place(dest: Path) -> None:
        """Raise `InputError` if something else than a model folder is at `dest`."""
        require_model_place(dest)

    @staticmethod
    def whole(dest: Path) -> AbstractContextManager[Path]:
        """Give a folder aside; see `spanmix.files.one_whole_folder`."""
        return one_whole_folder(dest)

    def write(self, place: Path, progress: Progress) -> Written:
        """Write everything but the report."""
        source, spec = self._source, self._spec
        with system_errors_named(place):
            write_beside_weights(place, {}, source.tokenizer, card(source, self.stored_as))
        spec.register_vocabulary(_vocabulary(place, source.shape.vocab_size))
        Layout(source, self.stored_as, progress).fill(spec)
        eot = source.tokenizer.decode([source.tokenizer.control.eot])
        spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = eot
        spec.config.layer_norm_epsilon = source.shape.layer_norm_epsilon
        spec.validate()
        spec.save(str(place))
        config = {
            **spec.config.to_dict(),
            "n_positions": source.shape.context_tokens,
            "spanmix": source.prompting.section(),
        }
        write_json(place / "config.json", config)
        return Written((place / "model.bin").stat().st_size, ())

    def sides(self, place: Path) -> Sides | None:
        """Return the models to compare; None if there is not the memory to load what was written."""
        rounded = _ROUNDED.get(self.stored_as)
        widened = 2 if rounded else 1  # a CPU computes in float32
        if widened * (place / "model.bin").stat().st_size > _available_bytes():
            return None
        loaded = _Loaded(place)
        return Sides(
            original=self._source.forward(),
            rounded=self._source.forward(lambda weight: weight.to(rounded)) if rounded else None,
            converted=loaded,
            eight_bits=self.stored_as.startswith("int8"),
            computed_in=loaded.compute_type,
        )


class _Loaded:
    """What CTranslate2 computes, as a `Forward`; it runs all blocks in one go at the end."""

    def __init__(self, folder: Path) -> None:
        self._generator = load_generator(folder, read_facts(folder))
        self.compute_type: str = self._generator.compute_type

    def embed(self, ids_BT: Tensor) -> Tensor:
        return ids_BT

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        return x_BTD

    def logits(self, x_BTD: Tensor) -> Tensor:
        return torch.from_numpy(np.array(self._generator.forward_batch(x_BTD.tolist())))


def _specification(shape: Architecture) -> Any:
    """Return CTranslate2's description of a decoder of this shape, with no weights in it."""
    try:
        from ctranslate2.specs import TransformerDecoderModelSpec, common_spec
    except ImportError:
        raise InputError("to export for CTranslate2 install `pip install 'spanmix[ctranslate2]'`") from None
    if shape.form == "llama":
        form = {
            "activation": common_spec.Activation.SWISH,
            "rotary_dim": 0,
            "rms_norm": True,
            "ffn_glu": True,
        }
    else:
        form = {
            "activation": common_spec.Activation.GELUTanh,
            "rotary_dim": shape.rotary_dim,
            "parallel_residual": True,
            "shared_layer_norm": True,
        }
    return TransformerDecoderModelSpec.from_config(
        shape.num_layers, shape.num_heads, pre_norm=True, rotary_interleave=False, **form
    )


def _vocabulary(folder: Path, vocab_size: int) -> list[str]:
    """Return the string of each id, fillers included: CTranslate2 wants exactly as many as the embedding."""
    ids = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
    strings = [text for text, _ in sorted(ids.items(), key=lambda entry: entry[1])]
    assert len(strings) == vocab_size, "a source's tokenizer has as many entries as its embedding"
    return strings


def _available_bytes() -> int:
    """Return the memory that could be had now without swapping; where the system is not Linux, no bound."""
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), sys.maxsize
    )
