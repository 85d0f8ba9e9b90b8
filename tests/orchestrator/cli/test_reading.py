"""`frostline ls` and `frostline importance`: their tables, JSON, messages and exit codes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from trial_builder import make_trial, write_fragment, write_run
from typer.testing import CliRunner

from orchestrator.cli.main import app
from results.tables.listing import listing
from results.tables.load import load_columns

COLUMNS = "trial_id,ce,model.dim"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Six trials of two widths; one diverged, one has NaN."""
    rows = [make_trial(dim=dim, seed=seed, ce=3 - dim / 100 + seed / 10) for dim in (64, 96) for seed in (1, 2)]
    rows.append(make_trial(dim=64, seed=3, ce=None, status="diverged", error="loss is\nnan"))
    rows.append(make_trial(dim=96, seed=3, ce=math.nan, usd=1.5))
    return write_run(tmp_path / "night", rows)


def test_ls_shows_what_varies_sorted_with_missing_values_last(run: Path) -> None:
    """Status, the settings that vary by their keys, and results; nulls and NaN after all numbers, in both orders."""
    lines = invoke("ls", run, "--sort", "ce").stdout.splitlines()
    assert lines[0].split() == ["trial_id", "status", "model.dim", "ce", "total_bytes", "tokens_per_s", "usd"]
    in_order = ["96-s1", "96-s2", "64-s1", "64-s2"]
    assert [line.split()[0] for line in lines[1:5]] == [f"baseline-6-{name}" for name in in_order]
    assert {line.split()[3] for line in lines[5:7]} == {"-"} and lines[7] == "6 of 6 trials that match, of 6"
    down = invoke("ls", run, "--sort", "-ce", "--columns", COLUMNS).stdout.splitlines()
    assert [line.split()[1] for line in down[1:]][:6] == ["2.5600", "2.4600", "2.2400", "2.1400", "-", "-"]


def test_ls_filters_limits_and_prints_json(run: Path) -> None:
    """--where by key or column, --limit counts, --json is one array with columns of the table; NaN is null."""
    result = invoke(
        "ls", run, "--where", "model.dim == 96", "--sort", "seed", "--columns", COLUMNS, "--json", "--limit", 3
    )
    assert json.loads(result.stdout) == [
        {"trial_id": f"baseline-6-96-s{seed}", "ce": None if ce is None else pytest.approx(ce), "cfg_model_dim": 96}
        for seed, ce in ((1, 2.14), (2, 2.24), (3, None))
    ]
    lines = invoke("ls", run, "--where", "status == completed", "--limit", 2).stdout.splitlines()
    assert len(lines) == 4 and lines[-1] == "2 of 5 trials that match, of 6; --all lists them, --limit more of them"
    assert len(invoke("ls", run, "--all").stdout.splitlines()) == 8
    assert invoke("ls", run, "--where", "ce < 0", "--json").stdout == "[]\n"


def test_ls_prints_infinity_as_null(tmp_path: Path) -> None:
    """JSON has no infinity: a loss that overflowed is null, as NaN is."""
    write_run(tmp_path, [make_trial(seed=seed, ce=ce) for seed, ce in ((1, math.inf), (2, -math.inf), (3, 2.5))])
    result = invoke("ls", tmp_path, "--columns", "seed,ce", "--sort", "seed", "--json")
    assert [row["ce"] for row in json.loads(result.stdout)] == [None, None, 2.5]


def test_ls_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    """Unknown columns in any option, a bad condition and a missing folder: exit code 2 and one line."""
    for arguments, words in (
        (("--columns", "trial_id,mdoel.dim"), "did you mean model.dim?"),
        (("--sort", "-cee"), "cee is no column of the table of trials; did you mean ce?"),
        (("--where", "cee < 3"), "did you mean ce?"),
        (("--where", "ce <"), "is no condition"),
    ):
        result = invoke("ls", run, *arguments)
        assert result.exit_code == 2 and words in result.stderr and result.stderr.count("\n") == 1
    assert "does not exist" in invoke("ls", tmp_path / "none").stderr


def test_a_trial_that_two_files_hold_is_judged_by_its_last_row(run: Path) -> None:
    """A condition that the older row keeps and the newer one does not keeps nothing."""
    write_fragment(run, [make_trial(dim=64, seed=1, ce=9.0)], number=99)
    assert listing(run, where="seed == 1 and model.dim == 64 and ce < 9").rows == []
    assert listing(run).num_trials == 6


def test_several_runs_are_told_apart(run: Path, tmp_path: Path) -> None:
    """With two sweeps their name is a column."""
    write_run(tmp_path / "other", [make_trial(sweep="other")])
    assert listing([run, tmp_path / "other"]).columns[0] == "sweep"


def test_only_the_needed_columns_are_read(run: Path) -> None:
    """Of a file with two hundred columns those that are asked for, after the two that name a trial."""
    assert load_columns(run, ["ce"]).column_names == ["sweep", "trial_id", "ce"]


def test_importance_as_text_and_json(tmp_path: Path) -> None:
    """A table for each target with notes below; JSON with the same rows; too few configs are one sentence."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for index in range(60):
        rate, dim = float(10 ** rng.uniform(-3, -1)), int(rng.choice([64, 96, 128]))
        ce = 5 - 0.1 * math.log(dim) + 0.2 * (math.log10(rate) + 2) ** 2
        name = {"config_id": f"c{index}", "trial_id": f"c{index}"}
        rows.append(make_trial(dim=dim, ce=ce, cfg_optimizer_learning_rate=rate, **name))
    run = write_run(tmp_path / "night", rows)
    lines = invoke("importance", run).stdout.splitlines()
    assert lines[0].startswith("ce at equal bytes (nats: ") and lines[2].split()[0] == "optimizer.learning_rate"
    assert any(line.startswith("reaching the front (share of ") for line in lines)
    found = json.loads(invoke("importance", run, "--json").stdout)
    assert found[0]["setting"] == "optimizer.learning_rate" and found[0]["low"] > 0 and found[0]["num_configs"] == 60
    few = invoke("importance", write_run(tmp_path / "few", rows[:5])).stdout
    assert "  5 configs are too few: below 30, effects are hardly ever told from chance." in few
