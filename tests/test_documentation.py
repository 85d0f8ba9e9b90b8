"""The pages are true: links lead somewhere, generated pages are up to date, examples load, commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli.main import app
from orchestrator.search.planner import plan
from search_spaces.spec.load import load_sweep
from trainer.settings_page import render_markdown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "results" / "SCHEMA.md"])
SWEEPS = sorted((ROOT / "search_spaces").rglob("*.yaml"))
MAX_LINES_OF_README = 200


def test_the_page_of_settings_is_up_to_date() -> None:
    """docs/settings.md is what the config tree says today."""
    assert (ROOT / "docs" / "settings.md").read_text() == render_markdown() + "\n"


def test_the_list_of_files_is_up_to_date() -> None:
    """docs/ARCHITECTURE.md names every file with its own first line; a file without one cannot be listed."""
    code = "import build_file_list as page; assert page.render() == page.PAGE.read_text(), 'run: make docs'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs", check=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file of the project."""
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in link]
    assert all((page.parent / link).exists() for link in links)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_text_exist(page: Path) -> None:
    """A file of the project that a page names in backticks is there, but for history and what runs make."""
    if page.name == "CHANGELOG.md":
        return
    folders = "orchestrator|search_spaces|trainer|results|tests|docs|benchmarks"
    named = re.findall(rf"`((?:{folders})/[\w/.]+?\.(?:py|md|yaml))`", page.read_text())
    assert all((ROOT / name).exists() for name in named)


def test_the_readme_is_a_front_page() -> None:
    """Under 200 lines, with a picture of a real run."""
    assert len(README.splitlines()) < MAX_LINES_OF_README and re.search(r"!\[[^]]+\]\(docs/\w+\.png\)", README)


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


def test_every_command_that_a_page_names_exists() -> None:
    """`frostline X` in a page is a command whose --help answers with an example; the README names every command."""
    text = "\n".join(page.read_text() for page in PAGES)
    words = set(re.findall(r"^\$ frostline (data \w+|\w[\w-]*)", text, flags=re.MULTILINE))
    words |= {word for word in re.findall(r"`frostline (\w[\w-]*)", text) if word != "data"}
    assert len(words) >= 10
    for word in sorted(words):
        done = CliRunner().invoke(app, [*word.split(), "--help"])
        assert done.exit_code == 0 and "xample" in done.output, word
    table = README[README.index("## Commands") :]
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert all(f"`frostline {name}" in table for name in {*commands, "data"})
