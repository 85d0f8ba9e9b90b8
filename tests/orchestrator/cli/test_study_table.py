"""`frostline table` on a run folder: its layout, its JSON, its messages."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from orchestrator.cli import study_table
from results.tables import schema


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    study_table.register(app)
    return app


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of section 7 at a quarter of its width: a learned model and the ensemble, two seeds each."""
    rows = [
        {
            "sweep": "section7_cpu",
            "trial_id": f"{recipe}-{seed}",
            "config_id": recipe,
            "seed": seed,
            "recipe": recipe,
            "data": "gutenberg",
            "data_sha256": "d" * 64,
            "status": "completed",
            "ce": ce + seed / 100,
            "artifact_bytes": size,
            "accelerator": "CPU",
            "cfg_train_steps": 600,
            "cfg_model_num_layers": 6,
            "cfg_model_dim": 48,
            "cfg_model_dropout": 0.0,
            "cfg_model_linear_std": 0.02,
            "num_params": 100,
            "num_params_seeded": seeded,
            "num_params_stored_frozen": 0,
            "cfg_ensemble_members": members,
        }
        for recipe, members, ce, size, seeded in (
            ("baseline", None, 3.0, 90_000, 0),
            ("ensemble", "learned,frozen", 2.9, 150_000, 18),
        )
        for seed in (1, 2)
    ]
    folder = tmp_path / "tables" / "trials"
    folder.mkdir(parents=True)
    pq.write_table(schema.trials_table(rows), folder / "trials-000000.parquet")
    (tmp_path / "sweep.yaml").write_text("name: section7_cpu\nscaled: {name: cpu, divide: {model.dim: 4}}\n")
    return tmp_path


def test_the_table_of_a_run(app: typer.Typer, run: Path) -> None:
    """One line for each config, controls first, the published figure beside it, then what the letters mean."""
    done = CliRunner().invoke(app, ["table", str(run)])
    assert done.exit_code == 0, done.output
    title, header, control, ensemble, *rest = done.output.splitlines()
    assert title == "section7_cpu (scale cpu)" and header.split()[0] == "config"
    assert control.split()[:2] == ["baseline", "6L48d"] and "control" in control and "1.3722" in control
    assert "18.0r" in ensemble and "150,000" in ensemble and "1.2241 (-10.8)" in ensemble
    assert ensemble.endswith("sd")
    assert any("the code averages a learned and a frozen 6L 192d" in line for line in rest)


def test_markdown_has_the_same_rows(app: typer.Typer, run: Path) -> None:
    """`--markdown` gives a table with the same cells, and each remark as a point of a list."""
    lines = CliRunner().invoke(app, ["table", str(run), "--markdown"]).output.splitlines()
    assert lines[0].startswith("| config | CE") and lines[1].startswith("| --- |")
    assert "| 1.2241 (-10.8) | sd |" in lines[3] and lines[4] == ""
    assert lines[5].startswith("- s other scale")


def test_json_and_errors(app: typer.Typer, run: Path, tmp_path: Path) -> None:
    """`--json` holds the same figures; a folder without tables is one message and exit code 2."""
    values = json.loads(CliRunner().invoke(app, ["table", str(run), "--json"]).output)
    assert values["scale"]["divide"] == {"model.dim": 4}
    assert [row["recipe"] for row in values["rows"]] == ["baseline", "ensemble"]
    assert values["rows"][1]["ce_pct"]["mean"] == pytest.approx(-3.32, abs=0.01)
    missing = CliRunner().invoke(app, ["table", str(tmp_path / "nothing")])
    assert missing.exit_code == 2 and "error:" in missing.output
