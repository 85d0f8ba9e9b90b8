"""The data of the page's script: every value is that of the tables, rounded to what is drawn, in little room."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_builder import make_curve, make_trial, quickstart_trials, write_run

from results.page.page_info import PageInfo, read_page_info
from results.page.payload import payload as module
from results.page.payload.columns import codes16, rounded, sparse, words
from results.page.payload.curves import choose_curves, curves_data, evenly, thinned
from results.page.payload.payload import payload
from results.page.payload.settings import LISTS, MAX_AXES, log_keys
from results.page.payload.timeline import CHECK, RUNNING, lanes_of
from results.page.states import DOMINATED, FRONT, INFEASIBLE, STATES, STOPPED, WASTED
from results.tables.account import ATTEMPTS, NODES
from results.tables.columns import table_of
from results.tables.schema import TRIALS
from trainer.config.trial import TrialConfig

SWEEP = """
name: demo
constraints: [total_bytes <= 2_000_000]
space:
  optimizer: {learning_rate: {log_range: [1e-3, 1e-1]}}
cases: [{when: {recipe: x}, space: {optimizer.weight_decay: {log_range: [0.1, 0.2]}}}]
"""
STOP = {
    "stop_step": 20,
    "steps_planned": 300,
    "stop_predicted": 3.51234567,
    "stop_best_case": 3.4,
    "stop_audited": False,
}


def trials() -> list[dict[str, Any]]:
    """On the front, dominated, over the limit, stopped early, failed, on a suspect node."""
    rate = "cfg_optimizer_learning_rate"
    return [
        make_trial(layers=2, dim=64, seed=1, ce=3.5, **{rate: 0.001}),
        make_trial(layers=2, dim=64, seed=2, ce=3.6, **{rate: 0.001}),
        make_trial(layers=2, dim=64, seed=5, ce=3.9, **{rate: 0.02}),
        make_trial(layers=9, dim=192, seed=1, ce=3.0, **{rate: 0.001}),
        make_trial("selective", 2, 64, 1, None, status="stopped_early", artifact_bytes=None, **STOP),
        make_trial(layers=3, dim=64, seed=1, ce=None, status="failed", error="a\n  long\n story", artifact_bytes=None),
        make_trial(layers=4, dim=64, seed=1, ce=3.1, suspect="it is slow"),
    ]


@pytest.fixture
def page(tmp_path: Path) -> PageInfo:
    return page_of(tmp_path / "demo", trials(), sweep=SWEEP)


def page_of(
    folder: Path, rows: list[dict[str, Any]], curves: list[dict[str, Any]] | None = None, sweep: str = ""
) -> Any:
    write_run(folder, rows, curves, sweep)
    return read_page_info([folder])


def add_table(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    path = folder / "tables" / name / f"{name}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table_of(rows, {"attempts": ATTEMPTS, "nodes": NODES}[name]), path)


def test_configs_hold_what_the_front_has(page: PageInfo) -> None:
    """Configs with a score come first, best first; means and half widths are those of the groups."""
    configs = payload(page)["configs"]
    assert configs["y"] == [3.0, 3.55, 3.9, None, None, None]
    assert [STATES[one].name for one in configs["state"]] == [
        *("infeasible", "front", "dominated", "stopped", "wasted", "wasted")
    ]
    group = page.info.groups[1]
    assert configs["label"][1] == group.label and configs["x"][1] == group.artifact_bytes
    assert configs["half_width"] == {"1": pytest.approx(group.ce.half_width, rel=1e-2)}
    assert configs["seeds"] == [1, 2, 1, 0, 0, 0]


def test_trials_point_to_their_configs(page: PageInfo) -> None:
    """Each trial has its own state, its config, and why it has no score that counts."""
    found = payload(page)["trials"]
    assert found["state"] == (FRONT, FRONT, DOMINATED, INFEASIBLE, STOPPED, WASTED, WASTED)
    assert found["config"] == (1, 1, 2, 0, 3, 4, 5)
    texts = [None if code < 0 else found["error"]["words"][code] for code in found["error"]["codes"]]
    assert texts == [None, None, None, None, None, "a long story", "it is slow"]
    assert found["stop"] == {"4": [20, 300, 3.51235, 3.4, None, False]}
    assert found["usd"] is None and found["run"] is None


def test_settings_are_those_that_vary(page: PageInfo) -> None:
    """Values by size, an index for each config, -1 for none; logarithmic where the sweep file says so."""
    found = payload(page)["settings"]
    by_key = {one["key"]: one for one in found["varying"]}
    assert by_key["model.num_layers"]["values"] == (2, 3, 4, 9)
    assert by_key["optimizer.learning_rate"] | {"codes": None} == {
        "key": "optimizer.learning_rate",
        "number": True,
        "log": True,
        "codes": None,
        "values": (0.0003, 0.001, 0.02),
    }
    assert by_key["freeze.scheme"]["codes"] == (-1, -1, -1, 0, -1, -1)
    assert found["shared"]["model.vocab_size"] == 1024 and found["shared"]["model.num_kv_heads"] is None
    drawn = [found["varying"][index]["key"] for index in found["axes"]]
    assert drawn == ["recipe", "model.num_layers", "model.dim", "optimizer.learning_rate"]


def test_lists_are_those_of_the_trainer() -> None:
    """Settings whose column holds several values joined by commas, as the trainer's config has them."""
    found = [
        f"{section}.{name}"
        for section, field in TrialConfig.model_fields.items()
        for part in (field.annotation, *get_args(field.annotation))
        for name, inner in getattr(part, "model_fields", {}).items()
        if "tuple" in str(inner.annotation)
    ]
    assert sorted(found) == sorted(LISTS)


