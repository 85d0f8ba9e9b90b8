"""A server that speaks as much of the hub's API as a download needs: HEAD with ETag, commit and length, ranged GET."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """Serves `files` (path in the repository → content) of the one dataset repository `repo`.

    `drop_after[path]` lists, for the next GETs of a path, after how many bytes the connection drops.
    `refused` paths are answered with error 500.
    """

    daemon_threads = True

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo, self.files = repo, files
        self.drop_after: dict[str, list[int]] = {}
        self.replies: dict[str, list[bytes]] = {}  # contents for the next GETs, their HEADs included, then `files`
        self.refused: set[str] = set()
        self.gets: Counter[str] = Counter()
        self.ranges: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def content(self, path: str) -> bytes | None:
        replies = self.replies.get(path)
        return replies[0] if replies else self.files.get(path)


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_args: object) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        if match is None or match[1] != self.server.repo:
            return self._refuse(404, "RepoNotFound")
        path = match[3]
        content = self.server.content(path)
        if path in self.server.refused:
            return self._refuse(500, "")
        if content is None:
            return self._refuse(404, "EntryNotFound")
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if with_body:
                self.server.ranges.append(asked)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        replies = self.server.replies.get(path)
        if replies and (with_body or not content):  # of an empty file, a client asks the HEAD alone
            replies.pop(0)
        if with_body:
            self.server.gets[path] += 1
            self._send(path, content[start:])

    def _send(self, path: str, body: bytes) -> None:
        if drops := self.server.drop_after.get(path):
            self.wfile.write(body[: drops.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(repo: str, files: dict[str, bytes]) -> Iterator[HubServer]:
    with HubServer(repo, files) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
