"""What a device is called, and the memory that a trial took on it."""

from __future__ import annotations

import ctypes
import gc
import platform
from contextlib import suppress
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """The card's or the processor's own name; of a processor also its family and model.

    Rented machines often say no more than `AMD EPYC`, which is four generations with different sums.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    fields: dict[str, str] = {}
    for line in _read_lines(Path("/proc/cpuinfo")):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    family, model = fields.get("cpu family"), fields.get("model")
    return f"{fields['model name']} (family {family}, model {model})" if family and model else fields["model name"]


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak of the trial before this one in the same process."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _reset_peak_resident_bytes()


def synchronize(device: torch.device) -> None:
    """Wait until all work on the device is done, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory_bytes(device: torch.device) -> int | None:
    """The trial's peak: of the CUDA allocator, or of this process's resident memory (torch itself included)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    for line in _read_lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _reset_peak_resident_bytes() -> None:
    # Linux: writing 5 resets the peak, so that a reused worker does not report an earlier trial's.
    # What an earlier trial freed but the allocator kept would count as this one's.
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    # On another system, or in a container that forbids it, the peak is the process's.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
