"""The options of `frostline cluster join` that let a machine end itself, also from an environment."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from orchestrator.cli import cluster
from orchestrator.cli.main import app
from orchestrator.cluster.dead_man_switch import switch
from orchestrator.cluster.dead_man_switch.label import StopsItself
from orchestrator.errors import UsageError

DOCKER = Path(__file__).parents[4] / "docker"
OFF = {"FROSTLINE_STOP_COMMAND": "", "FROSTLINE_MAX_HOURS": "", "FROSTLINE_LOST_MINUTES": ""}


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What the command did at its end: `ray` became Ray's process, or a switch that was kept."""
    (tmp_path / "token").write_text("a" * 64)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "set_environment", lambda *arguments: None)
    monkeypatch.setattr("orchestrator.cluster.address.require_answer", lambda host, port: None)
    found: list[Any] = []
    monkeypatch.setattr(cluster, "_become", lambda command, token_file, drain_seconds: found.append(command))

    def supervise(kept: switch.Switch, ray: list[str], **where: Any) -> int:
        found.extend([kept, ray, where])
        return 3

    monkeypatch.setattr(switch, "supervise", supervise)
    return found


def join(*options: str, **environment: str) -> Any:
    arguments = ["cluster", "join", "127.0.0.1:7000", *options]
    return CliRunner().invoke(app, arguments, env={**OFF, **environment})


def test_without_the_options_the_node_promises_nothing(joined: list[Any]) -> None:
    """Also where a compose file passes them empty. It is supervised all the same, for its trials' checkpoints."""
    done = join()
    switch, command, _ = joined
    assert done.exit_code == 3 and switch is None and "this node" not in done.output
    assert command[-1] != "" and not any("stops-itself" in word for word in command)


def test_with_them_it_stays_and_its_label_says_so(joined: list[Any]) -> None:
    """From the command line or from the environment; its exit code is the supervisor's."""
    by_options = ["--stop-command", "sh -c true", "--max-hours", "10", "--lost-minutes", "5"]
    by_environment = dict(zip(OFF, ("sh -c true", "10", "5"), strict=True))
    for options, environment in ((by_options, {}), ([], by_environment)):
        done = join(*options, **environment)
        assert done.exit_code == 3 and "this node runs sh when the sweep is over, 5 min after" in done.output
        kept, ray, where = joined
        assert kept.stops == StopsItself(command="sh", lost_minutes=5, max_hours=10)
        assert any(word.endswith("frostline.stops-itself=runs-sh_lost-5m_max-10h") for word in ray)
        assert (where["head"], where["node"][1], where["drain_seconds"]) == (("127.0.0.1", 7000), 6380, 30)
        joined.clear()


def test_what_could_not_work_is_refused_before_the_head_is_asked(joined: list[Any]) -> None:
    """A program that is not there; a time out of range."""
    done = join("--stop-command", "no-such-program")
    assert isinstance(done.exception, UsageError) and "there is no program" in str(done.exception)
    assert join("--max-hours", "0").exit_code == 2 and join("--max-hours", "nan").exit_code == 2 and not joined


def test_a_container_passes_them_and_is_not_started_again() -> None:
    """Off by default. What would end itself and be started again for ever is refused in one line."""
    worker = yaml.safe_load((DOCKER / "compose.worker.yaml").read_text())["services"]["worker"]
    for name in OFF:
        assert worker["environment"][name] == f"${{{name.removeprefix('FROSTLINE_')}:-}}"
    assert worker["restart"] == worker["environment"]["FROSTLINE_RESTART"] == "${RESTART:-unless-stopped}"

    def start(**environment: str) -> subprocess.CompletedProcess[str]:
        settings = {"PATH": "/usr/bin:/bin", "FROSTLINE_ACCELERATOR": "cpu", **OFF, **environment}
        arguments = ["sh", DOCKER / "entrypoint.sh", "echo", "runs"]
        return subprocess.run(arguments, env=settings, capture_output=True, text=True, check=False)

    assert start(FROSTLINE_RESTART="unless-stopped").stdout == "runs\n"
    assert start(FROSTLINE_RESTART="on-failure", FROSTLINE_MAX_HOURS="10").stdout == "runs\n"
    assert start(FROSTLINE_MAX_HOURS="10").stdout == "runs\n", "started by another hand than compose's"
    refused = start(FROSTLINE_RESTART="unless-stopped", FROSTLINE_STOP_COMMAND="true")
    assert refused.returncode == 2 and "set RESTART=on-failure" in refused.stderr
