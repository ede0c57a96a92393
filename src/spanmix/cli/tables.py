"""Print results for people: the tables of ``demo`` and ``evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanmix.cli.terminal import print_table


def print_sources(results: Mapping[str, Any]) -> None:
    """Print bits per byte of the held-out files, with xz on the same files beside it."""
    if not results["sources"]:
        return
    with_xz = any("xz" in source for source in results["sources"].values())
    rows = []
    for name, source in results["sources"].items():
        loss = source["loss"]
        row = [name, f"{loss['num_files']:,}", f"{loss['num_bytes']:,}", _shown(loss["bits_per_byte"])]
        if with_xz:
            after = source.get("xz_after_training")
            row += [_shown(source["xz"]["bits_per_byte"]), _shown(source["ratio_to_xz"])]
            row.append(f"{after['bits_per_byte']:.3f}" if after else "-")
        rows.append(row)
    header = ["held out", "files", "bytes", "bits per byte"]
    if with_xz:
        header += ["xz -9e, file by file", "ratio", "xz(train + held) - xz(train)"]
    print_table(header, rows)
    print()


def print_infill(results: Mapping[str, Any]) -> None:
    """Print what the suffix is worth, and how often the infill is right."""
    if not results["infill"]:
        return
    rows = []
    for figures in results["infill"]:
        for condition, bits in figures["bits_per_byte"].items():
            match = figures["matches"].get(condition)
            rows.append(
                [
                    f"{figures['source']}, {figures['kind']}, {condition}".replace("_", " "),
                    f"{figures['num_spans']:,}",
                    _shown(bits),
                    _shown(match["exact_stripped"]) if match else "-",
                    _shown(match["edit_similarity_stripped"]) if match else "-",
                ]
            )
    print_table(
        ["infill of held-out files", "spans", "bits per byte", "exact match", "edit similarity"], rows
    )
    for figures in results["infill"]:
        gain = _shown(figures["suffix_gain"]["better"])
        kind = f"{figures['source']}, {figures['kind']}".replace("_", " ")
        print(f"{kind}: the suffix changes bits per byte by {gain} against the better of the other two")
    print()


def _shown(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"
