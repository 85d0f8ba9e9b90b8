"""The packages form a line with no way back, and the command line answers without loading what it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("orchestrator", "trainer", "search_spaces", "results")
FREE = ("trainer", "search_spaces", "results")

# Where each heavy library may be imported: at the top of a module, that is whenever the module is.
HOMES = {
    "torch": {
        "trainer/model.py",
        "trainer/linear.py",
        "trainer/frozen.py",
        "trainer/losses.py",
        "trainer/start.py",
        "trainer/networks.py",
        "trainer/optim.py",
        "trainer/device.py",
        "trainer/evaluate.py",
        "trainer/checkpoint.py",
        "trainer/loop.py",
        "trainer/run.py",
        "orchestrator/cli_trial.py",
    },
    "ray": {"orchestrator/driver.py", "orchestrator/preflight.py"},
    "sentencepiece": {"trainer/tokenizer.py", "trainer/byte_rule.py", "trainer/encode.py", "trainer/checked.py"},
    "matplotlib": {"results/plots.py", "results/figure.py", "results/place.py", "results/forest.py"},
    "moocore": {"results/pareto.py"},
}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of all modules that a tree imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def imported_at_load(path: Path) -> set[str]:
    """What importing the module imports, leaving out what only functions do."""
    tree = ast.parse(path.read_text())
    body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return imported(ast.Module(body=body, type_ignores=[]))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_import_in_one_direction_only(path: Path) -> None:
    """search_spaces, trainer and results import nothing of each other nor of orchestrator, even inside functions."""
    own = path.parent.name
    if own in FREE:
        assert not imported(ast.parse(path.read_text())) & set(PACKAGES) - {own}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_live_in_few_named_files(path: Path) -> None:
    """A module outside a library's home loads it inside functions or not at all."""
    name = str(path.relative_to(ROOT))
    strays = {library for library in imported_at_load(path) & HOMES.keys() if name not in HOMES[library]}
    assert not strays


def test_help_loads_nothing_heavy() -> None:
    """`frostline --help` loads neither torch, ray, pandas, pyarrow nor matplotlib."""
    code = (
        "import sys\nfrom orchestrator.cli import main\nsys.argv = ['frostline', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'ray', 'pandas', 'pyarrow', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_help_answers_within_half_a_second() -> None:
    """The best of five calls of `frostline --help` takes under 0.5 s of processor time, however busy the machine is."""
    best = min(_cpu_seconds([sys.executable, "-m", "orchestrator.cli", "--help"]) for _ in range(5))
    assert best < 0.5


def _cpu_seconds(command: list[str]) -> float:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
