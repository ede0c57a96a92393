"""Export a model for CTranslate2, tensor by tensor, and say how much it still computes the same.

    model.bin  vocabulary.json  config.json  export_report.json  README.md  and the tokenizer's files

Nothing of the model is in memory but the matrix that is being written. At the end CTranslate2 loads what was
written, which takes as much memory as running it does.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import Tensor

from spanmix import __version__
from spanmix.errors import InputError, SpanmixError, nearest
from spanmix.files import one_writer, whole_folder, write_json
from spanmix.generate.ctranslate2_folder import load_generator, read_facts
from spanmix.interchange.ctranslate2_card import card
from spanmix.interchange.ctranslate2_weights import QUANTIZATIONS, Layout
from spanmix.interchange.forward import published_forward
from spanmix.interchange.parity import make_prompts
from spanmix.interchange.sources import Source, open_source, require_apart
from spanmix.model.architecture import Architecture
from spanmix.model.folder import require_place, write_beside_weights

REPORT = "export_report.json"
REPORT_VERSION = 1
MOST_INT8_DIFFERENCE = 0.5
"""Nats that the log-probability of the original's likeliest token may move by, on average, before an int8
model is refused. Ours moved by less than 0.05; a wrong order of rows moves it by whole nats."""

MOST_DIFFERENCE = 1e-3
"""The same for any token and any other type. Float32 sums in another order move it by about 0.00001."""

_ROUNDED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Agreement:
    """How alike the exported model and the original are, on random prompts and given the same tokens before.

    Args:
        num_positions: tokens that went through both.
        max_logprob_difference: the largest difference of any token's log-probability at any of them. For
            float16 and bfloat16 the original's weights are rounded in the same way.
        mean_likeliest_difference: of the original's likeliest token alone, on average.
        greedy: for each kind of prompt, the share of positions at which both would go on with the same token.
        compute_type: what CTranslate2 computed in on this machine.
    """

    num_positions: int
    max_logprob_difference: float
    mean_likeliest_difference: float
    greedy: dict[str, float]
    compute_type: str


def export_ctranslate2(
    source_folder: Path, dest: Path, quantization: str, mp_num: int | None = None
) -> list[str]:
    """Write a folder that CTranslate2 runs.

    Args:
        source_folder: a model folder in any layout that `spanmix.interchange.sources` opens.
        dest: the folder to make; a model folder that is there is replaced.
        quantization: one of `QUANTIZATIONS`.
        mp_num: for CodeGen's own layout, how many groups the rows of `qkv_proj` are in; None finds it out.

    Returns:
        Sentences on what was put right, what should be looked at, and how well the two agree; they are in
        ``export_report.json`` too.

    Raises:
        InputError: the source or `dest` cannot be used, there is no such quantization, the type cannot hold
            the weights, or ``ctranslate2`` is not installed.
        SpanmixError: what was written does not compute what the source computes, or the disk is full. Nothing
            is at `dest` then, or what was there before.
    """
    if quantization not in QUANTIZATIONS:
        raise InputError(
            f"quantization is {quantization!r}, which is unknown{nearest(quantization, QUANTIZATIONS)}"
        )
    require_place(dest)
    source = open_source(str(source_folder), mp_num)
    require_apart(source, dest)
    with one_writer(dest), whole_folder(dest) as folder:
        _write(source, folder, quantization)
        agreement = _compare(source, folder, quantization)
        warnings = [*source.warnings]
        if agreement is None:
            warnings.append("the model was not compared with its source: there is no memory to load it here")
        elif failures := _failures(agreement, quantization):
            raise SpanmixError(
                f"{dest} is not written, because it would not be the same model as {source.path}: "
                f"{'; '.join(failures)}. Use another quantization, or float32"
            )
        report = {
            "format_version": REPORT_VERSION,
            "spanmix": __version__,
            "source": str(source_folder),
            "source_layout": source.layout,
            "to": "ctranslate2",
            "quantization": quantization,
            "num_parameters": source.shape.num_parameters,
            "num_bytes": (folder / "model.bin").stat().st_size,
            "corrections": list(source.corrections),
            "warnings": warnings,
            "agreement": asdict(agreement) if agreement else None,
        }
        write_json(folder / REPORT, report)
    return [*source.corrections, *warnings, *(_sentences(agreement) if agreement else [])]


def _write(source: Source, folder: Path, quantization: str) -> None:
    """Write everything but the report."""
    write_beside_weights(folder, {}, source.tokenizer, card(source, quantization))
    spec = _specification(source.shape)
    spec.register_vocabulary(_vocabulary(folder, source.shape.vocab_size))
    Layout(source, quantization).fill(spec)
    eot = source.tokenizer.decode([source.tokenizer.control.eot])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = eot
    spec.config.layer_norm_epsilon = source.shape.layer_norm_epsilon
    spec.validate()
    spec.save(str(folder))
    config = {
        **spec.config.to_dict(),
        "n_positions": source.shape.context_tokens,
        "spanmix": source.prompting.section(),
    }
    write_json(folder / "config.json", config)


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


@torch.inference_mode()
def _compare(source: Source, folder: Path, quantization: str) -> Agreement | None:
    """Compare what was written with its source; None if there is not the memory to load it."""
    widened = 2 if quantization in _ROUNDED else 1  # a CPU computes in float32
    if widened * (folder / "model.bin").stat().st_size > _available_bytes():
        return None
    prompts = make_prompts(source.shape, source.tokenizer, source.prompting.infill is not None)
    ids_BT = torch.cat(list(prompts.values()))
    generator = load_generator(folder, read_facts(folder))
    compute_type = generator.compute_type
    logits_BTV = np.array(generator.forward_batch(ids_BT.tolist()))
    del generator
    theirs_BTV = torch.from_numpy(logits_BTV).log_softmax(-1)
    ours_BTV = _original(source, ids_BT, _ROUNDED.get(quantization)).log_softmax(-1)
    difference_BTV = (ours_BTV - theirs_BTV).abs()
    likeliest_BT = ours_BTV.argmax(-1)
    same = torch.split(
        (likeliest_BT == theirs_BTV.argmax(-1)).float(), [len(ids) for ids in prompts.values()]
    )
    return Agreement(
        num_positions=ids_BT.numel(),
        max_logprob_difference=float(difference_BTV.max()),
        mean_likeliest_difference=float(difference_BTV.gather(-1, likeliest_BT[..., None]).mean()),
        greedy={kind: float(part.mean()) for kind, part in zip(prompts, same, strict=True)},
        compute_type=compute_type,
    )


def _original(source: Source, ids_BT: Tensor, rounded_to: torch.dtype | None) -> Tensor:
    """Return the source's logits, [B, T, V], computed with a block of it in memory at a time."""
    forward = published_forward(source.tensors, source.shape, source.num_groups, rounded_to)
    x_BTD = forward.embed(ids_BT)
    for layer in range(source.shape.num_layers):
        x_BTD = forward.block(layer, x_BTD)
    return forward.logits(x_BTD)


def _available_bytes() -> int:
    """Return the memory that could be had now without swapping; where the system is not Linux, no bound."""
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), sys.maxsize
    )


def _failures(agreement: Agreement, quantization: str) -> list[str]:
    # Written so that NaN fails.
    if quantization.startswith("int8"):
        mean = agreement.mean_likeliest_difference
        if not mean <= MOST_INT8_DIFFERENCE:
            return [
                f"the likeliest token's log-probability moves by {mean:.3g} on average, and "
                f"{MOST_INT8_DIFFERENCE} is allowed"
            ]
        return []
    largest = agreement.max_logprob_difference
    if not largest <= MOST_DIFFERENCE:
        return [f"log-probabilities differ by up to {largest:.3g}, and {MOST_DIFFERENCE} is allowed"]
    return []


def _sentences(agreement: Agreement) -> list[str]:
    greedy = ", ".join(f"{share:.1%} of {kind} prompts" for kind, share in agreement.greedy.items())
    return [
        f"beside the source, computing in {agreement.compute_type}: log-probabilities differ by up to "
        f"{agreement.max_logprob_difference:.3g}; the same token is likeliest at {greedy}"
    ]
