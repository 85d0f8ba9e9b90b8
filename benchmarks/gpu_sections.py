"""The sections of `gpu_check.py`. Each answers what it found as plain values, and `ok`: whether its claim holds."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[1]
Findings = dict[str, Any]

# What `frostline eval` does, for many files in one process that has trained nothing.
SCORE = """
import json, sys, torch
from pathlib import Path
from trainer.data.dataset import open_dataset
from trainer.score_artifact import reload_and_score
device, data_root, *paths = sys.argv[1:]
torch.set_num_threads(1)
dataset = open_dataset("stdlib", Path(data_root))
print(json.dumps([reload_and_score(Path(p), dataset=dataset, device=torch.device(device)).score.ce for p in paths]))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and on what a section runs; `tiny` shapes are for tests of the script itself."""

    folder: Path
    device: str
    tiny: bool

    @property
    def data_root(self) -> Path:
        return self.folder / "data"


def environment(setting: Setting) -> Findings:
    """The device is there, and torch sees it."""
    found: Findings = {"torch": torch.__version__, "python": platform.python_version(), "host": platform.node()}
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        found["nvidia_smi"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    if torch.cuda.is_available():
        found |= {
            "card": torch.cuda.get_device_name(),
            "cuda": torch.version.cuda,
            "bf16": torch.cuda.is_bf16_supported(),
        }
    return {"ok": setting.device == "cpu" or torch.cuda.is_available(), **found}


def tests(setting: Setting) -> Findings:
    """The tests that are marked gpu pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    print(done.stdout[-4000:], done.stderr[-2000:])
    counts = re.findall(r"(\d+) (passed|failed|skipped|errors?)", done.stdout.strip().splitlines()[-1])
    found: Findings = {word: int(number) for number, word in counts}
    return {"ok": done.returncode == 0 and (setting.device == "cpu" or not found.get("skipped")), **found}


def recipes(setting: Setting) -> Findings:
    """Every recipe ends in an artifact whose score a fresh process gives again, on this device and on the CPU."""
    run = _run_sweep(setting, ROOT / "search_spaces" / "all_recipes.yaml", "recipes")
    table = _table(run)
    artifacts = [str(run / "trials" / name / "artifact.frost") for name in table["trial_id"]]
    again, on_cpu = _scores(setting, setting.device, artifacts), _scores(setting, "cpu", artifacts)
    rows = [
        {"recipe": recipe, "ce": ce, "again": one - ce, "on the CPU": other - ce}
        for recipe, ce, one, other in zip(table["recipe"], table["ce"], again, on_cpu, strict=True)
    ]
    same = all(row["again"] == 0 for row in rows) and all(abs(row["on the CPU"]) < 1e-2 for row in rows)
    return {"ok": same and len(rows) == 9, "differences from the row's ce, in nats": rows}


def frozen_maps(setting: Setting) -> Findings:
    """Frozen random maps on the device hold the bytes that the CPU makes."""
    from trainer.model.initialization import build_networks

    config = _config(setting, recipe="selective")
    ours, theirs = ({n: b.clone() for n, b in build_networks(config)["model"].named_buffers()} for _ in range(2))
    moved = build_networks(config)["model"].to(setting.device)
    on_device = {name: buffer.cpu() for name, buffer in moved.named_buffers()}
    same = sum(torch.equal(ours[name], on_device[name]) and torch.equal(ours[name], theirs[name]) for name in ours)
    return {"ok": same == len(ours) > 0, "maps": len(ours), "equal": same}


def throughput(setting: Setting) -> Findings:
    """Tokens per second, compile seconds and peak memory, learned and with gate and up frozen, beside a Llama."""
    shapes = [(1, 32, 2)] if setting.tiny else [(6, 192, 6), (12, 384, 6), (9, 512, 8)]
    rows = []
    for layers, dim, heads in shapes:
        kinds = ["baseline", "selective"] + (["llama"] if importlib.util.find_spec("transformers") else [])
        for kind in kinds:
            rows.append({"shape": f"{layers}L {dim}d", "what": kind, **_speed(setting, kind, layers, dim, heads)})
            print(rows[-1], flush=True)
    return {"ok": all(row["tokens/s"] > 0 for row in rows), "compiled, bf16 on a card": rows}


def out_of_memory(setting: Setting) -> Findings:
    """A trial that needs more memory than there is ends as a row, out_of_memory, and the process goes on."""
    from trainer.run import run
    from trainer.workspace import Workspace

    if setting.device == "cpu":
        import resource

        # what torch and its threads hold already counts: this leaves a few hundred MB
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + (400 << 20), resource.RLIM_INFINITY))
    train = {"steps": 2, "batch_sequences": 4096, "sequence_tokens": 512 if setting.device == "cpu" else 4096}
    config = _config(setting, train=train)
    folder = _fresh(setting.folder / "out_of_memory")
    result = run(config, Workspace(folder=folder, data_root=_data(setting), has_gpu=setting.device == "cuda"))
    small = torch.ones(8, device=setting.device).sum().item()
    return {"ok": result.status == "out_of_memory" and small == 8, "status": result.status, "error": result.error}


