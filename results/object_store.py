"""Object stores (`s3://`, `gs://`, `az://`): opened by URI, and a run in one as a folder that can be read."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from results.errors import ResultsError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config
    from obstore.store import ObjectStore as Bucket

SCHEMES = ("s3", "gs", "az")
LOCK_FILE = "driver.json"  # of a run: who drives it
NUM_AT_ONCE = 16  # requests
SECONDS_OF_RETRIES = 20  # of one request: a server that is overloaded (500, 503, 429), or that does not answer
ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
# What the packages under ours say, and what it means.
MEANINGS = {
    "NoSuchBucket": "there is no such bucket",
    "bucket does not exist": "there is no such bucket",
    "InvalidAccessKeyId": "the key is not known there: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret does not fit the key: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired",
    "AccessDenied": "the key may not do that there",
    "403 Forbidden": "the key may not do that there",
    "401 Unauthorized": "the key is not accepted",
    "169.254.169.254": "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "SlowDown": "it asks to slow down, and went on asking",
    "503 Service": "it is overloaded, and stayed so",
    "500 Internal": "it answers with errors (500), and went on doing so",
    "operation timed out": "it did not answer in time",
    "error sending request": "nothing answers there",
}


def is_uri(text: str) -> bool:
    """Whether a name is that of something in an object store, and not of a local folder."""
    return "://" in text


def open_bucket(uri: str) -> Bucket:
    """What lies below a URI. Nothing is asked of the server yet.

    Keys and the endpoint come from the environment, as the tools of each store read them: `AWS_ACCESS_KEY_ID`,
    `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`; `GOOGLE_APPLICATION_CREDENTIALS`; `AZURE_STORAGE_…`.

    Raises:
        ResultsError: if it is no URI of a store that is known here.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    scheme, _, rest = uri.partition("://")
    if scheme not in SCHEMES or not rest or rest.startswith("/"):
        known = ", ".join(f"{one}://BUCKET/FOLDER" for one in SCHEMES)
        raise ResultsError(f"{uri} cannot be opened: give a local folder, or one of {known}")
    endpoint = next((os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)), "")
    client: ClientConfig = {"timeout": "60s", "connect_timeout": "5s", "allow_http": endpoint.startswith("http://")}
    options: S3Config = {"endpoint": endpoint} if endpoint and scheme == "s3" else {}
    retries: RetryConfig = {"max_retries": 10, "retry_timeout": timedelta(seconds=SECONDS_OF_RETRIES)}
    try:
        return from_url(uri.rstrip("/"), config=options, client_options=client, retry_config=retries)
    except (BaseError, ValueError) as error:
        raise ResultsError(f"{uri} cannot be opened: {in_one_line(error)}") from None


def in_one_line(error: BaseException) -> str:
    """What an error of a store means, without the pages that come with it."""
    text = str(error)
    for words, meaning in MEANINGS.items():
        if words in text:
            return meaning
    first = text.partition("\n")[0]
    return re.sub(r"^Generic \w+ error: ", "", first)[:200] or type(error).__name__


def list_files(bucket: Bucket, folder: str = "") -> dict[str, int]:
    """Bytes of every file below a folder of the bucket, by its path relative to the bucket's root.

    Raises:
        obstore's errors: if the store does not answer, or refuses.
    """
    import obstore

    return {one["path"]: one["size"] for page in obstore.list(bucket, folder or None) for one in page}


def fetch_run(uri: str, to: Path | None = None) -> Path:
    """A run's tables and the files beside them, without its trials, as a folder.

    Args:
        to: the folder; None makes one that is removed at the end.

    Raises:
        ResultsError: if there is no run, or the store does not answer or refuses.
    """
    from obstore.exceptions import BaseError

    bucket = open_bucket(uri)
    try:
        names = [*_top_files(bucket), *list_files(bucket, "tables")]
        if "sweep.yaml" not in names:
            raise ResultsError(f"{uri} holds no run: there is no sweep.yaml")
        folder = _passing_folder(uri) if to is None else to
        _download(bucket, names, folder)
    except (BaseError, OSError) as error:
        raise ResultsError(f"{uri} cannot be read: {in_one_line(error)}") from None
    return folder


def fetch_file(uri: str, name: str) -> bytes | None:
    """The content of one file of a run; None if there is none.

    Raises:
        ResultsError: if the store does not answer or refuses.
    """
    import obstore
    from obstore.exceptions import BaseError

    try:
        return bytes(obstore.get(open_bucket(uri), name).bytes())
    except FileNotFoundError:
        return None
    except (BaseError, OSError) as error:
        raise ResultsError(f"{uri}: {name} cannot be read: {in_one_line(error)}") from None


def _passing_folder(uri: str) -> Path:
    """A folder with the run's name, which pages and messages say, that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="frostline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder / uri.rstrip("/").rpartition("/")[2]


def _top_files(bucket: Bucket) -> list[str]:
    import obstore

    found = [one["path"] for one in obstore.list_with_delimiter(bucket)["objects"]]
    return [name for name in found if name != LOCK_FILE]


def _download(bucket: Bucket, names: Sequence[str], folder: Path) -> None:
    import obstore

    def download(name: str) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(obstore.get(bucket, name).bytes())

    with ThreadPoolExecutor(NUM_AT_ONCE) as pool:
        list(pool.map(download, names))
