"""List the devices that a run can be planned for, with the figures that their makers publish.

Speeds are dense: without structured sparsity, which makers' tables often include (a factor of two). Sources:
NVIDIA's data sheets of the A100 (both sizes), H100 SXM, H200, L40S and HGX B200, and the whitepaper of Ada's
architecture for the RTX 4090 (sums in float32). Memory is in the maker's gigabytes of 10^9 bytes. Links are
one way, per device: NVLink or PCIe 4.0 x16 within a node; between nodes the adapters of DGX and HGX systems
(400 Gb/s per GPU, 200 for the A100), and 100 Gb/s for eight GPUs with PCIe, which is assumed.

Prices are US dollars an hour for one device on demand, and change by the month: Lambda's list of eight-GPU
instances for the A100, H100 and B200 (September 2026), Hyperstack's for the H200 (August 2026), RunPod's
secure cloud for the others (2025, from memory).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from spanmix.errors import InputError, nearest

_GPU_SHARE = 0.31
"""Share of the peak that forward and backward reach on a GPU while they wait for no other device. Assumed,
not measured with Spanmix: with it the model gives the 5,762 tokens/s per H100 that torchtitan publishes for
8 GPUs and a decoder of 8 billion weights with FSDP, without torch.compile (its benchmarks, December 2024)."""

_CPU_SHARE = 0.585
"""Measured: the whole step of ``125m`` in ``docs/performance.md``, what memory costs included."""


@dataclass(frozen=True)
class Machine:
    """A device and the links between several.

    Args:
        name: as ``--gpu`` has it.
        device: ``cpu`` or ``cuda``.
        flops: operations a second of dense matrix products, by precision.
        compute_share: share of them that forward and backward reach.
        is_measured: whether that share was measured with Spanmix.
        memory_bytes: of one device.
        memory_bandwidth: bytes a second.
        node_bandwidth: bytes a second from one device to others of its node.
        network_bandwidth: bytes a second from one device to those of other nodes.
        devices_per_node: devices that the first of these links joins.
        dollars_per_hour: of one device.
    """

    name: str
    device: str
    flops: Mapping[str, float]
    compute_share: float
    is_measured: bool
    memory_bytes: int
    memory_bandwidth: float
    node_bandwidth: float
    network_bandwidth: float
    devices_per_node: int
    dollars_per_hour: float

    @property
    def reserve_bytes(self) -> int:
        """Memory that a step cannot have: assumed to be 1 GiB for the driver's context, the libraries'
        workspaces and NCCL's buffers, and a twentieth for gaps between the allocator's blocks."""
        return 2**30 + self.memory_bytes // 20

    @property
    def usable_bytes(self) -> int:
        """Memory that is left for a step."""
        return self.memory_bytes - self.reserve_bytes

    def peak_flops(self, precision: str) -> float:
        """Return the operations a second of a precision.

        Raises:
            InputError: the device does not compute in it.
        """
        if precision not in self.flops:
            known = ", ".join(self.flops)
            raise InputError(
                f"{self.name} does not compute in {precision}; use run.precision with one of {known}"
            )
        return self.flops[precision]


def _gpu(
    name: str,
    tera: tuple[float, float, float | None],
    gigabytes: int,
    memory: float,
    links: tuple[float, float],
    dollars: float,
) -> Machine:
    """Make a GPU of its figures: teraflop/s in bf16, fp32 and float8; gigabytes a second."""
    flops = {"bf16": tera[0] * 1e12, "fp32": tera[1] * 1e12}
    if tera[2] is not None:
        flops["float8"] = tera[2] * 1e12
    return Machine(
        name=name,
        device="cuda",
        flops=flops,
        compute_share=_GPU_SHARE,
        is_measured=False,
        memory_bytes=gigabytes * 10**9,
        memory_bandwidth=memory * 1e9,
        node_bandwidth=links[0] * 1e9,
        network_bandwidth=links[1] * 1e9,
        devices_per_node=8,
        dollars_per_hour=dollars,
    )


_TWO_CORES = Machine(
    name="cpu",
    device="cpu",
    flops={"bf16": 0.781e12, "fp32": 0.15e12},
    compute_share=_CPU_SHARE,
    is_measured=True,
    memory_bytes=24 * 10**9,
    memory_bandwidth=inf,  # in the share
    node_bandwidth=1e9,
    network_bandwidth=1e9,
    devices_per_node=1,
    dollars_per_hour=0.0,
)
"""Two cores of the faster processor of ``docs/performance.md``. The bf16 peak is the middle of what was
measured there, 732 to 830 gigaflop/s, that of float32 about a fifth; on the slower one, of 386 to 419, the
share was 0.75. Links between several, and the price, are placeholders."""

MACHINES: dict[str, Machine] = {
    machine.name: machine
    for machine in (
        #     bf16, fp32, float8 teraflop/s; GB; GB/s of memory, node, network; dollars an hour
        _gpu("b200", (2250, 75, 4500), 180, 7700, (900, 50), 6.69),
        _gpu("h200", (989, 67, 1979), 141, 4800, (450, 50), 3.99),
        _gpu("h100", (989, 67, 1979), 80, 3350, (450, 50), 3.99),
        _gpu("a100-80", (312, 19.5, None), 80, 2039, (300, 25), 2.79),
        _gpu("a100-40", (312, 19.5, None), 40, 1555, (300, 25), 1.99),
        _gpu("l40s", (362, 91.6, 733), 48, 864, (32, 1.6), 0.86),
        _gpu("rtx4090", (165, 82.6, 330), 24, 1008, (32, 1.6), 0.69),
        _TWO_CORES,
    )
}


def machine_named(name: str) -> Machine:
    """Return the figures of a device.

    Raises:
        InputError: there is none of that name.
    """
    if name not in MACHINES:
        raise InputError(f"--gpu is {name!r}, which is not in the list{nearest(name, MACHINES)}")
    return MACHINES[name]
