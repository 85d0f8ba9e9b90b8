"""What a report says of an adaptive search: one hypervolume, or one for each accelerator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trial_builder import make_tables, make_trial

from results.analysis.pareto_info import pareto_info
from results.analysis.search_history import FILE_NAME, read_search_history
from results.report.search_section import search_section


def history_lines(folder: Path, objectives: dict[str, Any]) -> str:
    """Three configs, of which one ran on both kinds."""
    trials = [
        make_trial(layers=2, ce=4.0, accelerator="A40", trial_id="a"),
        make_trial(layers=4, ce=3.0, accelerator="H100", trial_id="b"),
        make_trial(layers=6, ce=2.0, accelerator="A40", trial_id="c1"),
        make_trial(layers=6, ce=2.0, accelerator="H100", trial_id="c2", seed=2),
    ]
    lines: list[dict[str, Any]] = [{"learned": []}]
    for number, ids in enumerate([["a"], ["b"], ["c1", "c2"]]):
        arm = {"trial_ids": ids, "predicted": None}
        lines.append({"number": number, "method": "tpe", "arms": [arm], "rejected": [], "num_duplicates": 0})
    (folder / FILE_NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    history = read_search_history(folder, trials)
    assert history is not None
    return "\n".join(search_section(pareto_info(make_tables(trials), objectives), history))


def test_one_hypervolume_of_losses_and_bytes(tmp_path: Path) -> None:
    """Neither depends on the device, so all configs count together."""
    text = history_lines(tmp_path, {"ce": "min", "artifact_bytes": "min"})
    assert text.count("hypervolume") == 1 and "The hypervolume is " in text


def test_a_hypervolume_for_each_accelerator(tmp_path: Path) -> None:
    """With an objective that depends on the device, up to the same worst point."""
    text = history_lines(tmp_path, {"ce": "min", "tokens_per_s": "max"})
    assert text.count("The hypervolume on A40 is ") == text.count("The hypervolume on H100 is ") == 1
    assert text.count("ce 4.0000") == 2
