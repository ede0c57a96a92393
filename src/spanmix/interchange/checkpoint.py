"""Write a folder of safetensors that transformers' classes name: the native one, and CodeGen's two."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import torch

from spanmix.errors import InputError
from spanmix.files import one_whole_folder
from spanmix.interchange import codegen
from spanmix.interchange.forward import published_forward
from spanmix.interchange.native_forward import NativeForward
from spanmix.interchange.parity import Progress, Sides
from spanmix.interchange.sources import Source, native_shapes
from spanmix.interchange.target import WRITING, Options, Written, require_model_place, system_errors_named
from spanmix.interchange.tensors import TensorFolder
from spanmix.interchange.writer import ShardWriter
from spanmix.model import native
from spanmix.model.card import model_card
from spanmix.model.finite import first_not_finite
from spanmix.model.folder import write_beside_weights
from spanmix.model.weights import WEIGHT_TYPES

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class NativeTarget:
    """The native folder; see `spanmix.interchange.target.Target`."""

    is_file: ClassVar[bool] = False
    groups: ClassVar[int | None] = None
    """Of `qkv_proj`; None for three matrices."""

    def __init__(self, source: Source, options: Options) -> None:
        self._source, self._max_shard_bytes = source, options.max_shard_bytes
        self._dtype = TYPES[options.stored_as] if options.stored_as else source.dtype
        self.stored_as = WEIGHT_TYPES[self._dtype]

    @staticmethod
    def require_place(dest: Path) -> None:
        """Raise `InputError` if something else than a model folder is at `dest`."""
        require_model_place(dest)

    @staticmethod
    def whole(dest: Path) -> AbstractContextManager[Path]:
        """Give a folder aside; see `spanmix.files.one_whole_folder`."""
        return one_whole_folder(dest)

    def write(self, place: Path, progress: Progress) -> Written:
        """Write the weights, and the files beside them."""
        num_bytes = self._write_weights(place, progress)
        source, groups = self._source, self.groups
        config = native.config_json(source.shape, source.tokenizer, self.stored_as, source.prompting)
        facts = {"converted from": source.layout}
        if groups is None:
            card = model_card(source.shape, source.tokenizer, facts, source.prompting)
            warnings = []
        else:
            config = codegen.config_json(config, source.shape, groups)
            card = codegen.card(source.shape, groups, facts)
            warnings = codegen.traps(source.shape, groups)
        with system_errors_named(place):
            write_beside_weights(place, config, source.tokenizer, card)
        return Written(num_bytes, tuple(warnings))

    def sides(self, place: Path) -> Sides:
        """Return the models to compare; a native folder's is the decoder that will run it."""
        source, written = self._source, TensorFolder(place)
        stored = {source.tensors.stored[name].dtype for name in source.shapes}
        exact = self._dtype == torch.float32 or stored == {self._dtype}
        return Sides(
            original=source.forward(),
            rounded=None if exact else source.forward(lambda weight: weight.to(self._dtype)),
            converted=NativeForward(written, source.shape)
            if self.groups is None
            else published_forward(written, source.shape, self.groups),
        )

    def _write_weights(self, place: Path, progress: Progress) -> int:
        """Write all tensors and return how many bytes they are."""
        source = self._source
        names = native_shapes(source.shape)
        shapes = codegen.layout_shapes(names, self.groups)
        writer = ShardWriter(place, shapes, self._dtype, self._max_shard_bytes)
        done = 0
        for move in codegen.moves(names, source.num_groups, self.groups):
            progress(WRITING, done, writer.num_bytes)
            made = {name: tensor.to(self._dtype) for name, tensor in source.make(move).items()}
            if bad := first_not_finite(made):
                raise InputError(
                    f"{source.path}: the tensor {bad} holds numbers that {self.stored_as} cannot; use "
                    "--dtype bf16 or fp32"
                )
            for name, tensor in made.items():
                writer.write(name, tensor)
                done += tensor.nbytes
        writer.close()
        progress(WRITING, done, writer.num_bytes)
        return done


class CodeGenTarget(NativeTarget):
    """CodeGen's own layout as transformers reads it."""

    groups = codegen.GROUPS_TRANSFORMERS

    def __init__(self, source: Source, options: Options) -> None:
        super().__init__(source, options)
        if source.shape.form != "codegen":
            raise InputError(
                f"{source.path} is a model of the form {source.shape.form}, which CodeGen's own layout "
                "cannot hold; use --to native"
            )
        assert self.groups is not None
        if source.shape.num_heads % self.groups:
            raise InputError(
                f"{source.path} has {source.shape.num_heads} heads, which do not go into the {self.groups} "
                "groups of this layout; use --to native"
            )


class CodeGen2Target(CodeGenTarget):
    """The layout of the published codegen2-1B and 3.7B."""

    groups = codegen.GROUPS_EIGHT