def half_cards(setting: Setting) -> Findings:
    """Two trials share one card, half each, at the same time."""
    path = setting.folder / "half_cards.yaml"
    resources = {"cpus": 1, "gpus": 0.5} if setting.device == "cuda" else {"cpus": 1}
    config = _config(setting, train={"steps": 200 if setting.tiny else 2_000}).model_dump(
        mode="json", exclude_unset=True
    )
    path.write_text(json.dumps({"name": "half_cards", "seeds": 2, "resources": resources, "base": config}))
    table = _table(_run_sweep(setting, path, "half_cards"))
    overlap = (table["finished_at"].min() - table["started_at"].max()).total_seconds()
    hosts = sorted(set(table["device_name"]))
    return {"ok": len(table) == 2 and overlap > 0, "seconds at once": overlap, "device": ", ".join(hosts)}


def determinism(setting: Setting) -> Findings:
    """The same trial twice gives the same bits."""
    from trainer.run import run
    from trainer.workspace import Workspace

    config, results = _config(setting), []
    for name in ("one", "two"):
        folder = _fresh(setting.folder / f"determinism_{name}")
        results.append(
            run(config, Workspace(folder=folder, data_root=_data(setting), has_gpu=setting.device == "cuda"))
        )
    one, two = results
    same = one.artifact_sha256 == two.artifact_sha256
    difference = None if one.ce is None or two.ce is None else two.ce - one.ce
    return {"ok": same, "same artifact": same, "difference of ce": difference, "compiled": one.compiled}


SECTIONS: dict[str, Callable[[Setting], Findings]] = {
    f.__name__: f
    for f in (environment, frozen_maps, determinism, out_of_memory, recipes, half_cards, throughput, tests)
}


def _config(setting: Setting, *, recipe: str = "baseline", train: dict[str, Any] | None = None) -> Any:
    from trainer.config.trial import TrialConfig

    shape = (1, 32, 2) if setting.tiny else (6, 192, 6)
    model = dict(zip(("num_layers", "dim", "num_heads"), shape, strict=True))
    steps = {"steps": 20 if setting.tiny else 200, "sequence_tokens": 64 if setting.tiny else 256, "batch_sequences": 8}
    precision = {"precision": "bf16" if setting.device == "cuda" else "fp32"}
    values = {"recipe": recipe, "data": "stdlib", "device": setting.device, "num_threads": 1, "model": model}
    return TrialConfig.model_validate(
        {**values, "train": {**steps, **precision, **(train or {})}, "eval": {"tokens": 8192}}
    )


def _speed(setting: Setting, kind: str, layers: int, dim: int, heads: int) -> Findings:
    """Of one shape: compile seconds, tokens/s over steps of at least two seconds, peak memory."""
    from throughput import frostline_step, llama_step, random_tokens, seconds_of

    from trainer.config.trial import TrialConfig
    from trainer.device import prepare_device
    from trainer.device_facts import peak_memory_bytes, reset_peak_memory

    recipe = "selective" if kind == "selective" else "baseline"
    train = (
        {"sequence_tokens": 64, "batch_sequences": 4}
        if setting.tiny
        else {"sequence_tokens": 512, "batch_sequences": 64}
    )
    precision = "bf16" if setting.device == "cuda" else "fp32"
    model = {"num_layers": layers, "dim": dim, "num_heads": heads}
    config = TrialConfig.model_validate({"recipe": recipe, "model": model, "train": {**train, "precision": precision}})
    device = torch.device(setting.device)
    torch.compiler.reset()
    prepare_device(device, config)
    reset_peak_memory(device)
    tokens = random_tokens(config, device)
    before = time.perf_counter()
    step = llama_step(config, device) if kind == "llama" else frostline_step(config, device)
    seconds_of(step, tokens, 1)
    compile_seconds = time.perf_counter() - before
    one = seconds_of(step, tokens, 3) / 3
    num_steps = max(3, int((0.5 if setting.tiny else 2.0) / one))
    seconds = seconds_of(step, tokens, num_steps)
    tokens_per_s = num_steps * config.train.batch_tokens / seconds
    peak = peak_memory_bytes(device)
    return {"tokens/s": tokens_per_s, "compile s": compile_seconds, "peak MB": None if peak is None else peak / 1e6}


def _data(setting: Setting) -> Path:
    """The built-in text, prepared once."""
    if not (setting.data_root / "datasets" / "stdlib").exists():
        _cli("data", "prepare", "stdlib", "--vocab", "1024", "--data-root", str(setting.data_root))
    return setting.data_root


def _run_sweep(setting: Setting, spec: Path, name: str) -> Path:
    run = _fresh(setting.folder / name)
    _cli("run", str(spec), "--out", str(run), "--data-root", str(_data(setting)))
    return run


def _table(run: Path) -> Any:
    import pandas as pd

    return pd.read_parquet(run / "tables" / "trials")


def _scores(setting: Setting, device: str, artifacts: list[str]) -> list[float]:
    command = [sys.executable, "-c", SCORE, device, str(setting.data_root), *artifacts]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    scores: list[float] = json.loads(done.stdout)
    return scores


def _cli(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *arguments], capture_output=True, text=True, check=False
    )
    print(done.stdout, done.stderr, sep="\n")
    if done.returncode:
        raise SystemExit(f"frostline {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
