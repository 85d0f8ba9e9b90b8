"""Ray's settings that must be in the environment before `ray` is imported."""

from __future__ import annotations

import os
import secrets
import sys

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own: one Ctrl-C checkpoints, two leave
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshots are never read: the trial folders are the truth
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray would end the driver with a message of its own: `head_watch.py` does so before
    "RAY_gcs_rpc_server_reconnect_timeout_s": "120",
    "RAY_grpc_keepalive_timeout_ms": "150000",  # as on the nodes: a network that is cut for a minute loses nothing
}
# Ray's word for "no cluster" on Windows and macOS. On Linux, too, it makes Ray listen on 127.0.0.1 alone.
EMBEDDED_SETTINGS = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def prepare_ray_environment(*, is_embedded: bool) -> None:
    """Set what the user has not set. Call it before the first import of `ray`.

    An embedded Ray listens on the loopback interface alone. Other users of the machine are kept out by token
    authentication, with a token of its own, kept in this process and its children and written to no disk. A cluster
    named by --address has its own token, which Ray takes from RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or its default file.
    """
    for name, value in {**SETTINGS, **(EMBEDDED_SETTINGS if is_embedded else {})}.items():
        os.environ.setdefault(name, value)
    if is_embedded and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
