"""The wheel holds all that the checkout does, and works far from it."""

from __future__ import annotations

import re
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from architecture import PACKAGES

ROOT = Path(__file__).parents[1]
SHIPPED = (".py", ".yaml", ".md", ".json", ".css", ".js")


def sources() -> list[Path]:
    """Every file of the packages that users need, by its path in the checkout."""
    files = [path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*")]
    return [path for path in files if path.suffix in SHIPPED or path.name == "py.typed"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in [*sources(), Path("pyproject.toml"), Path("README.md"), Path("LICENSE")]:
        (folder / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / "source" / path)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "./source"]
    subprocess.run(command, cwd=folder, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel and, from this environment, its dependencies; the checkout is not on its path."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    # a line of a .pth file adds a folder, without the .pth files in it: an editable install there stays out
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


@pytest.mark.slow
def test_the_wheel_holds_every_file(wheel: Path) -> None:
    """Modules, sweep files, the page of columns, published figures and type markers: nothing is left out, or added."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {path.as_posix() for path in sources()}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_runs_the_quickstart_far_from_the_checkout(python: Path, data_root: Path, tmp_path: Path) -> None:
    """The shipped sweep, with fewer steps and on a smaller dataset, ends in tables, a front and a report."""
    where = subprocess.run(
        [str(python), "-c", "import search_spaces; print(search_spaces.__path__[0])"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    shipped = Path(where.stdout.strip())
    assert python.parents[1] in shipped.parents
    text = (shipped / "quickstart.yaml").read_text()
    changes = {r"data: stdlib": "data: tiny", r"\bsteps: \d+": "steps: 8", r"vocab_size: \d+": "vocab_size: 512"}
    for pattern, new in changes.items():
        text, count = re.subn(rf"(?<!_){pattern}", new, text)
        assert count == 1, pattern
    (tmp_path / "quickstart.yaml").write_text(text)
    for command in (
        ["run", "quickstart.yaml", "--data-root", str(data_root)],
        ["pareto", "runs/quickstart"],
        ["report", "runs/quickstart"],
    ):
        subprocess.run([str(python.with_name("frostline")), *command], cwd=tmp_path, check=True)
    trials = pd.read_parquet(tmp_path / "runs" / "quickstart" / "tables" / "trials")
    assert len(trials) > 1 and set(trials.status) == {"completed"}
    assert (tmp_path / "runs" / "quickstart" / "report" / "report.md").exists()
