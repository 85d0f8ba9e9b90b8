"""What this machine has: memory, shared memory, disk, GPU driver, and a device on which torch really computes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from orchestrator.cluster.node_facts import Disk, Memory, TorchFacts

SHM = Path("/dev/shm")
NVIDIA = Path("/proc/driver/nvidia/version")
CGROUP = Path("/sys/fs/cgroup")
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
SECONDS_TO_ANSWER = 20.0


def memory(proc: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> Memory:
    """Memory of the machine, or of its container where that is given less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = re.search(r"MemAvailable:\s+(\d+) kB", _text(proc))
    free = int(found[1]) * 1024 if found else total
    limit, used = _text(cgroup / "memory.max").strip(), _text(cgroup / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        files = re.search(r"^inactive_file (\d+)", _text(cgroup / "memory.stat"), flags=re.MULTILINE)
        left = int(limit) - int(used) + (int(files[1]) if files else 0)  # the kernel gives up its cache of files
        return Memory(total_bytes=min(total, int(limit)), free_bytes=min(free, left))
    return Memory(total_bytes=total, free_bytes=free)


def shm_bytes(folder: Path = SHM) -> int | None:
    """Size of the shared memory's file system; None where the system has none, as macOS."""
    return shutil.disk_usage(folder).total if folder.is_dir() else None


def cache_disk(folder: Path) -> Disk:
    """The disk on which the cache lies, or will lie once it is made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    error = "" if place.is_dir() and os.access(place, os.W_OK | os.X_OK) else f"{place} cannot be written"
    return Disk(folder=str(folder), free_bytes=shutil.disk_usage(place).free, error=error)


def gpu_driver(file: Path = NVIDIA) -> str:
    """Version of NVIDIA's driver; empty if there is none."""
    found = re.search(r"Kernel Module.*?(\d+\.\d+(?:\.\d+)?)", _text(file))
    return found[1] if found else ""


def device_memory_bytes(command: Sequence[str] = NVIDIA_SMI) -> int | None:
    """Memory of the smallest GPU, by NVIDIA's own tool; None if there is none, or it does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_ANSWER, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    mebibytes = [int(line) for line in done.stdout.split() if line.isdigit()]
    return min(mebibytes) * 2**20 if mebibytes else None


def torch_facts(num_gpus: float | None) -> TorchFacts:
    """What torch computes with here, after a small matrix product on every device that it sees.

    Args:
        num_gpus: None: the GPUs are in use, and hidden from this process.
    """
    try:
        import torch

        from trainer.device_facts import device_name

        num_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = [torch.device("cuda", index) for index in range(num_cuda)] or [torch.device("cpu")]
        name = device_name(devices[0])
    except (ImportError, OSError, RuntimeError) as error:
        return TorchFacts(device="", num_cuda=0, error=first_line(error))
    shown = f"{num_cuda} × {name}" if num_cuda > 1 else name
    failures = {str(device): _failure(device) for device in devices}
    text = "; ".join(f"{device}: {failure}" for device, failure in failures.items() if failure)
    return TorchFacts(device=shown, num_cuda=None if num_gpus is None else num_cuda, error=text)


def _failure(device: object) -> str:
    """What goes wrong with a matrix product on a device; empty if nothing does."""
    import torch

    try:
        numbers = torch.arange(16, dtype=torch.float32).reshape(4, 4)
        here = numbers.to(device)  # type: ignore[call-overload]
        is_right = bool(((here @ here).cpu() == numbers @ numbers).all())
        return "" if is_right else "a matrix product is wrong"
    except RuntimeError as error:
        return first_line(error)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