def test_at_most_ten_axes(tmp_path: Path) -> None:
    """Of fifteen settings that vary those are drawn in which configs differ most."""
    integers = [column.name for column in TRIALS if column.type == pa.int64() and column.name.startswith("cfg_")]
    names = [name for name in integers if name not in ("cfg_model_num_layers", "cfg_model_dim")][:15]
    rows = [
        make_trial(trial_id=f"t{i}", **{name: (i * (k + 3) // 2) % (k + 2) for k, name in enumerate(names)})
        for i in range(12)
    ]
    found = payload(page_of(tmp_path / "run", rows))["settings"]
    assert len(found["varying"]) == 15 and len(found["axes"]) == MAX_AXES and found["axes"] == sorted(found["axes"])


def test_ranges_of_a_sweep_file_are_read() -> None:
    """Nested or dotted, in `space` and in `cases`."""
    sweep = {
        "space": {"optimizer": {"learning_rate": {"log_range": [1, 2]}, "beta1": {"range": [0, 1]}}},
        "cases": [{"space": {"adapter.rank": {"log_range": [2, 64]}}}, "odd"],
    }
    assert log_keys([sweep, {}]) == {"optimizer.learning_rate", "adapter.rank"}


def test_files_that_exist_are_linked(tmp_path: Path) -> None:
    """A bit for each file of a trial's folder; the link is relative to the page, wherever that lies."""
    folder = write_run(tmp_path / "runs" / "demo", trials())
    name = trials()[0]["trial_id"]
    for file in ("config.yaml", "artifact.frost", "other.bin"):
        (folder / "trials" / name).mkdir(parents=True, exist_ok=True)
        (folder / "trials" / name / file).write_text("")
    files = payload(read_page_info([folder]))["trials"]["files"]
    assert files["roots"] == ["../trials"]
    assert [one for bit, one in enumerate(files["names"]) if files["have"]["0"] >> bit & 1] == [
        *("config.yaml", "artifact.frost")
    ]
    assert list(files["have"]) == ["0"]
    elsewhere = read_page_info([folder], tmp_path / "pages")
    assert payload(elsewhere)["trials"]["files"]["roots"] == ["../runs/demo/trials"]


def test_two_runs_keep_their_trials_apart(tmp_path: Path) -> None:
    """Equal trial ids of two runs have their own curves, files and run; their config is one."""
    rows = [make_trial(seed=1), make_trial(seed=2)]
    for name, points in (("a", 4), ("b", 9)):
        write_run(tmp_path / name, rows, [point for row in rows for point in make_curve(row, points)])
    found = payload(read_page_info([tmp_path / "a", tmp_path / "b"], tmp_path / "page"))
    assert found["trials"]["run"] == [0, 0, 1, 1] and found["trials"]["config"] == (0, 0, 0, 0)
    assert found["trials"]["files"]["roots"] == ["../a/trials", "../b/trials"]
    assert (found["curves"]["rows"], found["curves"]["lengths"]) == ([0, 1, 2, 3], [4, 4, 9, 9])


def decoded(text: str, low: float, high: float) -> np.ndarray:
    return low + np.frombuffer(base64.b64decode(text), "<u2").astype(float) / 65535 * (high - low)


def test_curves_come_back_from_their_codes(tmp_path: Path) -> None:
    """Steps and losses are within a 60,000th of the range of what was reported."""
    row = make_trial()
    points = make_curve(row, 20)
    found = curves_data(page_of(tmp_path / "run", [row], points))
    assert found is not None and found["metric"] == "val_ce" and found["lengths"] == [4]
    measured = [point for point in points if point["val_ce"] == point["val_ce"]]
    steps = decoded(found["steps"], 0, found["max_step"])
    values = decoded(found["values"], found["low"], found["high"])
    assert steps == pytest.approx([point["step"] for point in measured], abs=300 / 60_000)
    assert values == pytest.approx([point["val_ce"] for point in measured], abs=3 / 60_000)


def test_a_band_is_of_all_trials(tmp_path: Path) -> None:
    """At each step the deciles of all losses there, also of trials that are not drawn."""
    rows = [make_trial(seed=seed, ce=3 + seed / 100) for seed in range(1, 12)]
    curves = [{**point, "train_ce": float(row["seed"]), "val_ce": None} for row in rows for point in make_curve(row, 3)]
    found = curves_data(page_of(tmp_path / "run", rows, curves), most=5)
    assert found is not None and len(found["rows"]) == 5 and found["num_all"] == 11
    assert found["band"] == [[15, 2, 6, 10], [30, 2, 6, 10], [45, 2, 6, 10]]


def test_which_curves_are_drawn() -> None:
    """All on the front, some that were stopped, the rest from the best on; the same each time."""
    states = [FRONT, *[STOPPED] * 50, *[DOMINATED] * 100, WASTED]
    ce: list[float | None] = [3.0, *[None] * 50, *(3.1 + i / 100 for i in range(100)), None]
    chosen = choose_curves(states, ce, range(len(states)), 30)
    assert len(chosen) == 30 == len(set(chosen)) and 0 in chosen and 51 in chosen
    assert sum(states[row] == STOPPED for row in chosen) == 10
    assert choose_curves(states, ce, [2, 0], 30) == [0, 2]


def test_a_page_too_large_loses_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer curves until it fits, and the page says so; at last none."""
    rows = [make_trial(seed=seed) for seed in range(1, 120)]
    page = page_of(tmp_path / "run", rows, [point for row in rows for point in make_curve(row, 100)])
    whole = payload(page)
    assert "left_out" not in whole and len(whole["curves"]["rows"]) == 119
    without = module.size_of({**whole, "curves": None})
    monkeypatch.setattr(module, "MAX_BYTES", without + 5_000)
    less = payload(page)
    assert len(less["curves"]["rows"]) == 30 and "At most 30 curves" in less["left_out"]
    monkeypatch.setattr(module, "MAX_BYTES", 0)
    assert payload(page)["curves"] is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20))))
def test_no_two_of_a_lane_overlap(drawn: list[tuple[float, float]]) -> None:
    """Whatever the spans, a lane holds one at a time, and there are as many lanes as were ever needed at once."""
    spans = [(start, start + length) for start, length in drawn]
    lanes = lanes_of(spans)
    for i, (start, end) in enumerate(spans):
        for j, (other, until) in enumerate(spans[:i]):
            assert lanes[i] != lanes[j] or end <= other or until <= start
    at_once = [sum(a <= start < b for a, b in spans if b > a) for start, _ in spans]
    assert max(lanes, default=-1) + 1 <= max([*at_once, 1]) + sum(b == a for a, b in spans)


def test_a_timeline_of_attempts(tmp_path: Path) -> None:
    """Lanes by node, seconds after the first; what ended without a word is lost, what has no end still runs."""
    rows = [make_trial(seed=seed, ce=3.0 + seed / 10) for seed in (1, 2)]
    folder = write_run(tmp_path / "run", rows)
    day = "2026-01-02T03:04:"

    def attempt(trial: int, node: str, start: int, end: int | None, outcome: str | None) -> dict[str, Any]:
        finished = None if end is None else f"{day}{end:02}Z"
        name = rows[trial]["trial_id"]
        where = {"node": node, "host": f"host of {node}", "accelerator": "A40", "sweep": "demo"}
        return {
            **where,
            "trial_id": name,
            "started_at": f"{day}{start:02}Z",
            "finished_at": finished,
            "outcome": outcome,
        }

    held = [
        attempt(0, "n1", 0, 10, "lost"),
        attempt(1, "n1", 5, 30, "completed"),
        attempt(0, "n1", 12, 40, "completed"),
        attempt(0, "n0", 20, None, None),
        {**attempt(0, "n0", 0, 3, "completed"), "trial_id": "canary-1"},
    ]
    add_table(folder, "attempts", [{**one, "attempt": i} for i, one in enumerate(held)])
    node = {"sweep": "demo", "node": "n1", "host": "host of n1", "accelerator": "A40", "up_seconds": 100.0}
    add_table(folder, "nodes", [{**node, "joined_at": f"{day}00Z", "busy_seconds": 60.0, "idle_seconds": 40.0}])
    found = payload(read_page_info([folder]))["timeline"]
    assert [(one["host"], one["lane"], one["lanes"]) for one in found["nodes"]] == [
        *(("host of n0", 0, 1), ("host of n1", 1, 2))
    ]
    bars = found["bars"]
    assert (bars["lane"], bars["row"]) == ([0, 0, 1, 2, 1], [0, -1, 0, 1, 0])
    assert (bars["from"], bars["to"]) == ([20, 0, 0, 5, 12], [40, 3, 10, 30, 40])
    states = bars["state"]
    assert states[:3] + states[4:] == [RUNNING, CHECK, WASTED, FRONT] and states[3] in (FRONT, DOMINATED)
    assert bars["lost"] == [0, 0, 1, 0, 0] and found["seconds"] == 40
    assert found["nodes"][1]["idle_seconds"] == 40 and "idle_seconds" not in found["nodes"][0]


def test_an_old_run_has_no_timeline(page: PageInfo) -> None:
    """Without a table of attempts there is nothing to draw."""
    assert payload(page)["timeline"] is None


def test_fronts_are_of_what_is_drawn(tmp_path: Path) -> None:
    """From left to right, one for each data; none where the objectives are others."""
    rows = quickstart_trials()
    page = page_of(tmp_path / "a", rows)
    [front] = payload(page)["fronts"]
    sizes = [payload(page)["configs"]["x"][index] for index in front]
    assert sizes == sorted(sizes) and len(front) == len(page.info.front)
    other = page_of(
        tmp_path / "b", [*rows, *({**row, "data_sha256": "e" * 64, "trial_id": f"{row['trial_id']}e"} for row in rows)]
    )
    assert len(payload(other)["fronts"]) == 2
    sweep = "objectives: {ce: min, num_params: min, artifact_bytes: min}\n"
    assert payload(page_of(tmp_path / "c", rows, sweep=sweep))["fronts"] == []


def test_numbers_are_short() -> None:
    """Six digits, whole numbers without a point, nothing for what JSON has no word for."""
    assert [rounded(one) for one in (3.14159265, 16e6, float("nan"), float("inf"), None, -0.00012345678)] == [
        *(3.14159, 16_000_000, None, None, None, -0.000123457)
    ]
    assert words(["b", None, "a", "b"]) == {"words": ["b", "a"], "codes": [0, -1, 1, 0]}
    assert sparse([None, 0, None, "x"]) == {"1": 0, "3": "x"}
    assert list(decoded(codes16([0.0, 5.0, 10.0, 99.0], 0.0, 10.0), 0.0, 10.0)) == pytest.approx(
        [0, 5, 10, 10], abs=1e-3
    )


@given(st.integers(0, 500), st.integers(2, 50))
def test_samples_keep_the_ends(size: int, most: int) -> None:
    """The first and the last are among them, none twice, and never too many."""
    items = list(range(size))
    for found in (evenly(items, most), [] if size == 0 else list(thinned(0, size, most))):
        assert len(found) == len(set(found)) == min(size, most) if found else size == 0
        assert not items or (found[0], found[-1]) == (0, size - 1)


def test_the_same_tables_give_the_same_data(tmp_path: Path) -> None:
    """Also of a copy in another place."""
    texts = []
    for place in ("a", "b"):
        rows = quickstart_trials()
        page = page_of(tmp_path / place / "demo", rows, [point for row in rows for point in make_curve(row)], SWEEP)
        texts.append(json.dumps(payload(page), allow_nan=False))
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]


def test_a_seed_whose_loss_is_no_number_is_wasted(tmp_path: Path) -> None:
    """Its config keeps the place of the other seeds."""
    found = payload(page_of(tmp_path / "run", [make_trial(seed=1), make_trial(seed=2, ce=math.nan)]))
    assert found["trials"]["state"][1] == WASTED
