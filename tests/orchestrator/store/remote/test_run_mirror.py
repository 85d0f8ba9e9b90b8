"""What lies in the object store is always a run folder that a driver can go on from, and at the end all of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_link import Clock
from rich.console import Console
from s3_server import BUCKET, S3Server, error_body, s3_server

from orchestrator.errors import MachineError, UsageError
from orchestrator.store.remote import driver_lock
from orchestrator.store.remote import remote_run as remote_runs
from orchestrator.store.remote.driver_lock import DriverLock
from orchestrator.store.remote.object_store import ObjectStore
from orchestrator.store.remote.remote_run import local_copy, remote_run
from orchestrator.store.remote.run_mirror import LARGE_TABLE_BYTES, RunMirror
from orchestrator.store.run_store import TransferError
from results import ResultsError, object_store
from results.object_store import LOCK_FILE, fetch_run, open_bucket

FILES = {
    "environment.json": b"{}",
    "versions/001.yaml": b"name: x",
    "sweep.yaml": b"name: x",
    "suggestions.jsonl": b"{}\n",
    "trials/a/config.yaml": b"recipe: baseline",
    "trials/a/artifact.frost": b"bytes",
    "trials/a/curve.parquet": b"curve",
    "trials/a/result.json": b"{}",
    "trials/b/config.yaml": b"recipe: selective",
    "trials/b/checkpoint/state.pt": b"state",
    "trials/b/hang.txt": b"training 600",
    "tables/trials/trials-000000.parquet": b"table",
}


class Run:
    """A run folder and its mirror in a bucket of its own folder."""

    def __init__(self, server: S3Server, root: Path, name: str) -> None:
        self.server, self.root, self.prefix = server, root, f"runs/{name}"
        self.uri = f"s3://{BUCKET}/{self.prefix}"
        self.clock = Clock()
        self.lock = DriverLock(open_bucket(self.uri), self.uri, "copy", self.clock)
        self.lock.acquire(print)
        self.puts: list[str] = []

    def write(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")  # replaced, as the trainer does
        temporary.write_bytes(content)
        temporary.replace(path)

    def mirror(self) -> RunMirror:
        run, store = self, ObjectStore(open_bucket(self.uri), self.uri)

        class Recording(ObjectStore):
            def put(self, path: str, source: io.BufferedReader) -> None:  # type: ignore[override]
                super().put(path, source)
                run.puts.append(path)

        return RunMirror(self.root, Recording(store.bucket, self.uri), self.lock, self.clock)

    def here(self) -> dict[str, bytes]:
        paths = [path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith(".")]
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}

    def there(self) -> dict[str, bytes]:
        return {name: content for name, content in self.server.files(self.prefix).items() if name != LOCK_FILE}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr(object_store, "SECONDS_OF_RETRIES", 0)
    with s3_server() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def run(server: S3Server, tmp_path: Path) -> Run:
    made = Run(server, tmp_path / "run", tmp_path.name)
    for name, content in FILES.items():
        made.write(name, content)
    return made


def test_the_store_holds_what_the_folder_holds(run: Run) -> None:
    """After each pass: files that are new, changed and gone, of the run and of trials, ended or not."""
    mirror = run.mirror()
    mirror.send(with_checkpoints=True)
    assert run.there() == run.here() == FILES
    run.write("suggestions.jsonl", b"{}\n{}\n")
    run.write("trials/b/result.json", b"{}")
    for name in ("trials/b/checkpoint/state.pt", "trials/b/hang.txt"):
        (run.root / name).unlink()
    (run.root / "trials" / "a" / "result.json").rename(run.root / "trials" / "a" / "result.failed.json")
    mirror.send(with_checkpoints=True)
    assert run.there() == run.here() and "trials/a/result.failed.json" in run.here()


def test_what_has_not_changed_is_not_sent_again(run: Run) -> None:
    """Neither by the next pass nor by the next driver of this copy; what changed between drivers is."""
    run.mirror().send(with_checkpoints=True)
    run.puts.clear()
    mirror = run.mirror()
    mirror.send(with_checkpoints=True)
    mirror.send(with_checkpoints=True)
    assert run.puts == []
    run.write("trials/b/progress.json", b"{}")
    (run.root / "trials" / "b" / "hang.txt").unlink()
    run.mirror().send(with_checkpoints=True)
    assert run.puts == ["trials/b/progress.json"] and run.there() == run.here()


def test_a_result_is_sent_last_and_what_was_decided_first(run: Run) -> None:
    """The record of the search before trials, all files of a trial before its result, the tables at the end."""
    run.mirror().send(with_checkpoints=True)
    at = {name: index for index, name in enumerate(run.puts)}
    own = [at[name] for name in ("environment.json", "versions/001.yaml", "suggestions.jsonl")]
    assert max(own) < at["sweep.yaml"] < min(at[name] for name in at if name.startswith("trials/"))
    files = [at[f"trials/a/{name}"] for name in ("config.yaml", "artifact.frost", "curve.parquet")]
    assert max(files) < at["trials/a/result.json"] < at["tables/trials/trials-000000.parquet"]


@pytest.mark.parametrize("num_done", range(len(FILES)))
def test_a_store_that_fails_in_the_middle_loses_nothing(run: Run, num_done: int) -> None:
    """Whatever had been sent is a run folder without the rest, and the next pass sends the rest."""
    left = [num_done]

    def is_refused(environ: dict[str, object]) -> bool:
        left[0] -= environ["REQUEST_METHOD"] == "PUT"
        return left[0] < 0

    run.server.answer, run.server.applies = ("500 Internal Server Error", error_body("InternalError")), is_refused
    mirror = run.mirror()
    mirror.look()
    assert mirror.problem is not None and "it answers with errors (500)" in mirror.problem
    run.server.answer = None
    there = run.there()
    assert "trials/a/result.json" not in there or {name for name in FILES if name.startswith("trials/a/")} <= set(there)
    assert "sweep.yaml" not in there or {"environment.json", "versions/001.yaml"} <= set(there)
    mirror.look()
    assert mirror.problem is None and run.there() == run.here()


def test_checkpoints_take_a_tenth_of_the_link(run: Run) -> None:
    """After one that took a second, the next is sent nine seconds later; other files do not wait."""
    mirror = run.mirror()
    put = mirror.store.put

    def slow(name: str, source: io.BufferedReader) -> None:
        run.clock.sleep(1.0 if "checkpoint" in name else 0.0)
        put(name, source)

    mirror.store.put = slow  # type: ignore[method-assign, assignment]
    mirror.look()
    for second in range(9):
        run.write("trials/b/checkpoint/state.pt", b"state %d" % second)
        run.write("trials/b/progress.json", b"%d" % second)
        mirror.look()
        assert run.there()["trials/b/checkpoint/state.pt"] == b"state"
        assert run.there()["trials/b/progress.json"] == b"%d" % second
        run.clock.sleep(1.0)
    mirror.look()
    assert run.there() == run.here()


def test_a_large_table_is_sent_as_rarely(run: Run) -> None:
    """A small one goes with every pass; the large one that waited is sent at the end."""
    mirror = run.mirror()
    for size, waits in ((1_000, False), (LARGE_TABLE_BYTES + 1, True)):
        run.write("tables/curves/curves-000002.parquet", bytes(size))
        mirror.send(with_checkpoints=False)
        assert (run.there().get("tables/curves/curves-000002.parquet") != bytes(size)) == waits
    mirror.send(with_checkpoints=True)
    assert run.there() == run.here()


def test_a_checkpoint_that_waited_is_sent_though_its_trial_has_ended(run: Run) -> None:
    """One of a trial that was stopped early: nothing of it changes any more."""
    mirror = run.mirror()
    mirror.send(with_checkpoints=False)
    run.write("trials/b/state.json", b"{}")
    mirror.send(with_checkpoints=False)
    assert "trials/b/checkpoint/state.pt" not in run.there()
    mirror.send(with_checkpoints=True)
    assert run.there() == run.here()


def test_a_driver_that_lost_its_lock_sends_nothing(run: Run) -> None:
    """Not even the first file of a pass."""
    run.lock.lost = "another driver works there now"
    with pytest.raises(TransferError, match="another driver"):
        run.mirror().send(with_checkpoints=True)
    assert run.there() == {}


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(remote_runs, "SECONDS_TO_SEND_THE_REST", 0.5)
    monkeypatch.setattr(driver_lock, "SECONDS_OF_LEASE", 2)  # the next driver is in this process, which lives
    monkeypatch.setenv("FROSTLINE_CACHE", str(tmp_path / "here"))
    yield tmp_path


def use_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FROSTLINE_CACHE", str(folder))


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def test_another_machine_goes_on_with_what_the_store_holds(
    server: S3Server, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but artifacts is fetched there; what it adds is sent, and artifacts stay; the first one fetches that."""
    uri, console = f"s3://{BUCKET}/runs/{caches.name}/", Console(quiet=True)
    with remote_run(uri, console) as remote:
        assert remote.folder.shown == uri.rstrip("/") and remote.folder.root == local_copy(uri)
        write(remote.folder.root, FILES)
    use_cache(monkeypatch, caches / "elsewhere")
    with remote_run(uri, console) as remote:
        found = {path.relative_to(remote.folder.root).as_posix() for path in remote.folder.root.rglob("[!.]*.*")}
        assert found == set(FILES) - {"trials/a/artifact.frost"}
        write(remote.folder.root, {"trials/c/result.json": b"new"})
        (remote.folder.root / "trials" / "b" / "hang.txt").unlink()
    there = server.files(f"runs/{caches.name}")
    assert there["trials/a/artifact.frost"] == b"bytes" and there["trials/c/result.json"] == b"new"
    assert "trials/b/hang.txt" not in there
    use_cache(monkeypatch, caches / "here")
    (local_copy(uri) / "trials" / "a" / "config.yaml").write_bytes(b"stale")
    with remote_run(uri, console) as remote:
        assert (remote.folder.root / "trials" / "c" / "result.json").read_bytes() == b"new"
        assert (remote.folder.root / "trials" / "a" / "config.yaml").read_bytes() == FILES["trials/a/config.yaml"]


