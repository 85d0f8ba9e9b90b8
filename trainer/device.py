"""The device of a trial: choice, threads, precision, memory; the same functions for CPU and CUDA."""

from __future__ import annotations

import ctypes
import gc
import platform
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import torch

from trainer.config.trial import TrialConfig
from trainer.errors import DeviceError
from trainer.model.gpt import GPT


def select_device(config: TrialConfig, *, has_gpu: bool) -> torch.device:
    """The torch device of a trial. `has_gpu`: the scheduler assigned it a GPU.

    A trial with a GPU never falls back to the CPU by itself: its row would have a GPU's name and price.

    Raises:
        DeviceError: if CUDA is wanted and torch sees none.
    """
    wanted = config.device if config.device != "auto" else ("cuda" if has_gpu else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"`device: {config.device}` needs CUDA, but torch {torch.__version__} sees no CUDA device on "
            f"{platform.node()}: install a CUDA build of torch there, or set `device: cpu`"
        )
    return torch.device(wanted)


def prepare_device(device: torch.device, config: TrialConfig) -> None:
    """Reset what a trial must not inherit from the one before it in the same process: threads, peak memory."""
    torch.set_num_threads(config.num_threads)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        torch.backends.cuda.matmul.allow_tf32 = False
    else:
        _reset_peak_resident_bytes()


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


def compute_dtype(config: TrialConfig) -> torch.dtype:
    """The dtype of matrix products."""
    return torch.bfloat16 if config.train.precision == "bf16" else torch.float32


def place(model: GPT, config: TrialConfig, device: torch.device) -> GPT:
    """Bring a model to its device and to the way that device takes its products."""
    if config.train.precision == "bf16" and not _has_bfloat16_units(device):
        model.round_products()
    return model.to(device)


def precision(device: torch.device, config: TrialConfig) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the device has units for it, else nothing."""
    if config.train.precision == "bf16" and _has_bfloat16_units(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _has_bfloat16_units(device: torch.device) -> bool:
    if device.type != "cpu":
        return True
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


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
