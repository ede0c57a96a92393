"""Write what a GGUF file says beside its weights: sizes, tokenizer, and how the model is asked.

llama.cpp can put one token in front of a prompt, and knows an infill prompt as three tokens with the parts
between them, which CodeGen2's is not. So the prompting stands in keys of our own, as in ``config.json``::

    spanmix.format_version                            1
    spanmix.start                                     strings of tokens; left out if there are none
    spanmix.infill.prefix, .suffix, .middle, .end     the same; no ``end`` means no infill
    spanmix.infill.order, .lead_tokens                see `spanmix.generate.formats`
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from gguf import GGUFReader, GGUFValueType, GGUFWriter, TokenType

from spanmix.config import MODEL_FOLDER_VERSION
from spanmix.interchange.gguf.weights import ARCHITECTURES
from spanmix.interchange.sources import Source
from spanmix.model.architecture import Architecture
from spanmix.model.prompting import InfillPrompting, Prompting
from spanmix.text.tokenizer import Tokenizer

_PREFIX = "spanmix"
_ROPE_BASE = 10000.0
_INFILL_STRINGS = ("prefix", "suffix", "middle", "end")


def add_metadata(writer: GGUFWriter, source: Source, name: str, file_type: int) -> list[str]:
    """Add all keys.

    Args:
        writer: of the architecture of the source's form.
        source: what is exported.
        name: of the model.
        file_type: llama.cpp's number for what the weights are stored in.

    Returns:
        Sentences on what llama.cpp will not do by itself.
    """
    writer.add_type("model")
    writer.add_name(name)
    if found := _license(source.path):
        writer.add_license(found)
    writer.add_file_type(file_type)
    _add_sizes(writer, source.shape)
    _add_tokens(writer, source.tokenizer)
    sentences = _add_special(writer, source.tokenizer, source.prompting)
    _add_prompting(writer, source.prompting)
    return sentences


def read_prompting(reader: GGUFReader) -> Prompting:
    """Return how the model of a file is asked, from the keys of ours."""

    def strings(key: str) -> tuple[str, ...]:
        field = reader.fields.get(f"{_PREFIX}.{key}")
        return tuple(field.contents()) if field else ()

    if not strings("infill.end"):
        return Prompting(strings("start"), None)
    infill = InfillPrompting(
        **{part: strings(f"infill.{part}") for part in _INFILL_STRINGS},
        order=reader.fields[f"{_PREFIX}.infill.order"].contents(),
        lead_tokens=int(reader.fields[f"{_PREFIX}.infill.lead_tokens"].contents()),
    )
    return Prompting(strings("start"), infill)


def _add_sizes(writer: GGUFWriter, shape: Architecture) -> None:
    writer.add_context_length(shape.context_tokens)
    writer.add_embedding_length(shape.dim)
    writer.add_feed_forward_length(shape.hidden_dim)
    writer.add_block_count(shape.num_layers)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_heads)
    writer.add_rope_dimension_count(shape.rotary_dim)
    writer.add_rope_freq_base(_ROPE_BASE)
    writer.add_vocab_size(shape.vocab_size)
    if ARCHITECTURES[shape.form] == "llama":
        writer.add_layer_norm_rms_eps(shape.layer_norm_epsilon)
    else:
        writer.add_layer_norm_eps(shape.layer_norm_epsilon)


def _add_tokens(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    """Add the entries, their types and the merges.

    A blank run that is an added token is taken off a text before it is split, whether or not the caller wants
    controls: that is llama.cpp's USER_DEFINED. One that merges make is an entry like any other. Fillers, and
    controls that were never trained, are UNUSED, so that no text yields them in any mode.
    """
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(folder)
        spec: dict[str, Any] = json.loads((Path(folder) / "tokenizer.json").read_text(encoding="utf-8"))
    entries = {i: text for text, i in spec["model"]["vocab"].items()}
    types = dict.fromkeys(entries, TokenType.NORMAL)
    unused = tokenizer.suppressed_ids - {tokenizer.control.pad}
    for added in spec["added_tokens"]:
        i = added["id"]
        entries[i] = added["content"]
        control = TokenType.UNUSED if i in unused else TokenType.CONTROL
        types[i] = control if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([entries[i] for i in range(len(entries))])
    writer.add_token_types([types[i] for i in range(len(types))])
    writer.add_token_merges([_joined(pair) for pair in spec["model"]["merges"]])


def _joined(pair: str | list[str]) -> str:
    return pair if isinstance(pair, str) else " ".join(pair)


def _add_special(writer: GGUFWriter, tokenizer: Tokenizer, prompting: Prompting) -> list[str]:
    """Add begin, end and padding; ``<|endoftext|>`` and what ends an infill both end what is generated."""
    control, start = tokenizer.control, prompting.start
    single = len(start) == 1
    writer.add_bos_token_id(tokenizer.special_ids[start[0]] if single else control.eot)
    writer.add_eos_token_id(control.eot)
    writer.add_pad_token_id(control.pad)
    writer.add_add_bos_token(single)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    never = sorted(tokenizer.suppressed_ids)
    writer.add_key_value(
        "tokenizer.ggml.suppress_tokens", never, GGUFValueType.ARRAY, sub_type=GGUFValueType.INT32
    )
    sentences = []
    if len(start) > 1:
        sentences.append(
            f"llama.cpp puts one token in front of a prompt, and this model starts with {len(start)}: begin "
            f"every prompt with {''.join(start)}"
        )
    if prompting.infill is None:
        return sentences
    if others := [text for text in prompting.infill.end if tokenizer.special_ids[text] != control.eot]:
        writer.add_eot_token_id(tokenizer.special_ids[others[0]])
    sentences.append(
        "llama.cpp's own infill cannot ask this model, whose prompt is not three tokens with the parts "
        "between them; the file's keys spanmix.infill say how it is asked"
    )
    return sentences


def _add_prompting(writer: GGUFWriter, prompting: Prompting) -> None:
    writer.add_uint32(f"{_PREFIX}.format_version", MODEL_FOLDER_VERSION)
    writer.add_array(f"{_PREFIX}.start", prompting.start)
    infill = prompting.infill
    if infill is None:
        return
    for part in _INFILL_STRINGS:
        writer.add_array(f"{_PREFIX}.infill.{part}", getattr(infill, part))
    writer.add_string(f"{_PREFIX}.infill.order", infill.order)
    writer.add_uint32(f"{_PREFIX}.infill.lead_tokens", infill.lead_tokens)


def _license(folder: Path) -> str | None:
    """Return the license that the model card's header names, if it does."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    try:
        parts = card.read_text(encoding="utf-8", errors="replace").split("---\n", 2)
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    # The file may be closed to us, have a date in a 13th month, or 9,999 brackets.
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None
    found = header.get("license") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None
