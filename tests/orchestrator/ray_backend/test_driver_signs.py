"""What a driver tells machines that may end themselves, with a head that is a dictionary."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import MachineError, UsageError
from orchestrator.ray_backend.nodes import driver_signs
from orchestrator.ray_backend.nodes.driver_signs import NAMESPACE, PREFIX, DriverSigns, answer, saying_at_work


class Head:
    """The store and the nodes of a head. One that is away raises, as Ray's does."""

    def __init__(self) -> None:
        self.store, self.is_away, self.nodes = dict[bytes, bytes](), False, dict[bytes, Any]()

    def __call__(self, address: str) -> Head:
        return self

    def internal_kv_put(self, key: bytes, value: bytes, overwrite: bool, namespace: bytes, timeout: float) -> int:
        self._require(namespace, timeout)
        assert overwrite
        self.store[key] = value
        return 1

    def internal_kv_del(self, key: bytes, by_prefix: bool, namespace: bytes, timeout: float) -> int:
        self._require(namespace, timeout)
        return int(self.store.pop(key, None) is not None)

    def internal_kv_keys(self, prefix: bytes, namespace: bytes, timeout: float) -> list[bytes]:
        self._require(namespace, timeout)
        return [key for key in self.store if key.startswith(prefix)]

    def internal_kv_multi_get(self, keys: list[bytes], namespace: bytes, timeout: float) -> dict[bytes, bytes]:
        self._require(namespace, timeout)
        return {key: self.store[key] for key in keys}

    def get_all_node_info(self, timeout: float) -> dict[bytes, Any]:
        self._require(NAMESPACE, timeout)
        return self.nodes

    def _require(self, namespace: bytes, timeout: float) -> None:
        assert namespace == NAMESPACE and timeout > 0
        if self.is_away:
            raise RuntimeError("Timed out while waiting for GCS to become available.")

    @property
    def signs(self) -> dict[str, Any]:
        return dict(answer(self, ("10.0.0.7", 6380))["drivers"])


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Head:
    made = Head()
    monkeypatch.setattr(driver_signs, "GcsClient", made)
    return made


def signs_of(run: str) -> DriverSigns:
    return DriverSigns("10.0.0.1:6379", Path(run))


def test_each_beat_is_another_one(head: Head) -> None:
    """Also of two calls of one run, which share a key; another run has its own."""
    beats = set()
    for _ in range(2):
        signs = signs_of("/runs/a")
        for _ in range(3):
            signs.beat()
            [sign] = head.signs.values()
            beats.add(sign["beat"])
            assert sign["end"] is None
    signs_of("/runs/b").beat()
    assert len(beats) == 6 and len(head.signs) == 2


@pytest.mark.parametrize("end", ["finished", "failed"])
def test_its_end_is_the_last_that_is_heard(head: Head, end: str) -> None:
    """No beat comes after it."""
    signs = signs_of("/runs/a")
    with saying_at_work(signs, lambda: end):
        signs.beat()
    signs.beat()
    assert [sign["end"] for sign in head.signs.values()] == [end]


@pytest.mark.parametrize("error", [UsageError("refused"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_sweep_that_its_user_ended(head: Head, error: BaseException) -> None:
    """Nor of one that was refused: the user is there."""
    with pytest.raises(type(error)), saying_at_work(signs_of("/runs/a"), lambda: "finished"):
        raise error
    with saying_at_work(signs_of("/runs/b"), lambda: None):
        pass
    assert head.signs == {}


def test_an_error_is_a_failure(head: Head) -> None:
    """As for `on_finish`."""
    with pytest.raises(MachineError), saying_at_work(signs_of("/runs/a"), lambda: "finished"):
        raise MachineError("the disk")
    assert [sign["end"] for sign in head.signs.values()] == ["failed"]


def test_a_head_that_is_away_ends_no_sweep(head: Head) -> None:
    """The next beat says it again."""
    signs, head.is_away = signs_of("/runs/a"), True
    signs.beat()
    head.is_away = False
    assert head.signs == {}
    signs.beat()
    assert len(head.signs) == 1
    head.is_away = True
    signs.end("finished")


def test_what_another_version_wrote_ends_no_machine(head: Head) -> None:
    """What cannot be read is no driver, and no error."""
    for number, value in enumerate((b"", b"\xff", b"[]", b"3", b'{"beat": 1}', b'{"beat": 1, "end": null, "new": 2}')):
        head.store[PREFIX + str(number).encode()] = value
    head.store[b"other:1"] = json.dumps({"beat": "1", "end": None}).encode()
    assert head.signs == {"driver:5": {"beat": "1", "end": None}}


def test_a_member_is_a_living_node_with_this_address_and_port(head: Head) -> None:
    """Another node of this machine has another port."""

    def node(port: int, state: int) -> SimpleNamespace:
        return SimpleNamespace(node_manager_address="10.0.0.7", node_manager_port=port, state=state)

    for nodes, expected in (([], False), ([node(6380, 0)], True), ([node(6380, 1), node(6700, 0)], False)):
        head.nodes = {str(number).encode(): one for number, one in enumerate(nodes)}
        assert answer(head, ("10.0.0.7", 6380))["is_member"] is expected
