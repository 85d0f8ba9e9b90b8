"""Commands and environments of cluster nodes, tokens and addresses."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.address import head_address, own_address, require_answer
from orchestrator.cluster.dead_man_switch.label import StopsItself
from orchestrator.cluster.ray_start import (
    FIRST_PORT,
    HEAD_PORT,
    MEMORY_LABEL,
    NodeOptions,
    head_command,
    join_command,
    labels,
    ray_environment,
)
from orchestrator.cluster.token import checked_token_file, new_token
from orchestrator.errors import UsageError
from orchestrator.ray_backend.nodes.cluster_status import status_of, text_of

OPTIONS = NodeOptions(
    address="10.0.0.7", version="1.2.3", num_cpus=4, num_gpus=0.5, accelerator="A40", usd_per_hour=0.44
)


def ports(command: list[str]) -> dict[str, int]:
    found = (re.fullmatch(r"--([a-z-]*port)=(\d+)", one) for one in command)
    return {one[1]: int(one[2]) for one in found if one}


@given(st.integers(1024, 65_000))
def test_every_port_is_fixed_and_no_two_are_equal(first: int) -> None:
    """Of a head and of a worker beside it, whose first port lies beyond; the range of workers overlaps nothing."""
    one = NodeOptions(address="a", version="1", first_port=first)
    head = ports(head_command(one, HEAD_PORT))
    low, high = head.pop("min-worker-port"), head.pop("max-worker-port")
    assert len({*head.values()}) == len(head) == 7 or first <= HEAD_PORT < first + 6
    assert high - low == 199 and not any(low <= port <= high for name, port in head.items() if name != "port")
    assert max(head[name] for name in head if name != "port") < low


def test_the_documented_ports_are_the_ones_in_use() -> None:
    """docs/cluster.md names the first and the last port of each range."""
    text = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    found = ports(join_command(NodeOptions(address="a", version="1"), "h:6379"))
    own = [port for name, port in found.items() if "worker" not in name]
    assert f"{HEAD_PORT}" in text and f"{FIRST_PORT} to {max(own)}" in text
    assert f"{found['min-worker-port']} to {found['max-worker-port']}" in text


def test_a_worker_says_what_it_is() -> None:
    """Kind, price and version as labels; CPUs and GPUs where they are given, and what is not given is left to Ray."""
    command = join_command(OPTIONS, "10.0.0.1:6379")
    assert labels(OPTIONS) == {
        "frostline.version": "1.2.3",
        "ray.io/accelerator-type": "A40",
        "frostline.usd-per-hour": "0.44",
    }
    assert {"--address=10.0.0.1:6379", "--num-cpus=4", "--num-gpus=0.5", "--node-ip-address=10.0.0.7"} <= {*command}
    bare = join_command(NodeOptions(address="a", version="1"), "h:1")
    assert not any(one.startswith(("--num-cpus", "--num-gpus")) for one in bare)
    assert "--labels=frostline.version=1" in bare
    with_card = dataclasses.replace(OPTIONS, device_memory_bytes=46_068 * 2**20)
    assert labels(with_card) == {**labels(OPTIONS), MEMORY_LABEL: "48.3"}


def test_the_environment_asks_for_the_token() -> None:
    """Without the mode Ray would start an open cluster."""
    found = ray_environment(Path("/run/secrets/token"), {}, 9)
    assert (found["RAY_AUTH_MODE"], found["RAY_AUTH_TOKEN_PATH"]) == ("token", "/run/secrets/token")
    assert found["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] == "9"
    period = int(found["RAY_health_check_period_ms"]) * int(found["RAY_health_check_failure_threshold"])
    assert period > 60_000, "a network that is cut for a minute must lose no node"


def test_health_checks_that_are_set_already_stay() -> None:
    """A user may want a dead node noticed sooner."""
    environment = {"RAY_health_check_period_ms": "7", "RAY_AUTH_MODE": "none"}
    found = ray_environment(Path("token"), environment)
    assert found["RAY_health_check_period_ms"] == "7" and found["RAY_AUTH_MODE"] == "token"


def test_tokens_differ_and_a_file_is_checked(tmp_path: Path) -> None:
    """Missing, empty, with spaces inside, no text: one line that names the file and what to do."""
    assert len({new_token() for _ in range(10)}) == 10 and re.fullmatch("[0-9a-f]{64}", new_token())
    path = tmp_path / "token"
    for content, error in (
        (None, "no such token file"),
        (b"", "holds no token"),
        (b"a b", "holds no token"),
        (b"\xff", "cannot read"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=error) as found:
            checked_token_file(path)
        assert str(path) in str(found.value) and "\n" not in str(found.value)
    path.write_text(new_token() + "\n")
    assert checked_token_file(path) == path
    path.chmod(0)
    if os.geteuid() != 0:  # nothing is closed to root
        with pytest.raises(UsageError, match="cannot read the token"):
            checked_token_file(path)
    path.chmod(stat.S_IRUSR)


@pytest.mark.parametrize(("text", "expected"), [("h", ("h", 6379)), ("h:7", ("h", 7)), ("ray://h:7", ("h", 7))])
def test_a_head_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    """6379 where none is given."""
    assert head_address(text) == expected


@pytest.mark.parametrize("text", ["h:", "h:x", ":7", "h:0", "h:65536"])
def test_a_wrong_head_is_said(text: str) -> None:
    """With what it must look like."""
    with pytest.raises(UsageError, match="must be HOST or HOST:PORT, but got"):
        head_address(text)


def test_the_own_address_is_that_of_the_route() -> None:
    """To this machine itself it is the loopback; a name without an address is an error."""
    assert own_address("127.0.0.1") == "127.0.0.1" and own_address().count(".") == 3
    with pytest.raises(UsageError, match=r"no\.such\.host\.invalid: no way there"):
        own_address("no.such.host.invalid")


def test_a_head_that_does_not_answer_is_said_at_once() -> None:
    """Ray would try for minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UsageError, match=f"nothing answers at 127.0.0.1:{port}"):
        require_answer("127.0.0.1", port)


