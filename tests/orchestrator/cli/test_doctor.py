"""`frostline doctor` on this machine alone: what it prints, and its exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from s3_server import BUCKET, s3_server
from typer.testing import CliRunner, Result

from orchestrator.cli.main import app
from orchestrator.cluster.dead_man_switch.label import StopsItself
from orchestrator.cluster.diagnosis import Finding
from orchestrator.cluster.node_facts import Member, Silence
from orchestrator.cluster.node_table import HEADERS, Checked, cells, conclusion, cost_of, narrow_tables
from trainer.versions import own_versions


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def test_a_healthy_machine(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row, what is in it, and exit code 0; nothing is left behind."""
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    done = run("--data-root", data_root, "--out", tmp_path / "runs")
    header, row, *rest = done.stdout.splitlines()
    assert done.exit_code == 0 and rest[-1].startswith("healthy: 1 node, no faults"), done.output
    assert [one for one in header.split("  ") if one][:4] == ["node", "host", "kind", "reached"]
    assert own_versions()["torch"] in row and " shared " in row and " yes " in row
    assert list(tmp_path.iterdir()) == []


def test_json_says_the_same(data_root: Path, tmp_path: Path) -> None:
    """All facts with their units, the findings, and whether it is healthy."""
    done = run("--data-root", data_root, "--out", tmp_path, "--json")
    report = json.loads(done.stdout)
    [node] = report["nodes"]
    assert report["healthy"] is True and node["faults"] == [] and node["reached"] is True
    assert node["facts"]["data"][0]["state"] == "yes" and node["facts"]["memory"]["total_bytes"] > 0


def test_every_fault_is_a_line_and_the_exit_code_is_1(data_root: Path, tmp_path: Path) -> None:
    """Data that are damaged, data that are not there, and a run folder that cannot be."""
    root = shutil.copytree(data_root, tmp_path / "data")
    shard = next((root / "datasets" / "tiny").glob("*val*.bin"))
    shard.write_bytes(shard.read_bytes()[:-2])
    (tmp_path / "file").write_text("")
    done = run("--data-root", root, "--data", "tiny", "--data", "tinny", "--out", tmp_path / "file" / "runs")
    faults = [line for line in done.stdout.splitlines() if line.startswith("fault: ")]
    assert done.exit_code == 1 and len(faults) == 3, done.output
    assert any("the data tiny are damaged" in line and "is truncated" in line for line in faults)
    assert any("the data tinny are not there" in line and "did you mean tiny?" in line for line in faults)
    assert any("cannot write, read and remove a file in the run folder" in line for line in faults)
    assert "not healthy: 1 node, 3 faults, no warnings" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--address", "127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--address", "host:port"], "the head must be HOST or HOST:PORT"),
        (["--address", "127.0.0.1:1", "--token-file", "/none"], "/none: no such token file"),
    ],
)
def test_a_cluster_that_cannot_be_asked_is_a_usage_error(arguments: list[str], message: str) -> None:
    """One clear line and exit code 2."""
    from orchestrator.errors import UsageError

    done = run(*arguments)
    assert isinstance(done.exception, UsageError) and message in str(done.exception)
    assert done.exception.exit_code == 2


def test_a_node_that_is_silent_has_a_row_all_the_same() -> None:
    """As wide as the others; and it is counted."""
    member = Member(name="aa", host="b", kind="CPU", is_head=True)
    silent = Checked(member=member, answer=Silence(reason="x"), findings=(Finding(is_fault=True, text="is frozen"),))
    assert len(cells(silent, own_versions())) == len(HEADERS)
    assert silent.faults == ["b (CPU, head, aa): is frozen"] and silent.as_dict()["reached"] is False
    assert conclusion([silent, silent]) == "not healthy: 2 nodes, 2 faults, no warnings"


def test_a_node_that_ends_itself_is_said_with_its_cost() -> None:
    """A word in the table, a line below it; the driver's own machine is no node."""
    ends = StopsItself(command="poweroff", lost_minutes=10)
    members = [Member(name="driver", host="d", is_driver=True)]
    members += [
        Member(name="aa", host=host, kind="CPU", usd_per_hour=0.5, stops_itself=by)
        for host, by in (("b", ends), ("c", None))
    ]
    nodes = [Checked(member=one, answer=Silence(reason="x"), findings=()) for one in members]
    assert [cells(one, own_versions())[-1] for one in nodes] == ["–", "yes", "no"]
    yes, no = cost_of(nodes)
    assert yes.startswith("end by themselves (0.5 USD/hour until then): b; each runs poweroff when the sweep is over")
    assert no == "0.5 USD/hour until somebody stops these machines, which do not end by themselves: c"
    assert nodes[1].as_dict()["stops_itself"]["command"] == "poweroff"


def test_a_version_of_another_kind_is_marked(data_root: Path, tmp_path: Path) -> None:
    """≠ beside what differs from the driver's."""
    from orchestrator.cluster.this_machine import check_this_machine

    here = check_this_machine(tmp_path, data_root, [])
    assert cells(here, own_versions())[4:7] == tuple(own_versions().values())
    assert cells(here, {**own_versions(), "torch": "1.0"})[5].endswith(" ≠")


@pytest.mark.parametrize("width", [20, 80, 500])
def test_a_narrow_terminal_gets_several_tables(width: int) -> None:
    """Each with the first column, none wider than the terminal if one column fits; no cell is lost."""
    rows = [HEADERS, tuple(f"{number:07d}" for number in range(len(HEADERS)))]
    tables = narrow_tables(rows, width)
    assert all(len(line) <= max(width, 20) for table in tables for line in table)
    assert all(table[1].startswith("0000000") for table in tables)
    assert all(any(cell in table[1] for table in tables) for cell in rows[1]) and (len(tables) == 1) == (width == 500)


def test_an_object_store_is_tried(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Healthy where it writes, reads and has conditional writes, and nothing is left there; else one line."""
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "cache"))
    with s3_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        good = run("--data-root", data_root, "--out", f"s3://{BUCKET}/doctor/night")
        assert good.exit_code == 0 and server.files("doctor") == {}, good.output
        bad = run("--data-root", data_root, "--out", "s3://other-bucket/night")
        server.without_conditions = True
        old = run("--data-root", data_root, "--out", f"s3://{BUCKET}/doctor/night")
    assert bad.exit_code == 1 and "fault: s3://other-bucket/night: there is no such bucket\nnot healthy" in bad.output
    assert old.exit_code == 1 and "no conditional writes" in old.output
