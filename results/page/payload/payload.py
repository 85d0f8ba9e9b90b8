"""All data of the page's script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from results.analysis.objectives import read_sweep
from results.page.frame import frame_of
from results.page.page_info import PageInfo
from results.page.payload.configs import configs_data, trials_data
from results.page.payload.curves import MAX_CURVES, curves_data
from results.page.payload.settings import settings_data
from results.page.payload.timeline import timeline_data
from results.page.states import STATES

MAX_BYTES = 3_500_000  # of the data: e-mail adds a third, and gateways refuse what is larger than 5 to 10 MB
_FEWER_CURVES = (MAX_CURVES, 100, 30, 0)


def payload(page: PageInfo) -> dict[str, Any]:
    """The data, with fewer curves where it would be too large; `left_out` says so in words."""
    found = _without_curves(page)
    room = MAX_BYTES - size_of(found)
    for most in _FEWER_CURVES:
        curves = curves_data(page, most) if most else None
        if curves is None or size_of(curves) <= room:
            break
    found["curves"] = curves
    if most < MAX_CURVES:
        drawn = f"At most {most} curves are" if most else "No curves are"
        found["left_out"] = f"{drawn} drawn, to keep this file small: all are in the tables."
    return found


def size_of(value: Any) -> int:
    """Bytes as JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def _without_curves(page: PageInfo) -> dict[str, Any]:
    sweeps = [read_sweep(path) for folder in page.folders if (path := folder / "sweep.yaml").is_file()]
    frame = frame_of(page)
    return {
        "name": page.name,
        "runs": list(page.run_names),
        "trials_folders": [str(Path(name) / "trials") for name in page.run_names],
        "metric": {"name": page.metric, "label": page.metric_label},
        "size": {
            "name": page.size,
            "label": page.size_label,
            "best": page.goals.objectives.get(page.size, "min"),
        },
        "frame": None if frame is None else frame.as_dict(),
        "states": [one._asdict() for one in STATES],
        "fronts": fronts(page),
        "configs": configs_data(page),
        "trials": trials_data(page),
        "settings": settings_data(page, sweeps),
        "timeline": timeline_data(page),
    }


def fronts(page: PageInfo) -> list[list[int]]:
    """Configs of each front from left to right; one for each set of configs that compare.

    Empty unless the front is of the two columns that are drawn, less of the metric being better.
    """
    if set(page.goals.objectives) != {page.metric, page.size} or page.goals.objectives[page.metric] != "min":
        return []
    found: dict[tuple[Any, ...], list[int]] = {}
    for index, group in enumerate(page.info.groups):
        if group.on_front and group.values.get(page.size) is not None:
            found.setdefault(group.scored_on, []).append(index)
    return [sorted(one, key=lambda index: (_size(page, index), index)) for one in found.values()]


def _size(page: PageInfo, index: int) -> float:
    value = page.info.groups[index].values[page.size]
    assert value is not None
    return value
