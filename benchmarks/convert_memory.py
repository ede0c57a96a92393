"""How much memory does a conversion take? A random sharded checkpoint, converted in a process of its own.

    python benchmarks/convert_memory.py [--preset codegen2-3.7b] [--shard-bytes N] [--pickled] [--to native]

The checkpoint is in the published CodeGen2 layout, float32, with no tokenizer files, as wide and as deep as
the preset; it takes 4 bytes a parameter in ``--scratch``, and what is converted as much again. The
process is watched from outside, fifty times a second, and the kernel's own high-water mark of resident memory
is read at its end; that counts pages of the files it reads, which the system can take back at any time.
What is promised is less than 1.5 times the largest shard plus 1 GB. By default a small preset in small
shards; ``--full`` is `codegen2-3.7b` in shards of 9.95 GB, as published (30 GB of disk). The last line
is one JSON object.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from spanmix.interchange import codegen
from spanmix.interchange.sources import native_shapes
from spanmix.interchange.writer import ShardWriter
from spanmix.model import gptj
from spanmix.model.architecture import Architecture, preset

GIGABYTE = 1_000_000_000
LARGEST_PUBLISHED_SHARD = 9_950_000_000

CONVERT = """
import json, sys, time
from pathlib import Path
from spanmix.interchange.convert import convert
def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
before, began = status("VmRSS"), time.perf_counter()
report = convert(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
seconds = time.perf_counter() - began
print(json.dumps({"before": before, "peak": status("VmHWM"), "seconds": seconds,
                  "difference": report.parity.conversion.max_abs_difference}))
"""


@dataclass(frozen=True)
class Peak:
    """What one conversion took, in bytes and seconds."""

    resident: int
    anonymous: int
    before: int
    seconds: float
    difference: float


def main() -> None:
    """Make a checkpoint, convert it, and print what that took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="125m")
    parser.add_argument("--shard-bytes", type=int, default=200_000_000)
    parser.add_argument("--pickled", action="store_true", help="shards of torch.save, not safetensors")
    parser.add_argument("--to", default="native", choices=("native", "codegen", "codegen2"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    args = parser.parse_args()
    if args.full:
        args.preset, args.shard_bytes = "codegen2-3.7b", LARGEST_PUBLISHED_SHARD
    shape = preset(args.preset)
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        source, dest = Path(folder, "source"), Path(folder, "dest")
        source.mkdir()
        groups = make_checkpoint(source, shape, args.shard_bytes, args.pickled)
        shards = [file.stat().st_size for file in source.glob("*model*") if file.suffix != ".json"]
        peak = measured(source, dest, args.to)
    bound = 1.5 * max(shards) + GIGABYTE
    print(f"{args.preset}, {shape.num_parameters:,} parameters, {groups} groups, to {args.to}")
    print(
        f"{len(shards)} shards, {sum(shards) / GIGABYTE:.2f} GB, the largest {max(shards) / GIGABYTE:.2f} GB"
    )
    before = f"{peak.before / GIGABYTE:.2f} before it began"
    print(f"resident at most   {peak.resident / GIGABYTE:6.2f} GB ({before})")
    print(f"of that its own    {peak.anonymous / GIGABYTE:6.2f} GB")
    print(f"promised           {bound / GIGABYTE:6.2f} GB: {peak.resident / bound:.2f} of it used")
    print(f"{peak.seconds:.1f} s, {sum(shards) / peak.seconds / GIGABYTE:.2f} GB/s with the comparison")
    figures = {
        "preset": args.preset,
        "parameters": shape.num_parameters,
        "shards": len(shards),
        "largest_shard_bytes": max(shards),
        "peak_resident_bytes": peak.resident,
        "peak_anonymous_bytes": peak.anonymous,
        "before_bytes": peak.before,
        "promised_bytes": bound,
        "ratio_promised": peak.resident / bound,
        "seconds": peak.seconds,
        "max_abs_difference": peak.difference,
        "pickled": args.pickled,
        "to": args.to,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    print(json.dumps(figures))


def make_checkpoint(folder: Path, shape: Architecture, shard_bytes: int, pickled: bool) -> int:
    """Write random weights in the published layout; return the number of groups."""
    groups = codegen.GROUPS_EIGHT if shape.num_heads == 16 and shape.num_layers == 16 else 4
    config = {**gptj.shape_json(shape), "architectures": [codegen.ARCHITECTURE], "model_type": "codegen"}
    config |= {"bos_token_id": 1, "eos_token_id": 2}
    if groups == codegen.GROUPS_EIGHT:
        config["head_dim"] = shape.head_dim
    (folder / "config.json").write_text(json.dumps(config))
    shapes = codegen.layout_shapes(native_shapes(shape), groups)
    writer = ShardWriter(folder, shapes, torch.float32, shard_bytes)
    generator = torch.Generator().manual_seed(1)
    for name, size in shapes.items():
        norm = name.endswith(("ln_1.weight", "ln_f.weight"))
        drawn = torch.randn(size, generator=generator) * 0.02
        writer.write(name, drawn.add_(1.0) if norm else drawn)
    writer.close()
    if pickled:
        pickle_shards(folder)
    return groups


def pickle_shards(folder: Path) -> None:
    """Put ``torch.save`` files in the place of the safetensors; takes the memory of one shard."""
    from safetensors.torch import load_file

    weight_map = {}
    files = sorted(folder.glob("*.safetensors"))
    for number, file in enumerate(files, 1):
        name = f"pytorch_model-{number:05}-of-{len(files):05}.bin"
        shard = load_file(file)
        torch.save(shard, folder / name)
        weight_map |= dict.fromkeys(shard, name)
        file.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


def measured(source: Path, dest: Path, to: str) -> Peak:
    """Convert in a process of its own, and watch it."""
    command = [sys.executable, "-c", CONVERT, str(source), str(dest), to]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    anonymous = 0
    while process.poll() is None:
        anonymous = max(anonymous, anonymous_bytes(process.pid))
        time.sleep(0.02)
    printed, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the conversion ended with exit code {process.returncode}")
    shutil.rmtree(dest)
    told = json.loads(printed)
    return Peak(told["peak"], anonymous, told["before"], told["seconds"], told["difference"])


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that no file stands behind; 0 if it has just ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