def test_what_could_not_be_sent_at_the_end_is_sent_by_the_next_call(server: S3Server, caches: Path) -> None:
    """A store that dies costs nothing: one line says where the files are."""
    uri, console = f"s3://{BUCKET}/runs/{caches.name}", Console(quiet=True)
    expected = pytest.raises(MachineError, match=r"500.*What could not be sent is in .*: the same command sends it")
    with expected, remote_run(uri, console) as remote:
        write(remote.folder.root, FILES)
        server.answer = ("500 Internal Server Error", error_body("InternalError"))
    server.answer = None
    with remote_run(uri, console):
        pass
    assert FILES.items() <= server.files(f"runs/{caches.name}").items()


def test_a_file_that_does_not_come_whole_is_not_taken(
    server: S3Server, caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that ends in the middle: no copy, and the next call fetches everything."""
    uri, console = f"s3://{BUCKET}/runs/{caches.name}", Console(quiet=True)
    with remote_run(uri, console) as remote:
        write(remote.folder.root, FILES)
    use_cache(monkeypatch, caches / "elsewhere")
    monkeypatch.setattr(ObjectStore, "read", lambda self, path, offset, num_bytes: b"")
    with pytest.raises(MachineError, match="did not come whole"), remote_run(uri, console):
        pass
    monkeypatch.undo()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    use_cache(monkeypatch, caches / "elsewhere")
    with remote_run(uri, console) as remote:
        assert (remote.folder.root / "trials" / "a" / "result.json").read_bytes() == b"{}"


def test_trouble_is_said_once_and_so_is_its_end(server: S3Server, caches: Path) -> None:
    """And a lock that is lost ends the sweep."""
    with remote_run(f"s3://{BUCKET}/runs/{caches.name}", Console(quiet=True)) as remote:
        notes: list[str] = []
        stops: list[str] = []
        for problem in (None, "s3://… does not answer", "s3://… does not answer", None, None):
            remote.mirror.problem = problem
            remote.report(notes.append, stops.append)
        assert len(notes) == 2 and "the sweep goes on" in notes[0] and "answers again" in notes[1] and not stops
        remote.mirror.lock.lost = "another driver works there now"
        remote.report(notes.append, stops.append)
        assert stops == ["another driver works there now"]
        remote.mirror.lock.lost = None


@pytest.mark.parametrize("uri", ["ftp://host/run", "s3://", "s3:///run"])
def test_what_is_no_store_is_said(uri: str) -> None:
    """Before anything starts."""
    expected = pytest.raises(UsageError, match=r"cannot be opened: give a local folder, or one of s3://BUCKET/FOLDER")
    with expected, remote_run(uri, Console(quiet=True)):
        pass


def test_a_run_that_is_not_there_cannot_be_read(server: S3Server) -> None:
    """Neither one that nobody wrote, nor one in a bucket that does not exist."""
    with pytest.raises(ResultsError, match=r"holds no run: there is no sweep\.yaml"):
        fetch_run(f"s3://{BUCKET}/runs/none")
    with pytest.raises(ResultsError, match="there is no such bucket"):
        fetch_run("s3://another-bucket/runs/night")
