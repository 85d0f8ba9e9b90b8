"""The commands that read a run: their table, JSON, messages and exit codes."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from orchestrator.cli import results
from results.report.conclusions import FOUND
from results.tables import schema
from trainer.locks import sole_owner

SWEEP = "name: demo\nobjectives: {ce: min, artifact_bytes: min}\nconstraints: ['artifact_bytes <= 1_000_000']\n"


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    results.register(app)
    return app


def trial(recipe: str, layers: int, seed: int, ce: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "sweep": "demo",
        "trial_id": f"{recipe}-{layers}-s{seed}",
        "config_id": f"{recipe}-{layers}",
        "seed": seed,
        "recipe": recipe,
        "data": "stdlib",
        "data_sha256": "d" * 64,
        "status": "completed" if ce is not None else "diverged",
        "accelerator": "CPU",
        "ce": ce,
        "bpb": ce and ce / 1.66,
        "artifact_bytes": layers * 100_000 + (20_000 if recipe == "baseline" else 0),
        "total_bytes": layers * 100_000 + (60_000 if recipe == "baseline" else 40_000),
        "tokens_per_s": 12_345.0,
        "cfg_model_num_layers": layers,
        "cfg_model_dim": 64,
        "cfg_train_steps": 100,
        "cfg_freeze_matrices": "gate,up" if recipe == "selective" else None,
        **changes,
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run: two recipes, three sizes (the largest breaks the constraint), two seeds, one lost trial."""
    rows = [
        trial(recipe, layers, seed, 5 - layers / 10 + seed / 100 + (0.02 if recipe == "selective" else 0))
        for recipe in ("baseline", "selective")
        for layers in (2, 4, 12)
        for seed in (1, 2)
    ]
    folder = tmp_path / "runs" / "demo"
    (folder / "tables" / "trials").mkdir(parents=True)
    table = schema.trials_table([*rows, trial("baseline", 2, 3, None, error="loss is nan")])
    pq.write_table(table, folder / "tables" / "trials" / "trials-000000.parquet")
    (folder / "sweep.yaml").write_text(SWEEP)
    return folder


def invoke(app: typer.Typer, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_table_under_the_sweeps_budget(app: typer.Typer, run: Path) -> None:
    """The table lists feasible configs, best first, with interval, difference from control, and what did not count."""
    lines = invoke(app, "pareto", run).splitlines()
    assert lines[0] == "demo: ce min, artifact_bytes min under artifact_bytes <= 1,000,000"
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["*", "baseline", "4L64d"],
        ["*", "selective", "4L64d"],
        ["*", "baseline", "2L64d"],
        ["*", "selective", "2L64d"],
    ]
    assert "4.6150 ± 0.0635" in lines[2] and "control" in lines[2] and "12,345 CPU" in lines[2]
    assert "+0.43 ± 0.01 %" in lines[3] and "2 (1 lost)" in lines[4]
    assert "12L64d" not in "\n".join(lines)
    assert lines[-5:-3] == [
        "1 of 13 trials is not counted: 1 diverged",
        "front: 4 configs beyond doubt; in doubt none",
    ]
    assert lines[-3:] == [
        FOUND,
        "  selective 4L64d: CE +0.43 ± 0.01 % (worse) against baseline 4L64d, with 5 % fewer bytes (2 seeds)",
        "  selective 2L64d: CE +0.42 ± 0.01 % (worse) against baseline 2L64d, with 9 % fewer bytes (2 seeds)",
    ]
    assert max(map(len, lines[:6])) <= 100


def test_with_a_goal_of_the_device_there_is_a_table_for_each_accelerator(app: typer.Typer, run: Path) -> None:
    """Never one front across two kinds; with goals that do not depend on the device there is one table as before."""
    rows = [
        trial("baseline", 2 if kind == "A40" else 4, seed, 5.0, accelerator=kind, config_id=kind)
        for kind in ("A40", "H100")
        for seed in (1, 2)
    ]
    pq.write_table(schema.trials_table(rows), run / "tables" / "trials" / "trials-000000.parquet")
    lines = invoke(app, "pareto", run, "-o", "ce=min", "-o", "tokens_per_s=max").splitlines()
    title = "demo: ce min, tokens_per_s max under artifact_bytes <= 1,000,000"
    assert [line for line in lines if line.startswith(title)] == [f"{title}, on A40", f"{title}, on H100"]
    assert [line.split()[:4] for line in lines if line.startswith("*  ")] == [
        ["*", "baseline", "2L64d", "A40"],
        ["*", "baseline", "4L64d", "H100"],
    ]
    assert "note: each front is of one accelerator, as tokens_per_s depends on it: A40, H100" in lines
    assert sum(line.startswith("demo: ") for line in invoke(app, "pareto", run).splitlines()) == 1
    page = Path(invoke(app, "report", run).splitlines()[1].removeprefix("report: ")).read_text()
    assert "### On" not in page
    (run / "sweep.yaml").write_text(SWEEP.replace("artifact_bytes: min", "tokens_per_s: max"))
    page = Path(invoke(app, "report", run).splitlines()[1].removeprefix("report: ")).read_text()
    assert page.index("### On A40") < page.index("### On H100") and "each front is of one accelerator" in page


