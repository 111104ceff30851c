"""lepton_sdk: one Python API over every place that has GPUs.

>>> from lepton_sdk import Job
>>> Job("python train.py", resources="H100:8").resources.gpu[0].count
8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepton_sdk._lazy import Door

if TYPE_CHECKING:
    from lepton_sdk._names import *  # noqa: F403 - the one list of them

    __version__: str


def _version() -> str:
    from importlib.metadata import version

    return version("lepton-sdk")


# Names load on first use: a program that builds jobs pays for nothing else.
_DOOR = Door(__name__, ("errors", "spi", "testing"), {"__version__": _version})
__all__ = _DOOR.names
__getattr__ = _DOOR.load
__dir__ = _DOOR.listed
