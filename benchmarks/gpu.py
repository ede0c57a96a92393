"""Is a training step on a GPU right, and how fast is it? Spanmix beside transformers, in one run.

    python benchmarks/gpu.py [--out FOLDER] [--budget-seconds 520] [--only facts attention ...]

Needs a GPU, torch and, for the peers, transformers; float8 needs torchao. First come checks: attention
against a dense one in float64, the head's softmax against that of a CPU, loss curves against a CPU's, and the
same bits in a second run. Then speed: ``codegen2-1b``, rows of 2,048 positions that are full of documents,
32 rows a step, in bf16 and float8, compiled and not, with and without recomputation. What is compared with a
peer is timed with it in turn, at equal micro-batches.

MFU is by the operations that the method needs (recomputation and attention across documents are not), over
the dense bf16 peak that the maker publishes and over the one that is measured here. Memory is the most that
PyTorch's allocator had given out.

Every part is by itself: what fails or finds no time left is noted, and the others go on. The figures are
written to ``FOLDER/gpu.json`` after each part; the last line printed is all of them. Without a GPU the same
runs end to end at toy size, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import gpu_checks
from gpu_sides import Setting, Step, batches, flops, ours, peer
from spanmix.model.architecture import Architecture, preset
from spanmix.train import machine
from spanmix.train.machines import MACHINES
from spanmix.train.ranks import Layout
from spanmix.train.step_memory import step_memory
from spanmix.train.step_shape import StepShape

TOY = Setting(Architecture(2, 128, 4, 16, 128, 1024), 4, 2, 128, "cpu")
FULL = Setting(preset("codegen2-1b"), 32, 16, 2048, "cuda")
LEAST_MICRO_ROWS = 1


class Report:
    """What was found, part by part.

    Args:
        folder: where it is written, if anywhere.
        seconds: that all parts together may take.
        only: the names of the parts that are wanted; all if empty.
    """

    def __init__(self, folder: Path | None, seconds: float, only: Sequence[str]) -> None:
        self.figures: dict[str, Any] = {}
        self._folder, self._end, self._only = folder, time.monotonic() + seconds, only

    def part(self, name: str, seconds: float, work: Callable[[], Any]) -> None:
        """Do a part, if there is time for the seconds that it is thought to take."""
        if self._only and name not in self._only:
            return
        left = self._end - time.monotonic()
        start = time.monotonic()
        if left < seconds:
            found: Any = {"left out": f"{left:.0f} s were left, and it takes about {seconds:.0f}"}
        else:
            try:
                found = work()
            except Exception as failed:
                found = {"failed": f"{type(failed).__name__}: {failed}"[:600]}
                traceback.print_exc()
        self.figures[name] = found
        print(f"\n{name} ({time.monotonic() - start:.0f} s)\n{text(found)}", flush=True)
        if self._folder is not None:
            (self._folder / "gpu.json").write_text(json.dumps(self.figures, indent=1))
        torch._dynamo.reset()  # what a part compiled is kept on disk
        clean()


def text(found: Any) -> str:
    """Write figures for people, a line each."""
    if not isinstance(found, dict):
        return f"  {found}"
    return "\n".join(f"  {name}: {short(value)}" for name, value in found.items())


def short(value: Any) -> str:
    """Write a figure in few digits."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {short(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(short(item) for item in value) + "]"
    return str(value)


