"""Doubles of clouds: a vendor's API over HTTP, with state, time, stock, a bill, faults, and machines that really run jobs.

Extend `Double`: declare each call of the vendor's API with `route`, with its `Body`; keep the stock in `Double.stock` and the
bill in `Double.ledger`; declare what tests may change or read with `lever` and `view`. `DoubleServer` serves it in this process,
`DoubleCommand` turns it into the command ``lepton NAME double``, and `DoubleProcess` starts that command from a test. It rents
out `SSHMachines`. The how-to "Write a double for your cloud" has a complete one.
"""

from __future__ import annotations

from lepton_sdk.testing.doubles.clock import Pace, VendorClock
from lepton_sdk.testing.doubles.command import DoubleCommand
from lepton_sdk.testing.doubles.double import Double, Settings
from lepton_sdk.testing.doubles.faults import HAPPENS, KINDS, Fault, Faults
from lepton_sdk.testing.doubles.ledger import Charge, Ledger
from lepton_sdk.testing.doubles.process import DoubleProcess
from lepton_sdk.testing.doubles.request import Refused, Reply, Request
from lepton_sdk.testing.doubles.routes import lever, route, view
from lepton_sdk.testing.doubles.server import DoubleServer
from lepton_sdk.testing.doubles.shapes import Body, Shape, anything, either, flag, items, number, record, text
from lepton_sdk.testing.doubles.stock import Stock
from lepton_sdk.testing.isolation import isolated_environment
from lepton_sdk.testing.machines import SSHMachines

__all__ = [
    "HAPPENS",
    "KINDS",
    "Body",
    "Charge",
    "Double",
    "DoubleCommand",
    "DoubleProcess",
    "DoubleServer",
    "Fault",
    "Faults",
    "Ledger",
    "Pace",
    "Refused",
    "Reply",
    "Request",
    "SSHMachines",
    "Settings",
    "Shape",
    "Stock",
    "VendorClock",
    "anything",
    "either",
    "flag",
    "isolated_environment",
    "items",
    "lever",
    "number",
    "record",
    "route",
    "text",
    "view",
]
