"""Say what a corpus is to be made of: all that decides what is in it, and a record of that for people."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from spanmix.config import CORPUS_FORMAT_VERSION, CorpusConfig, TokenizerConfig
from spanmix.text.preparation.differences import FILES
from spanmix.text.preparation.inputs import Input, ReadInput, list_inputs
from spanmix.text.preparation.partitions import Partition
from spanmix.text.shown_paths import without_places
from spanmix.text.source_tokenizer import hash_source_tokenizer
from spanmix.text.tokenizer import Tokenizer

_PACKAGES = ("spanmix", "daft", "detect-secrets", "tokenizers")


@dataclass(frozen=True)
class MadeOf:
    """What a corpus is to be made of.

    Args:
        settings: the recipe, and hashes of the files that it names, as text.
        record: the same, how many files each source has, and versions; as JSON holds it, without salt, and
            with the last part alone of paths that lead from the root or from a home.
        inputs: what is read, as it was listed, and behind it what states licences, with its hashes.
    """

    settings: str
    record: dict[str, Any]
    inputs: Sequence[Input]

    @classmethod
    def of(
        cls,
        config: CorpusConfig,
        tokenizer: TokenizerConfig,
        given: Tokenizer | None,
        files: Mapping[str, str],
        partitions: Sequence[Partition],
    ) -> MadeOf:
        """Collect it.

        Args:
            config: the recipe's corpus.
            tokenizer: its tokenizer.
            given: that tokenizer, if it is not to be trained.
            files: hashes of the files that steps read.
            partitions: what is read.
        """
        named = dict(files)
        if given is not None:
            named[f"the tokenizer {tokenizer.path}"] = given.fingerprint
        for source in config.sources:
            if source.tokenizer is not None:
                named[f"the tokenizer {source.tokenizer}"] = hash_source_tokenizer(source.tokenizer)
        settings = settings_text(config, tokenizer, given, files)
        return cls(
            settings, _record(config, tokenizer, named, partitions), tuple(list_inputs(config, partitions))
        )

    def read(self, hashes: Sequence[str]) -> list[ReadInput]:
        """Return what was read, with the SHA-256 of each input; `hashes` are of those without one."""
        known = [item.known for item in self.inputs if item.known.sha256]
        others = [item.known for item in self.inputs if not item.known.sha256]
        read = [dataclasses.replace(one, sha256=sha256) for one, sha256 in zip(others, hashes, strict=True)]
        return read + known


def settings_text(
    config: CorpusConfig, tokenizer: TokenizerConfig, given: Tokenizer | None, files: Mapping[str, str]
) -> str:
    """Return all settings that decide what is in the corpus, and the files that they name, as text."""
    settings = dataclasses.asdict(config) | {"path": None, "format_version": CORPUS_FORMAT_VERSION}
    settings["tokenizer"] = given.fingerprint if given else dataclasses.asdict(tokenizer)
    settings["files"] = files
    for source in settings["sources"]:
        if source["tokenizer"] is not None:
            source["tokenizer"] = hash_source_tokenizer(source["tokenizer"])
    return json.dumps(settings, sort_keys=True)


def _record(
    config: CorpusConfig,
    tokenizer: TokenizerConfig,
    files: Mapping[str, str],
    partitions: Sequence[Partition],
) -> dict[str, Any]:
    record = {
        "corpus": {name: value for name, value in dataclasses.asdict(config).items() if name != "path"},
        "tokenizer": dataclasses.asdict(tokenizer),
        FILES: files,
        "inputs": {source.name: _inputs(number, partitions) for number, source in enumerate(config.sources)},
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }
    plain: dict[str, Any] = without_places(json.loads(json.dumps(record)))  # as it is read again
    if config.redaction is not None and config.redaction.salt:
        plain["corpus"]["redaction"]["salt"] = "(not shown)"
    return plain


def _inputs(source: int, partitions: Sequence[Partition]) -> dict[str, int]:
    """Count the files of a source; one that is cut into several parts is one."""
    sizes = {
        unit.file: unit.size
        for partition in partitions
        if partition.source == source
        for unit in partition.units
    }
    return {"files": len(sizes), "bytes": sum(sizes.values())}
