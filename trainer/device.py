"""The device of a trial: choice, threads, precision; the same functions for CPU and CUDA."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext

import torch

from trainer.config.shape import TrialShape
from trainer.errors import DeviceError
from trainer.model.gpt import GPT


def select_device(config: TrialShape, *, has_gpu: bool) -> torch.device:
    """The torch device of a trial. `has_gpu`: the scheduler assigned it a GPU.

    A trial with a GPU never falls back to the CPU by itself: its row would have a GPU's name and price.

    Raises:
        DeviceError: if CUDA is wanted and torch sees none.
    """
    wanted = config.device if config.device != "auto" else ("cuda" if has_gpu else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"`device: {config.device}` needs CUDA, but torch {torch.__version__} sees no CUDA device on "
            f"{platform.node()}: install a CUDA build of torch there, or choose the device cpu"
        )
    return torch.device(wanted)


def prepare_device(device: torch.device, config: TrialShape) -> None:
    """Set what decides bits and belongs to the process: threads, and products in full float32."""
    torch.set_num_threads(config.num_threads)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False


def compute_dtype(config: TrialShape) -> torch.dtype:
    """The dtype of matrix products."""
    return torch.bfloat16 if config.train.precision == "bf16" else torch.float32


def place(model: GPT, config: TrialShape, device: torch.device) -> GPT:
    """Bring a model to its device and to the way that device takes its products."""
    if config.train.precision == "bf16" and not _has_bfloat16_units(device):
        model.round_products()
    return model.to(device)


def precision(device: torch.device, config: TrialShape) -> AbstractContextManager[object]:
    """Autocast to bfloat16 where the device has units for it, else nothing."""
    if config.train.precision == "bf16" and _has_bfloat16_units(device):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _has_bfloat16_units(device: torch.device) -> bool:
    if device.type != "cpu":
        return True
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