def clean() -> None:
    """Give memory back that nothing uses any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def wait() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


@dataclass
class Timed:
    """A side, and the seconds of its steps.

    Args:
        name: of the side.
        step: makes one.
        memory: bytes that it held at most, beside what was there before it.
        seconds: of each step.
        losses: of each step, with those of the warm-up in front.
    """

    name: str
    step: Step
    memory: int
    seconds: list[float]
    losses: list[float]


def warm(name: str, make: Callable[[], Step], steps: int = 3) -> Timed:
    """Build a side, and let it make steps that are not timed."""
    clean()
    before = 0
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    step = make()
    losses = [step(number) for number in range(steps)]
    wait()
    most = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return Timed(name, step, most - before, [], losses)


def in_turn(sides: Sequence[Timed], rounds: int) -> None:
    """Time the sides, a step of each at a time."""
    for number in range(rounds):
        for side in sides:
            wait()
            start = time.perf_counter()
            loss = side.step(number)
            wait()
            side.seconds.append(time.perf_counter() - start)
            side.losses.append(loss)


def fitting(setting: Setting, work: Callable[[Setting], Any]) -> Any:
    """Do something with the largest micro-batch that there is memory for, halving it."""
    while True:
        try:
            return work(setting)
        except torch.OutOfMemoryError:
            if setting.micro_rows <= LEAST_MICRO_ROWS:
                raise
        # Outside of the handler, whose traceback would hold the memory.
        setting = replace(setting, micro_rows=setting.micro_rows // 2)
        torch._dynamo.reset()
        clean()


class Speed:
    """Times sides, and says how fast they are.

    Args:
        setting: what they train.
        peaks: operations a second, by the name of the peak.
    """

    def __init__(self, setting: Setting, peaks: dict[str, float]) -> None:
        self.setting, self.peaks = setting, peaks

    def alone(self, precision: str, compiled: bool, checkpointing: str, rounds: int = 6) -> dict[str, Any]:
        """Time Spanmix in some setting."""

        def work(setting: Setting) -> dict[str, Any]:
            side = warm("spanmix", lambda: ours(setting, precision, compiled, checkpointing))
            in_turn([side], rounds)
            planned = planned_bytes(setting, precision, checkpointing)
            found = self.figures(side, setting) | {"planned_gib": planned / 2**30}
            if torch.cuda.is_available():
                found["waits"] = gpu_checks.waits(side.step)
            if compiled and checkpointing == "none":
                found["kernels_ms"] = kernels(side.step)
            return found

        found: dict[str, Any] = fitting(self.setting, work)
        return found

    def beside(self, name: str, rounds: int = 5) -> dict[str, Any]:
        """Time Spanmix in bf16, compiled, and a peer, compiled, in turn, with equal micro-batches."""

        def work(setting: Setting) -> dict[str, Any]:
            other = warm(name, lambda: peer(setting, name))
            mine = warm("spanmix", lambda: ours(setting))
            in_turn([mine, other], rounds)
            ratio = statistics.median(other.seconds) / statistics.median(mine.seconds)
            sides = {side.name: self.figures(side, setting) for side in (mine, other)}
            return {"ratio": ratio, **sides}

        found: dict[str, Any] = fitting(replace(self.setting, micro_rows=self.setting.micro_rows // 2), work)
        return found

    def figures(self, side: Timed, setting: Setting) -> dict[str, Any]:
        """Return what a side's seconds come to."""
        seconds = statistics.median(side.seconds)
        given = batches(setting)
        work = statistics.mean(flops(setting.shape, batch) for batch in given)
        return {
            "micro_batch_rows": setting.micro_rows,
            "seconds": seconds,
            "all_seconds": side.seconds,
            "tokens_per_second": setting.rows * setting.row_tokens / seconds,
            **{f"mfu_{name}": work / seconds / peak for name, peak in self.peaks.items()},
            "memory_gib": side.memory / 2**30,
            "losses": side.losses,
        }


def planned_bytes(setting: Setting, precision: str, checkpointing: str) -> int:
    """Return what ``spanmix plan`` says that a step holds at most."""
    step = StepShape(
        setting.shape,
        Layout(),
        setting.row_tokens,
        setting.rows,
        setting.micro_rows,
        checkpointing,
        precision,
        setting.device,
    )
    return max(sum(parts.values()) for parts in step_memory(step).values())


def kernels(step: Step, most: int = 25) -> dict[str, float]:
    """Return the kernels that a step spends most time in, in milliseconds, and the time of all of them."""
    activity = torch.profiler.ProfilerActivity
    on_gpu = torch.cuda.is_available()
    with torch.profiler.profile(activities=[activity.CUDA if on_gpu else activity.CPU]) as profile:
        step(0)
        wait()
    events = profile.key_averages()
    times = [(e.key, (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1e3) for e in events]
    times.sort(key=lambda item: -item[1])
    return {"all": sum(ms for _, ms in times), **{name[:90]: ms for name, ms in times[:most]}}


def published_peak() -> float | None:
    """Return the dense bf16 peak of this GPU that its maker publishes, if it is in the list."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name().lower().replace(" ", "")
    for key, known in MACHINES.items():
        if key.split("-")[0].removeprefix("rtx") in name:
            return known.peak_flops("bf16")
    return None


def facts(peaks: dict[str, float]) -> dict[str, Any]:
    """Return what all this was measured on."""
    found: dict[str, Any] = {"python": platform.python_version(), "peaks": peaks}
    for name in ("torch", "triton", "transformers", "torchao"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
        found["compute_capability"] = list(torch.cuda.get_device_capability())
        found["memory_gib"] = torch.cuda.get_device_properties(0).total_memory / 2**30
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write gpu.json there")
    parser.add_argument("--budget-seconds", type=float, default=520, help="for all parts (default: 520)")
    parser.add_argument("--only", nargs="*", default=[], metavar="PART", help="these parts alone")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
    setting = FULL if torch.cuda.is_available() else TOY
    device = setting.device
    machine.prepare_process(torch.get_num_threads())
    peaks = {"measured": machine.matmul_peak_flops(torch.bfloat16, device)}
    if known := published_peak():
        peaks["published"] = known
    report, speed = Report(args.out, args.budget_seconds, args.only), Speed(setting, peaks)
    report.part("facts", 0, lambda: facts(peaks))
    report.part("attention", 30, lambda: gpu_checks.attention(device))
    report.part("softmax", 10, lambda: gpu_checks.softmax(device))
    report.part("curves", 60, lambda: gpu_checks.curves(device))
    report.part("bf16", 60, lambda: speed.alone("bf16", True, "none"))
    report.part("beside gpt-neox", 90, lambda: speed.beside("gpt-neox"))
    report.part("float8", 60, lambda: speed.alone("float8", True, "none"))
    report.part("bf16, not compiled", 25, lambda: speed.alone("bf16", False, "none", 3))
    report.part("bf16, selective", 40, lambda: speed.alone("bf16", True, "selective", 3))
    report.part("beside gptj", 90, lambda: speed.beside("gptj"))
    report.part("bf16, full", 40, lambda: speed.alone("bf16", True, "full", 3))
    print(json.dumps(report.figures))


if __name__ == "__main__":
    main()
