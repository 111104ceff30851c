"""What an executor answers: it is right and plain, or it is a violation that names field, value and fix."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd import VALUES, Impostor, broken

from lepton_sdk._gate.executions import checked_armed, checked_chunk, checked_command, checked_fetched, checked_status
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.executor import CommandResult, ExecutionState, ExecutionStatus, Fetched

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_STATUS = ExecutionStatus(ExecutionState.FINISHED, 0, None, "exit", _NOW, _NOW, "fine", (1, 2))
_RIGHT: list[tuple[Callable[[Any], Any], Any]] = [
    (checked_status, _STATUS),
    (checked_fetched, Fetched(("a", "b/c"), ((".", "it was cut off"),))),
    (checked_command, CommandResult(0, b"out", b"")),
]
_FIELDS = [(check, right, name) for check, right in _RIGHT for name in type(right).__slots__ if not name.startswith("_")]


@pytest.mark.parametrize(("check", "right"), _RIGHT)
def test_what_is_right_stays_as_it_is(check: Callable[[Any], Any], right: Any) -> None:
    assert check(right) == right


def asked(check: Callable[[Any], Any], value: Any) -> tuple[Any, ContractViolation | None]:
    try:
        return check(value), None
    except ContractViolation as fault:
        return None, fault


@given(st.sampled_from(_FIELDS), VALUES)
def test_anything_in_any_field_is_right_or_a_violation(case: tuple[Callable[[Any], Any], Any, str], value: Any) -> None:
    check, right, name = case
    made, fault = asked(check, broken(right, name, value))
    if fault is None:
        assert type(made) is type(right)
        hash(made)
        assert repr(made)
    else:
        assert fault.message.startswith(f"{name} is ")
        assert fault.hint
        assert len(str(fault)) < 700


@given(VALUES)
def test_anything_else_is_a_violation(value: Any) -> None:
    for check in (checked_status, checked_fetched, checked_command):
        with pytest.raises(ContractViolation, match="give back an object of") as caught:
            check(value)
        assert caught.value.hint
    for simple, kind in ((checked_armed, bool), (checked_chunk, bytes)):
        made, fault = asked(simple, value)
        assert type(made) is kind if fault is None else fault.hint


@pytest.mark.parametrize(("check", "right", "name"), _FIELDS)
def test_what_breaks_whatever_touches_it_is_a_violation(check: Callable[[Any], Any], right: Any, name: str) -> None:
    with pytest.raises(ContractViolation, match=f"{name} is something of type Impostor"):
        check(broken(right, name, Impostor()))


def test_texts_can_be_shown_and_a_clock_that_is_wrong_is_left_out() -> None:
    odd = broken(broken(_STATUS, "detail", "a\x1b[2J\nb" * 1000), "started_at", datetime(1, 1, 1))  # noqa: DTZ001
    made = checked_status(odd)
    assert made.detail.isprintable()
    assert len(made.detail) <= 500
    assert made.started_at is None
    assert made.finished_at == _NOW
