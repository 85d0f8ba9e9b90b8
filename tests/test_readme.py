"""The README is true: its map names every file, its links lead somewhere, its sweep loads, its commands exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.search import plan
from orchestrator.spec import load_sweep
from trainer.settings import render_markdown

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SWEEPS = sorted((ROOT / "search_spaces").rglob("*.yaml"))


def first_line(path: Path) -> str:
    if path.suffix == ".yaml":
        return path.read_text().splitlines()[0].lstrip("# ")
    return (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]


def test_the_map_names_every_file_with_its_own_first_line() -> None:
    """Each source file and sweep is in the README's table, told by its own docstring; nothing else is."""
    folders = ("search_spaces", "search_spaces/seed_paper", "trainer", "orchestrator", "results", "benchmarks")
    files = [p for name in folders for p in sorted((ROOT / name).rglob("*")) if p.suffix in (".py", ".yaml")]
    expected = {f"`{path.relative_to(ROOT)}`": first_line(path) for path in files}
    rows = re.findall(r"^\| (`[\w/.]+`) \| (.*) \|$", README[README.index("## Every file") :], flags=re.MULTILINE)
    assert dict(rows) == expected


def test_the_page_of_settings_is_up_to_date() -> None:
    """docs/SETTINGS.md is what the config tree says today."""
    assert (ROOT / "docs" / "SETTINGS.md").read_text() == render_markdown() + "\n"


def test_links_to_files_lead_somewhere() -> None:
    """Every relative link of the README names a file of the project."""
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_the_sweep_in_the_readme_is_one(tmp_path: Path) -> None:
    """The example loads without an error and plans what it seems to: 3 widths, 1 + 2 recipes, 3 seeds."""
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL) if "space:" in block)
    (tmp_path / "widths.yaml").write_text(text)
    assert len(plan(load_sweep(tmp_path / "widths.yaml"))) == 3 * 3 * 3


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_shipped_sweep_loads_and_plans(path: Path) -> None:
    """Each YAML in search_spaces is a valid sweep with at least one trial, and as many at each of its scales."""
    trials = plan(load_sweep(path))
    assert trials
    for scale in yaml.safe_load(path.read_text()).get("scales", {}):
        assert len(plan(load_sweep(path, scale))) == len(trials)
    assert yaml.safe_load(path.read_text())["name"] == path.stem


def test_every_command_of_the_readme_exists() -> None:
    """`frostline X` in the README is a command whose --help answers."""
    words = re.findall(r"^\$ frostline (data \w+|\w+)", README, flags=re.MULTILINE)
    assert len(set(words)) >= 6
    for word in sorted(set(words)):
        command = [sys.executable, "-m", "orchestrator.cli", *word.split(), "--help"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and "xample" in done.stdout, word
