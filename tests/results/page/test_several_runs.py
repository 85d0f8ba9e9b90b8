"""Several runs on one page: trials of one name stay apart, and commands and scores are those of their own run."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path
from typing import Any

from page_runs import SWEEP, page_info
from trial_builder import make_trial, write_run

from results.page.build import render_page
from results.page.html import Section
from results.page.page_info import RunState
from results.page.payload.payload import payload
from results.page.sections import reproduce, runs
from results.report.conclusions import conclusions

OTHER = "e" * 64
WIDE = "name: demo\nconstraints: [total_bytes <= 16_000_000]\n"
SPEED = "name: demo\nobjectives: {ce: min, tokens_per_s: max}\n"


def two_recipes(**changes: Any) -> list[dict[str, Any]]:
    """A config and its control, with the ids that any run of the same sweep gives them."""
    return [make_trial(recipe, ce=3.0 + 0.1 * i, **changes) for i, recipe in enumerate(("selective", "baseline"))]


def commands_of(section: Section | None, name: str) -> list[str]:
    """What follows `frostline NAME` in each command of a section."""
    assert section is not None
    return re.findall(f"frostline {name} (.*)", html.unescape(section.html).replace("</code>", "\n"))


def test_trials_of_one_name_on_other_data_stay_apart(tmp_path: Path) -> None:
    """A sweep again on other data of the same name: each trial in the config of its own data, against its control."""
    first = write_run(tmp_path / "a", two_recipes(), sweep=SWEEP)
    later = [*two_recipes(data_sha256=OTHER), make_trial("selective", seed=2, ce=None, status="failed")]
    later[-1]["data_sha256"] = OTHER
    page = page_info(first, write_run(tmp_path / "b", later, sweep=SWEEP))
    data = [one.group.data_sha256 if one.group else None for one in page.configs.all]
    assert [data[config] for config in page.configs.of_row] == [row["data_sha256"] for row in page.rows]
    controls = payload(page)["configs"]["control"]
    assert len(controls) == 2 and all(data[int(one)] == data[control] for one, control in controls.items())


def test_trials_of_one_name_on_other_devices_stay_apart(tmp_path: Path) -> None:
    """With a speed as an objective each accelerator has its own configs and controls."""
    folders = [write_run(tmp_path / kind, two_recipes(accelerator=kind), sweep=SPEED) for kind in ("H100", "A40")]
    page = page_info(*folders)
    kinds = [one.group.kind if one.group else None for one in page.configs.all]
    assert [kinds[config] for config in page.configs.of_row] == [row["accelerator"] for row in page.rows]
    controls = payload(page)["configs"]["control"]
    assert len(controls) == 2 and all(kinds[int(one)] == kinds[control] for one, control in controls.items())
    for kind in ("H100", "A40"):
        [line] = [line for line in conclusions(page.info) if line.strip().startswith(f"selective 6L192d {kind}:")]
        assert f"against baseline 6L192d {kind}" in line


def test_commands_are_of_their_own_run(tmp_path: Path) -> None:
    """Each run replays a trial of its own; the command of the page, also on top, names all runs."""
    folders = [write_run(tmp_path / name, two_recipes(seed=i), sweep=WIDE) for i, name in enumerate("ab")]
    worse = make_trial("baseline", 9, 256, ce=4.0)
    state = RunState(state="stopped", num_done=2, num_all=3, num_running=0, updated_at="2026-01-02T03:04:05+00:00")
    page = page_info(*folders, write_run(tmp_path / "c", [worse], sweep=WIDE), states=[state, state, state])
    found = reproduce.section(page)
    assert commands_of(found, "replay") == ["runs/a selective-6-192-s0", "runs/b selective-6-192-s1"]
    assert commands_of(found, "report") == ["runs/a runs/b runs/c"]
    head = render_page(page).partition("<main>")[0]
    assert head.count("<code>frostline report runs/a runs/b runs/c</code>") == 3 and "runs/b: The sweep was st" in head


def test_the_best_score_is_of_the_common_text(tmp_path: Path) -> None:
    """Where runs compare on one text, a better score on another does not stand beside them."""
    both = [make_trial(ce=2.86), make_trial(layers=2, ce=1.0, data_sha256=OTHER)]
    page = page_info(
        write_run(tmp_path / "a", both, sweep=WIDE), write_run(tmp_path / "b", [make_trial(ce=2.9)], sweep=WIDE)
    )
    found = runs.section(page)
    assert found is not None and "2.8600" in found.html and "2.9000" in found.html and "1.0000" not in found.html


def test_links_are_encoded(tmp_path: Path) -> None:
    """Names of folders that an address would read otherwise lead to the files all the same."""
    folder = write_run(tmp_path / "runs" / "50% #1?", two_recipes(), sweep=WIDE)
    page = page_info(folder, write_run(tmp_path / "runs" / "b", two_recipes(seed=2), sweep=WIDE))
    page = dataclasses.replace(page, page_folder=tmp_path / "page")
    assert payload(page)["trials"]["files"]["roots"][0] == "../runs/50%25%20%231%3F/trials"
    found = reproduce.section(page)
    assert found is not None and 'href="../runs/50%25%20%231%3F/sweep.yaml"' in found.html
