"""`frostline plan` on the shipped files: what it counts, how it looks, what it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from orchestrator.cli import plan as plan_command
from orchestrator.plan_table import plan_table, varied_settings
from orchestrator.search.planner import plan
from results.analysis.published_figures import FIGURES, Scale, find, load_published
from results.tables.schema import flatten_config
from search_spaces.spec.load import load_sweep
from trainer.config.trial import TrialConfig

PAPER = Path(__file__).parents[3] / "search_spaces" / "seed_paper"
FILES = sorted(PAPER.glob("*.yaml"))


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)  # with one command alone typer would leave out its name
    plan_command.register(app)
    return app


def as_json(app: typer.Typer, *arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["plan", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    values: dict[str, Any] = json.loads(done.output)
    return values


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", ["published", "cpu"])
def test_every_config_is_listed_within_a_hundred_columns(app: typer.Typer, path: Path, scale: str) -> None:
    """The table names each config of the file at each scale, and no line is wider than 100 characters."""
    done = CliRunner().invoke(app, ["plan", str(path), "--scale", scale])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 100
    rows = plan_table(load_sweep(path, scale), None).rows
    text = " ".join(done.output.split())
    assert all(row.label.split()[0] in text for row in rows)
    assert f"{len(rows)} configs, {sum(len(row.seeds) for row in rows)} trials" in text


@pytest.mark.parametrize("scale", ["published", "cpu"])
def test_every_published_row_is_planned(scale: str) -> None:
    """Each row of the study's tables is a config of the sweep it names, at both scales, and is found beside it."""
    rows = load_published(FIGURES)
    for name in {row.sweep for row in rows}:
        spec = load_sweep(PAPER / f"{name}.yaml", scale)
        divided = Scale(name=spec.scaled.name, divide=spec.scaled.divide) if spec.scaled else Scale()
        configs = [row.config for row in plan_table(spec, None).rows]
        found = [find({"recipe": c.recipe, "data": c.data, **_columns(c)}, spec.name, divided, rows) for c in configs]
        assert {row.row for row in rows if row.sweep == name} <= {row.row for row in found if row}, name


def _columns(config: TrialConfig) -> dict[str, Any]:
    return flatten_config(config.model_dump(mode="json"))


def test_the_numbers_add_up(app: typer.Typer) -> None:
    """The kinds of weights sum to all, replicates are grouped, and phases say what is frozen when."""
    plan = as_json(app, str(PAPER / "controlled.yaml"))
    assert plan["sweep"] == "controlled" and plan["scale"] is None
    for row in plan["configs"]:
        assert row["num_learned"] + row["num_seeded"] + row["num_stored_frozen"] == row["num_params"]
        assert row["seeds"] == [1, 2, 3] and row["num_trials"] == 3
        assert 0 < row["lower_bytes"] < row["expected_bytes"] <= row["upper_bytes"]
        assert row["admitted"] and row["refusal"] is None
    progressive = next(row for row in plan["configs"] if row["recipe"] == "progressive")
    assert [(phase["name"], phase["steps"], phase["num_freezes"]) for phase in progressive["phases"]] == [
        ("train", 1000, 0),
        ("frozen", 2000, 16),
    ]
    assert progressive["num_seeded"] == 0 < progressive["num_stored_frozen"]
    adapter = next(row for row in plan["configs"] if row["recipe"] == "full_adapter")
    assert (adapter["rank"], adapter["break_even_ranks"]) == (16, [128, 171])


def test_a_budget_that_cuts_the_grid_is_told(app: typer.Typer, tmp_path: Path) -> None:
    """The second line says how many trials the space holds where the plan is not all of them."""
    (tmp_path / "cut.yaml").write_text(
        "search: {method: grid}\nbudget: {trials: 2}\nspace: {train.steps: {choice: [1, 2, 3]}}\n"
    )
    done = CliRunner().invoke(app, ["plan", str(tmp_path / "cut.yaml")])
    assert done.output.splitlines()[1] == "the space holds 3 trials; budget.trials cuts it to 2"


def test_what_varies_is_known_by_trial() -> None:
    """Trials whose ids differ in their digest alone differ in what is said of them, replicates do not."""
    varied = varied_settings(plan(load_sweep(PAPER / "controlled.yaml", "cpu")))
    selective = [text for trial_id, text in varied.items() if trial_id.startswith("selective-8L64d-s1-")]
    layers = ["layers 0-3 gate+up", "layers 0-3 gate+up uniform start"]
    assert selective == ["gate+up", "gate+up uniform start", "gate+up+down", "q+k+v+o", *layers]
    assert selective == [text for trial_id, text in varied.items() if trial_id.startswith("selective-8L64d-s2-")]


