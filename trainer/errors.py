"""The exceptions that a trial raises.

ValueError
├── DataError         a dataset is missing, damaged, or not what the config asks for
├── DeviceError       the config asks for a device that this process does not have
├── TrialFolderError  a trial's folder cannot be used
└── ArtifactError     a file is no artifact, is damaged, or does not fit this version
RuntimeError
└── Busy              another process works in this folder
ArithmeticError
└── Diverged          the loss stopped being a finite number
Exception
└── Stopped           (in `control.py`) the trial was told to end; its checkpoint and `state.json` are written
"""

from __future__ import annotations


class DataError(ValueError):
    """Something is wrong with data: the message names the file, the value, and what to do."""


class DeviceError(ValueError):
    """The config asks for a device that this process does not have."""


class TrialFolderError(ValueError):
    """A trial's folder cannot be used."""


class ArtifactError(ValueError):
    """A file is no artifact, is damaged, or does not fit this version; the message is one line naming the file."""


class Busy(RuntimeError):
    """Another process works in this folder."""


class Diverged(ArithmeticError):
    """The loss stopped being a finite number."""