def test_limit_and_all(app: typer.Typer, run: Path) -> None:
    """--limit replaces the sweep's constraints; --all lists what breaks them, marked."""
    assert "* baseline 12L64d" in " ".join(invoke(app, "pareto", run, "--limit", 1_260_000).split())
    listed = invoke(app, "pareto", run, "--all")
    assert sum(line.startswith("x") for line in listed.splitlines()) == 2
    assert "None of 6 configs keeps total_bytes <= 10" in invoke(app, "pareto", run, "--limit", 10)


def test_json_holds_every_config(app: typer.Typer, run: Path) -> None:
    """--json prints one object, with all configs whatever is feasible."""
    plain = json.loads(invoke(app, "pareto", run, "--json", "-o", "bpb", "-o", "artifact_bytes=min"))
    assert plain["objectives"] == {"bpb": "min", "artifact_bytes": "min"}
    assert len(plain["groups"]) == 6 and sum(group["on_front"] for group in plain["groups"]) == 4
    assert plain["status_counts"] == {"completed": 12, "diverged": 1}


def test_many_configs_are_cut(app: typer.Typer, run: Path) -> None:
    """Of many dominated configs the nearest to the front are listed, and how many are not."""
    rows = [trial("baseline", i + 1, 1, 4.0 + i, config_id=f"c{i}", artifact_bytes=10 + i) for i in range(60)]
    pq.write_table(schema.trials_table(rows), run / "tables" / "trials" / "trials-000000.parquet")
    output = invoke(app, "pareto", run)
    assert output.count("12,345 CPU") == 20
    assert "not listed: 40 dominated or infeasible (--all lists them)" in output
    assert "not listed" not in invoke(app, "pareto", run, "--all")


