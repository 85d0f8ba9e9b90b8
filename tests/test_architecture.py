"""The floors, the folders and the sizes of docs/ARCHITECTURE.md hold, and importing stays light."""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from architecture import PACKAGES, circles, function_lengths, graph, imports, modules

ROOT = Path(__file__).parents[1]
MODULES = modules(ROOT)

# An import goes down: what each package may import of the others. search_spaces sees of the trainer its config alone.
BELOW: dict[str, tuple[str, ...]] = {
    "orchestrator": ("orchestrator", "search_spaces", "trainer", "results"),
    "search_spaces": ("search_spaces", "trainer.config"),
    "trainer": ("trainer",),
    "results": ("results",),
}
MAX_MODULES_OF_A_FOLDER = 16
MAX_LINES_OF_A_MODULE = 350
MAX_LINES_OF_A_FUNCTION = 45
MAX_MEDIAN_LINES_OF_FUNCTIONS = 6

# Where each heavy library may be imported when a module is: a folder or a file.
HOMES = {
    "torch": (
        *("trainer.model", "trainer.training", "trainer.frozen.seeded_linear", "trainer.device", "trainer.scoring"),
        *("trainer.device_facts", "trainer.score_artifact", "trainer.attempt", "trainer.run"),
        *("orchestrator.single_trial",),
    ),
    "ray": ("orchestrator.ray_backend",),
    "sentencepiece": ("trainer.data", "trainer.corpus"),
    "matplotlib": ("results.plots",),
    "moocore": ("results.analysis.pareto",),
}
# In a folder that may import a library, the modules that the command line loads all the same.
LIGHT = ("orchestrator.ray_backend.environment",)


def is_within(name: str, folders: tuple[str, ...]) -> bool:
    return any(name == folder or name.startswith(f"{folder}.") for folder in folders)


def floor_violations(root: Path) -> list[str]:
    """Imports that go up or sideways between packages."""
    found = []
    for name, path in modules(root).items():
        package = name.partition(".")[0]
        own = {target for target in imports(path) if target.partition(".")[0] in PACKAGES}
        found += [f"{name} imports {target}" for target in sorted(own) if not is_within(target, BELOW[package])]
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages in a folder of their own, where a test may spoil them."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_imports_go_down_the_floors() -> None:
    """orchestrator above search_spaces above trainer.config; trainer and results know nothing of each other."""
    assert floor_violations(ROOT) == []


@pytest.mark.parametrize(
    ("place", "line", "expected"),
    [
        ("trainer/model/gpt.py", "import results", "trainer.model.gpt imports results"),
        ("results/plots/style.py", "from trainer.files import replacing", "results.plots.style imports trainer.files"),
        ("trainer/data/shards.py", "def f():\n    import orchestrator", "trainer.data.shards imports orchestrator"),
        ("search_spaces/spec/load.py", "from trainer.run import run", "search_spaces.spec.load imports trainer.run"),
    ],
)
def test_an_import_that_goes_up_is_found(copy: Path, place: str, line: str, expected: str) -> None:
    """The test of the floors fails when it should: deep in a folder, inside a function, sideways."""
    (copy / place).write_text((copy / place).read_text() + f"\n{line}\n")
    assert [one for one in floor_violations(copy) if one.startswith(expected)]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even inside functions."""
    assert circles(graph(MODULES)) == []


def test_a_circle_is_found(copy: Path) -> None:
    """The test of circles fails when it should."""
    path = copy / "trainer" / "recipes" / "weight_shapes.py"
    path.write_text(path.read_text() + "\ndef f():\n    from trainer.config.trial import TrialConfig\n")
    [circle] = circles(graph(modules(copy)))
    assert {"trainer.recipes.weight_shapes", "trainer.config.trial"} <= set(circle)


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_live_in_few_named_places(name: str) -> None:
    """A module outside a library's home imports it inside functions or not at all."""
    loaded = {target.partition(".")[0] for target in imports(MODULES[name], at_load=True)}
    strays = [lib for lib in sorted(loaded & HOMES.keys()) if name in LIGHT or not is_within(name, HOMES[lib])]
    assert not strays


def test_folders_and_files_stay_small() -> None:
    """At most 16 modules a folder, 350 lines a module, 45 lines a function, and most functions far below that."""
    folders = {path.parent for path in MODULES.values()}
    assert max(len(list(folder.glob("*.py"))) for folder in folders) <= MAX_MODULES_OF_A_FOLDER
    long = [name for name, path in MODULES.items() if len(path.read_text().splitlines()) > MAX_LINES_OF_A_MODULE]
    assert not long
    lengths = {
        f"{name}.{function}": n for name, path in MODULES.items() for function, n in function_lengths(path).items()
    }
    assert not {name: n for name, n in lengths.items() if n > MAX_LINES_OF_A_FUNCTION}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_LINES_OF_FUNCTIONS


def test_every_package_is_typed() -> None:
    """Type checkers of users see the annotations (PEP 561)."""
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


def test_help_loads_nothing_heavy() -> None:
    """`frostline --help` loads neither torch, ray, pandas, pyarrow nor matplotlib."""
    code = (
        "import sys\nfrom orchestrator.cli.main import main\nsys.argv = ['frostline', '--help']\n"
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
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
