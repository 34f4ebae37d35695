"""What a run runs on. Nothing here changes a result beyond the last bits of rounding, but that a
model with dropout draws other masks for other ranks and micro-batches."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trivet.core.errors import ConfigError
from trivet.core.launching import Launch
from trivet.core.remote import Remote

Precision = Literal["fp32", "bf16"]


@dataclass
class Machine:
    """The device and how much of it to use at once."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a GPU where torch finds one."""
    processes: int = 1
    """Ranks on this machine, one a GPU, which `trivet train` starts; clusters: scripts/."""
    shard: bool = False
    """FSDP2: weights, gradients and optimiser state lie on all ranks; needs `fit.cached`."""
    threads: int | None = None
    """CPU threads; null leaves the choice to torch (OMP_NUM_THREADS)."""
    micro_tokens: int = 4096
    """Tokens per micro-batch in training, with their padding if there is any: the bound of
    activation memory."""
    held_micro_batches: int = 2
    """With `fit.cached`: micro-batches whose activations stay, so that their texts need not be
    encoded a second time; more is faster, and bounds memory less."""
    encode_tokens: int = 16384
    """Tokens per batch when only encoding."""
    remote: str | None = None
    """Object storage for artifacts and ledger rows, such as `s3://bucket/prefix`, beside the disk:
    what is there is fetched, what is made is sent."""
    launch: Launch = field(default_factory=Launch)
    """How the runs of a sweep are started."""

    def __post_init__(self) -> None:
        """Refuse a budget that holds nothing."""
        for name, usual in (("micro_tokens", 8192), ("encode_tokens", 8192), ("processes", 1)):
            if getattr(self, name) < 1:
                raise ConfigError("must be at least 1", where=name, fix=f"Set {name}={usual}")
        if self.held_micro_batches < 0:
            raise ConfigError("must not be negative", where="held_micro_batches")

    @property
    def store(self) -> Remote | None:
        """The object storage, if there is one."""
        return Remote(self.remote) if self.remote else None

    def resolve(self) -> str:
        """The device, after `auto`; sets the number of CPU threads."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        has_gpu = torch.cuda.is_available()
        if self.device == "cuda" and not has_gpu:
            raise ConfigError(
                "torch finds no GPU here",
                where="machine.device",
                fix="Use machine=cpu, or see trivet doctor",
            )
        if self.device == "cpu" or not has_gpu:
            return "cpu"
        local = int(os.environ.get("LOCAL_RANK", "0"))  # one GPU for each process of a machine
        return f"cuda:{local % torch.cuda.device_count()}" if local else "cuda"


def bf16_units(device: str) -> str:
    """What multiplies bf16 matrices on a device: a name, or nothing."""
    if device == "cuda":
        import torch

        return "tensor cores" if torch.cuda.is_bf16_supported(including_emulation=False) else ""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return ""
    return "AMX" if "amx_bf16" in flags else "AVX-512" if "avx512_bf16" in flags else ""


def precision_reason(precision: Precision, device: str) -> str:
    """One sentence that says what a chosen precision means on this device."""
    units = bf16_units(device)
    if precision == "fp32":
        other = f"; this {device} has {units} for bf16, which is faster" if units else ""
        return f"fp32, as configured: weights and products in 32 bits{other}"
    if units:
        return f"bf16, as configured: products on {units}, weights and scores stay fp32"
    return f"bf16, as configured, but this {device} has no bf16 units: fp32 would be faster"


def hardware() -> dict[str, Any]:
    """The machine as a ledger row or manifest names it."""
    import torch

    name = ""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        import platform

        name = platform.processor() or platform.machine()
    memory = 0
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": name,
        "cores": os.cpu_count() or 1,
        "memory_gib": round(memory / 2**30, 1),
        "gpus": gpus,
        "threads": torch.get_num_threads(),
    }