def test_several_runs(app: typer.Typer, run: Path) -> None:
    """A pattern takes several runs together; runs with other constraints need a limit of one's own."""
    other = run.parent / "other"
    (other / "tables" / "trials").mkdir(parents=True)
    pq.write_table(
        schema.trials_table([trial("baseline", 3, 1, 4.0, sweep="other")]), other / "tables" / "trials" / "a.parquet"
    )
    (other / "sweep.yaml").write_text(SWEEP.replace("1_000_000", "2_000_000"))
    result = CliRunner().invoke(app, ["pareto", f"{run.parent}/*"])
    assert result.exit_code == 2 and "give --objective and --limit" in result.output
    output = invoke(app, "pareto", f"{run.parent}/*", "--limit", 16_000_000, "-o", "ce", "-o", "artifact_bytes")
    assert output.startswith("demo, other:") and "baseline 3L64d" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pareto", "{run}/absent"], "does not exist"),
        (["pareto", "{run}/tables"], "holds no tables/trials"),
        (["pareto", "{run}", "-o", "cee"], "did you mean ce?"),
        (["pareto", "{run}", "-o", "ce=least"], "must read like `ce=min`"),
        (["report", "{run}/sweep.yaml"], "is a file"),
    ],
)
def test_errors_are_one_line(app: typer.Typer, run: Path, arguments: list[str], message: str) -> None:
    """Bad input ends with one line on standard error and exit code 2, and nothing on standard output."""
    result = CliRunner().invoke(app, [argument.replace("{run}", str(run)) for argument in arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and message in result.stderr and result.stderr.count("\n") == 1


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a report says after two seconds that it is at work: another line than these tests expect."""
    monkeypatch.setattr("orchestrator.cli.results._SECONDS_OF_SILENCE", 600.0)


def test_report_says_where_it_is(app: typer.Typer, run: Path) -> None:
    """`report` writes page and pictures and prints their paths."""
    lines = invoke(app, "report", run).splitlines()
    pictures = [f"picture: {run}/report/{name}.png" for name in ("controls", "pareto")]
    assert lines == [f"page: {run}/report/index.html", f"report: {run}/report/report.md", *pictures]
    assert all(Path(line.split(": ")[1]).stat().st_size > 500 for line in lines)


def test_one_page_of_several_runs(app: typer.Typer, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default in a folder of their names, or where `--out` says; no Markdown, which is of one run."""
    shutil.copytree(run, run.parent / "again")
    monkeypatch.chdir(run.parent)
    assert invoke(app, "report", "demo", "again") == "page: report-demo-again/index.html\n"
    assert invoke(app, "report", "*", "--out", "pages") == "page: pages/index.html\n"
    text = (run.parent / "pages" / "index.html").read_text()
    assert "../demo/trials" in text and "../again/trials" in text
    assert not (run / "report").exists()


def test_a_page_of_runs_with_other_goals(app: typer.Typer, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the options that `report` has; with them there is a page, and its command has them too."""
    shutil.copytree(run, run.parent / "again")
    (run.parent / "again" / "sweep.yaml").write_text(SWEEP.replace("1_000_000", "2_000_000"))
    monkeypatch.chdir(run.parent)
    result = CliRunner().invoke(app, ["report", "demo", "again"])
    assert result.exit_code == 2 and "give --objective and --limit" in result.stderr
    goals = ["--objective", "ce", "--objective", "artifact_bytes=min", "--limit", 1_500_000]
    assert invoke(app, "report", "demo", "again", *goals, "--out", "pages") == "page: pages/index.html\n"
    text = (run.parent / "pages" / "index.html").read_text()
    command = "frostline report demo again --objective ce --objective artifact_bytes=min --limit 1500000 --out pages"
    assert command in text and "total_bytes &lt;= 1,500,000" in text


def test_a_page_is_shown(app: typer.Typer, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` gives the page's address to the browser."""
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    invoke(app, "report", run, "--open")
    assert shown == [(run / "report" / "index.html").as_uri()]


@pytest.mark.parametrize(
    ("is_alive", "said"), [(True, "The sweep goes on: 3 of 9"), (False, "ended without a word: 3 of 9")]
)
def test_a_page_of_a_sweep_that_runs(app: typer.Typer, run: Path, is_alive: bool, said: str) -> None:
    """The page says on top what the driver wrote last, and whether the driver lives."""
    trials = {"all": 9, "done": 3, "running": 2, "waiting": 4}
    facts = {"state": "running", "trials": trials, "updated_at": "2026-01-02T03:04:05.678+00:00"}
    (run / "status.json").write_text(json.dumps(facts))
    with sole_owner(run) if is_alive else contextlib.nullcontext():
        invoke(app, "report", run)
    head = (run / "report" / "index.html").read_text().partition("<main>")[0]
    assert said in head and "as of 2026-01-02 03:04 UTC" in head


def test_long_work_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while a line on the error stream; nothing where the work was quick."""
    monkeypatch.setattr(results, "_SECONDS_OF_SILENCE", 0.01)
    with results._says_after_a_while("reading …"):
        time.sleep(0.3)
    monkeypatch.setattr(results, "_SECONDS_OF_SILENCE", 60)
    with results._says_after_a_while("quick"):
        pass
    assert capsys.readouterr() == ("", "reading …\n")


def test_terminal_table_fits_100_columns(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """On a terminal of 100 columns no number of the table is cut."""
    monkeypatch.setenv("COLUMNS", "100")
    from results import load
    from results.analysis.pareto_info import pareto_info
    from results.report import formatting

    groups = pareto_info(load(run)).groups
    results._print_rich("title", groups)
    printed = capsys.readouterr().out
    assert "…" not in printed and max(map(len, printed.splitlines())) <= 100
    assert all(cell in printed for group in groups for cell in formatting.group_cells(group)[2:7])


def test_help_shows_examples_and_imports_little(app: typer.Typer) -> None:
    """--help holds an example, and the module loads neither pandas, pyarrow nor matplotlib."""
    assert "frostline pareto runs/quickstart" in " ".join(invoke(app, "pareto", "--help").split())
    code = (
        "import sys, typer, orchestrator.cli.results as c; c.register(typer.Typer());"
        "assert not {'pandas', 'pyarrow', 'numpy', 'matplotlib', 'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
