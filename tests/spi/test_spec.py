"""Specs: what a plugin says of itself is refused at once where it cannot be, and its flags answer what core asks."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_sdk.errors import PluginBroken
from lepton_sdk.spi import ExecutorSpec, PowerOff, ProviderSpec, WatchdogWay


def spec(*flags: str, **fields: Any) -> ProviderSpec:
    return ProviderSpec("acme", **{"title": "Acme", "factory": "acme.provider:create", "capabilities": set(flags)} | fields)


@pytest.mark.parametrize("name", ["", "Acme", "a b", "9acme", "x" * 33, None])
def test_a_name_is_a_short_word(name: Any) -> None:
    with pytest.raises(PluginBroken, match="cannot name a plugin"):
        ProviderSpec(name, title="Acme", factory="acme:create")


@pytest.mark.parametrize("factory", ["acme", "acme.create", "acme:", ":create", "acme:a.b", "acme provider:create", None])
def test_a_factory_is_an_import_string(factory: Any) -> None:
    for make in (lambda: spec(factory=factory), lambda: ExecutorSpec("acme", access="acme", factory=factory)):
        with pytest.raises(PluginBroken, match="is not an import string"):
            make()


def test_a_text_is_no_set_of_flags() -> None:
    with pytest.raises(PluginBroken, match="capabilities is 'local', a text") as caught:
        spec(capabilities="local")
    assert caught.value.hint == 'write a set: {"local"}'


def test_what_begins_by_itself_was_submitted_by_its_provider() -> None:
    plain, held, alone = spec(), spec("submits_job"), spec("starts_alone")
    assert [(one.submits_job, one.starts_alone) for one in (plain, held, alone)] == [(False, False), (True, False), (True, True)]


def test_machines_that_come_by_one_call_have_no_gap_between_them() -> None:
    rates = {"": 1.0, "launch": 12.0}
    assert spec(rates=rates).launch_gap == 12.0
    assert spec(rates={"": 1.0}).launch_gap == 1.0
    assert spec("multi_node", rates=rates).launch_gap == 0.0
    assert spec().launch_gap == 0.0


@pytest.mark.parametrize("way", list(WatchdogWay))
@pytest.mark.parametrize("power_off", list(PowerOff))
def test_a_watchdog_is_for_machines_whose_bill_a_power_off_may_end(way: WatchdogWay, power_off: PowerOff) -> None:
    watched = spec(watchdog=way, power_off=power_off).watched
    assert watched == (way is not WatchdogWay.NONE and power_off in (PowerOff.ENDS, PowerOff.UNKNOWN))


def test_unknown_flags_are_passed_over() -> None:
    assert "of-tomorrow" in spec("of-tomorrow").capabilities
    assert not spec("of-tomorrow").releases_groups
