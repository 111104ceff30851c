"""Test help for applications and for authors of plugins.

`FakeProvider` rents out only this host, and misbehaves on demand. `World`, `SimProcess`, `SimCloud` and `SimNodes` are a
whole cloud in virtual time, in which clients die and providers lie, reproducibly by a seed. `lepton_sdk.testing.doubles` is
separate: doubles of real clouds, which serve their API over HTTP.
"""

from __future__ import annotations

from lepton_sdk._clock import SystemClock
from lepton_sdk.testing.fake import FAKE_SPEC, FakeProvider, fake_offer
from lepton_sdk.testing.simbill import bill
from lepton_sdk.testing.simcloud import SimCloud
from lepton_sdk.testing.simnodes import Running, SimNodes, executions
from lepton_sdk.testing.simprocess import Died, SimProcess
from lepton_sdk.testing.simworld import SIM_SPEC, Faults, Machine, World
from lepton_sdk.testing.virtual import VirtualClock, run_virtual

__all__ = [
    "FAKE_SPEC",
    "SIM_SPEC",
    "Died",
    "FakeProvider",
    "Faults",
    "Machine",
    "Running",
    "SimCloud",
    "SimNodes",
    "SimProcess",
    "SystemClock",
    "VirtualClock",
    "World",
    "bill",
    "executions",
    "fake_offer",
    "run_virtual",
]
