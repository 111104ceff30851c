"""A double in a process of its own, steered from here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lepton_sdk.testing.doubles import DoubleProcess


def test_levers_are_pulled_and_what_is_wrong_is_said(double: DoubleProcess) -> None:
    double.tell("/settings", boot=1)
    assert double.ask("/settings")["boot"] == 1.0
    with pytest.raises(ValueError, match=r"POST /settings: 400: .*'gravity' is not a setting"):
        double.tell("/settings", gravity=1)
    with pytest.raises(ValueError, match="GET /gravity: 404"):
        double.ask("/gravity")


def test_a_double_that_does_not_begin_is_told(site: Path) -> None:
    with pytest.raises(RuntimeError, match="lepton closet double ended with 2 before it listened"):
        DoubleProcess("closet", "--no-such-option")


def test_a_free_port_for_machines(site: Path) -> None:
    environment = {**os.environ, "CLOSET_MARK": "1"}
    with DoubleProcess("closet", "--ssh-port", "0", folder=site, environment=environment) as double:
        assert int(double.environment["LEPTON_SDK_PROVIDERS_CLOSET_SSH_PORT"]) > 1023
