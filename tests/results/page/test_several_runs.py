"""Several runs on one page: trials of one name stay apart, and commands and scores are those of their own run."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from page_runs import SWEEP, page_info
from trial_builder import make_trial, write_run

from results.page.html import Section
from results.page.payload.payload import payload
from results.report.conclusions import conclusions

OTHER = "e" * 64
SPEED = "name: demo\nobjectives: {ce: min, tokens_per_s: max}\n"


def two_recipes(**changes: Any) -> list[dict[str, Any]]:
    """A config and its control, with the ids that any run of the same sweep gives them."""
    return [make_trial(recipe, ce=3.0 + 0.1 * i, **changes) for i, recipe in enumerate(("selective", "baseline"))]


def lines_of(section: Section | None) -> str:
    """Without tags, as a reader sees it."""
    assert section is not None
    return html.unescape(re.sub("<[^>]+>", " ", section.html))


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