def test_a_status_is_read_from_what_ray_says() -> None:
    """Kind, what is in use, price; a head without CPUs has no kind, and what a node does not say is unknown."""
    worker = {"NodeID": "b" * 56, "NodeManagerHostname": "w", "NodeManagerAddress": "10.0.0.7"}
    worker |= {"Resources": {"CPU": 4.0, "GPU": 1.0}, "Labels": labels(OPTIONS)}
    head = {**worker, "NodeID": "a" * 56, "Resources": {"node:__internal_head__": 1.0}, "Labels": {}}
    nodes = [status_of(head, {}), status_of(worker, {"CPU": 1.5, "GPU": 0.5})]
    assert [(node.is_head, node.kind) for node in nodes] == [(True, None), (False, "A40")]
    assert (nodes[1].cpus_in_use, nodes[1].gpus_in_use, nodes[1].usd_per_hour) == (2.5, 0.5, 0.44)
    assert text_of(nodes)[-1] == "2 nodes, 0.44 USD/hour and 1 of unknown price"
    assert "2.5 of 4" in text_of(nodes)[2] and "until somebody stops these machines" in text_of(nodes)[3]
    odd = {**worker, "Labels": {"frostline.usd-per-hour": "cheap"}}
    assert status_of(odd, {}).usd_per_hour is None
    options = dataclasses.replace(OPTIONS, stops_itself=StopsItself(command="poweroff", lost_minutes=5))
    [ends] = [status_of({**worker, "Labels": labels(options)}, {})]
    assert ends.stops_itself == options.stops_itself and ends.cells()[-1] == "yes"
    assert text_of([ends])[2].startswith("end by themselves (0.44 USD/hour until then): w; each runs poweroff when")
