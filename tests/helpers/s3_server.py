"""A real S3 server on loopback (moto's), with faults that can be switched on: errors, silence, throttling."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
Environ = dict[str, Any]
Start = Callable[..., Any]


class S3Server:
    """Serves buckets in memory, of which one is there.

    `answer`: a status and a body for every request, instead of what is asked; `applies`: only to requests for which it
    is true. `is_silent`: requests wait until it is False. `without_conditions`: If-Match and If-None-Match mean
    nothing, as in older stores.
    """

    def __init__(self) -> None:
        self.answer: tuple[str, str] | None = None
        self.applies: Callable[[Environ], bool] = lambda environ: True
        self.is_silent, self.without_conditions = False, False
        self.requests: list[tuple[str, str]] = []
        self._app = DomainDispatcherApplication(create_backend_app)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server: BaseWSGIServer = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.client().create_bucket(Bucket=BUCKET)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    def client(self) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self.url, **keys)

    def names(self, prefix: str) -> list[str]:
        """Paths of the files below a folder of the bucket, relative to it."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [one["Key"].removeprefix(f"{prefix}/") for page in pages for one in page.get("Contents", ())]

    def files(self, prefix: str) -> dict[str, bytes]:
        """What lies below a folder of the bucket, by its path relative to it. Nobody may be writing there."""
        client = self.client()
        keys = {name: f"{prefix}/{name}" for name in self.names(prefix)}
        return {name: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for name, key in keys.items()}

    def close(self) -> None:
        self.is_silent = False
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: Environ, start: Start) -> Iterable[bytes]:
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        while self.is_silent:
            time.sleep(0.05)
        if self.answer is not None and self.applies(environ):
            status, body = self.answer
            start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body.encode()]
        if self.without_conditions:
            environ.pop("HTTP_IF_MATCH", None)
            environ.pop("HTTP_IF_NONE_MATCH", None)
        answer: Iterable[bytes] = self._app(environ, start)
        return answer


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server that ends with the block."""
    server = S3Server()
    try:
        yield server
    finally:
        server.close()


def error_body(code: str) -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