TWO_WIDTHS = """\
name: widths
base: {model: {num_layers: 12, num_heads: 6}}
space: {model.dim: {choice: [192, 384]}}
"""


def planned(app: typer.Typer, path: Path, more: str, *options: str) -> str:
    path.write_text(TWO_WIDTHS + more)
    done = CliRunner().invoke(app, ["plan", str(path), *options])
    assert done.exit_code == 0, done.output
    return done.output


def test_what_would_not_be_trained_is_marked(app: typer.Typer, tmp_path: Path) -> None:
    """A config that admission refuses has a line that says why; the head counts these and those that surely fit."""
    path = tmp_path / "widths.yaml"
    output = planned(app, path, "constraints: [artifact_bytes <= 5_000_000]\n")
    head, disk, columns, fits, refused, *remark = output.splitlines()
    assert head == "widths: 2 configs, 2 trials, 1 seed; 1 surely fit, 1 would not be trained"
    assert "artifacts 4.7," in disk  # of what is trained
    assert "artifact MB" in columns and "≈4.36 (≤4.67)" in fits and "≈16.76 (≤18.19)" in refused
    assert " ".join(" ".join(remark).split()) == (
        "would not be trained: expected about 16.8 MB (at most 18.2 MB), more than 2 times the limit artifact_bytes "
        "<= 5,000,000; admission: {max_expected_ratio: null} trains it anyway"
    )
    assert max(map(len, output.splitlines())) <= 100


def test_admission_decides_what_is_marked(app: typer.Typer, tmp_path: Path) -> None:
    """A higher ratio, or null, or no limit in bytes admits all; JSON says so too."""
    path, limit = tmp_path / "widths.yaml", "constraints: [total_bytes <= 5_000_000]\n"
    for more in ("admission: {max_expected_ratio: 4}\n", "admission: {max_expected_ratio: null}\n"):
        assert planned(app, path, limit + more).splitlines()[0].endswith("1 seed; 1 surely fit")
    assert planned(app, path, "constraints: [ce <= 3]\n").splitlines()[0].endswith("2 trials, 1 seed")
    rows = json.loads(planned(app, path, limit, "--json"))["configs"]
    assert [(row["admitted"], row["fits_surely"]) for row in rows] == [(True, True), (False, False)]
    assert rows[0]["refusal"] is None and "limit total_bytes <= 5,000,000" in rows[1]["refusal"]


def test_controls_of_the_same_bytes_store_the_same_number_of_weights(app: typer.Typer) -> None:
    """Each frozen model of the controlled files has a learned control within 11 % of what it stores."""
    for name, scale, recipes in (
        ("controlled", "published", ("selective", "full_adapter", "low_rank")),
        ("controlled_sizes", "published", ("selective",)),
        ("controlled_sizes", "cpu", ("selective",)),
    ):
        rows = as_json(app, str(PAPER / f"{name}.yaml"), "--scale", scale)["configs"]
        controls = [row["num_learned"] for row in rows if row["recipe"] == "baseline"]
        for recipe in recipes:
            first = next(row for row in rows if row["recipe"] == recipe)
            assert min(abs(control / first["num_learned"] - 1) for control in controls) < 0.11, (name, recipe)


