"""The versions that a result may depend on, and whether two machines agree in them."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping

PACKAGES = ("frostline", "torch")


def own_versions() -> dict[str, str]:
    """Of frostline, torch and Python in this process; empty for a checkout of frostline that was not installed."""
    return {**{name: version_of(name) for name in PACKAGES}, "python": platform.python_version()}


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """In which versions a worker (`theirs`) differs from the driver (`ours`), in words; empty if in none.

    Builds of one torch for other devices are equal (2.13.0+cpu and 2.13.0+cu130), and so are Pythons of one minor.
    """
    wrong = [name for name in ours if _shared(name, theirs.get(name, "")) != _shared(name, ours[name])]
    return ", ".join(f"{name} {theirs.get(name) or 'unknown'} (the driver has {ours[name]})" for name in wrong)


def version_of(package: str) -> str:
    """Of an installed package; empty for a checkout of frostline that was not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _shared(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == "python" else version.partition("+")[0]
