"""The door for plugin authors: specs, contracts and the values that they exchange with core.

Names load on first use, so that a spec module which imports ``ProviderSpec`` from here stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lepton_sdk._lazy import Door

if TYPE_CHECKING:
    from lepton_sdk.spi._names import *  # noqa: F403 - the one list of them

_DOOR = Door(__name__)
__all__ = _DOOR.names
__getattr__ = _DOOR.load
__dir__ = _DOOR.listed