def test_it_is_quick_and_loads_nothing_heavy() -> None:
    """Neither torch nor ray nor pandas is loaded to plan a sweep."""
    code = (
        "import sys\nfrom orchestrator.cli.main import main\n"
        f"sys.argv = ['frostline', 'plan', {str(PAPER / 'section7.yaml')!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'ray', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_the_disk_is_said_and_adds_up(app: typer.Typer) -> None:
    """Artifacts by their largest size, two checkpoints for each trial at once, and in all the sum of the parts."""
    file = str(PAPER / "controlled.yaml")
    found = as_json(app, file)
    disk, rows = found["disk"], found["configs"]
    parts = ("artifacts_bytes", "running_bytes", "kept_checkpoints_bytes", "tables_bytes")
    assert disk["total_bytes"] == sum(disk[part] for part in parts) and disk["is_bound"]
    largest = sum(row["upper_bytes"] * row["num_trials"] for row in rows)
    assert largest <= disk["artifacts_bytes"] <= largest + 2_000 * found["num_trials"]
    assert disk["slot_bytes"] >= 2 * 12 * min(row["num_learned"] for row in rows)  # Adam: weights and two moments
    assert disk["kept_checkpoints_bytes"] == 0 and disk["front_artifacts_bytes"] is None
    text = CliRunner().invoke(app, ["plan", file]).output
    assert f"disk: at most {disk['total_bytes'] / 1e6:,.1f} MB; in MB: artifacts" in text


def test_the_disk_depends_on_what_is_kept(app: typer.Typer) -> None:
    """`none` leaves an artifact for each trial at once, `front` gives an estimate beside the bound of all."""
    file = str(PAPER / "controlled.yaml")
    every, front, none = (as_json(app, file, f"keep.artifacts={kept}")["disk"] for kept in ("all", "front", "none"))
    assert (
        front["total_bytes"] == every["total_bytes"] and 0 < front["front_artifacts_bytes"] < every["artifacts_bytes"]
    )
    assert none["artifacts_bytes"] == 0 and every["running_bytes"] < none["running_bytes"] < every["total_bytes"]
    text = CliRunner().invoke(app, ["plan", file, "keep.artifacts=front"]).output
    assert "MB in the end (an estimate: one config in seven is on the front)" in text


def test_the_disk_of_a_search_is_an_estimate(app: typer.Typer) -> None:
    """Its configs are not known: the largest of some examples counts for all, and stopped trials' checkpoints count."""
    file = str(PAPER / "controlled.yaml")
    search = ["search.method=tpe", "budget.trials=40", "keep.checkpoints=3"]
    disk = as_json(app, file, *search)["disk"]
    assert not disk["is_bound"] and disk["kept_checkpoints_bytes"] * 2 == 3 * disk["slot_bytes"]
    assert "disk: about (by the largest config seen)" in CliRunner().invoke(app, ["plan", file, *search]).output


def test_what_ends_a_sweep_is_shown(app: typer.Typer, tmp_path: Path) -> None:
    """Limits of time and dollars, and the command that is run then."""
    quickstart = (PAPER.parent / "quickstart.yaml").read_text()
    budget = "budget: {trials: 18, hours: 8, until: '07:00', usd: 40}\non_finish: {command: [stop, pods]}"
    (tmp_path / "night.yaml").write_text(quickstart.replace("budget: {trials: 18} ", f"{budget} "))
    notes = as_json(app, str(tmp_path / "night.yaml"))["notes"]
    assert "ends by 8 hours, 07:00, 40 USD, whichever comes first" in notes
    assert "on_finish (finished, budget, deadline, failed): stop pods" in notes


def test_a_forecast_is_shown_and_is_in_the_json(app: typer.Typer) -> None:
    """Of a whole night on declared machines: in words of at most 100 characters a line, and in figures."""
    arguments = [str(PAPER.parent / "overnight.yaml"), "--fleet", "H100:2,A40:6", "--nights", "5", "--rows", "1"]
    done = CliRunner().invoke(app, ["plan", *arguments])
    assert done.exit_code == 0, done.output
    assert "forecast for 2 H100, 6 A40 (5 simulated nights" in done.output and " USD (" in done.output
    assert max(map(len, done.output.splitlines()[-12:])) <= 100
    forecast = as_json(app, *arguments)["forecast"]
    assert forecast["num_nights"] == 5 and set(forecast["busy"]) == {"H100", "A40"}
    assert forecast["seconds"]["low"] <= forecast["seconds"]["middle"] <= forecast["seconds"]["high"]
    assert as_json(app, arguments[0], "--rows", "1")["forecast"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--fleet", "H100"), "cannot read 'H100'"),
        (("--fleet", "Abacus:2"), "nothing is known of how long trials take on Abacus"),
        (("--fleet", "local", "--address", "auto"), "give one of them"),
        (("--fleet", "H100:1", "--like", "no/such/run"), "--like no/such/run"),
    ],
)
def test_a_forecast_of_nonsense_is_one_clear_error(app: typer.Typer, options: tuple[str, ...], said: str) -> None:
    """What, where, and what to do."""
    done = CliRunner().invoke(app, ["plan", str(PAPER.parent / "overnight.yaml"), "--rows", "1", *options])
    assert done.exit_code != 0 and said in str(done.exception)
