"""Whatever a keeper answers ends as a status that can be, or as an error that says that it makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.executors.sane import holds

from lepton_sdk._executors.keeper.status import read_answer, told_clock
from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState

_NOW = datetime(2026, 5, 1, tzinfo=UTC)
_quick = settings(max_examples=300, deadline=None)
_GOOD = {
    "lives": "",
    "running": "",
    "failures": "1 137",
    "started": "1777500000.123456789",
    "state": "finished",
    "code": "3",
    "reason": "exit",
    "finished": "1777500100.5",
    "detail": "it went well",
}
_EVIL = st.one_of(
    st.sampled_from(["", "abc", "1e300", "nan", "inf", "-1", "-65", "256", "9" * 30, "٣", "1_0", "0x10", "+1", "1 ", "\x1b[2J"]),
    st.text(max_size=20),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
)


def test_the_answer_that_is_mutated_is_good() -> None:
    status = read_answer([f"{word} {value}" for word, value in _GOOD.items()], _NOW)
    assert (status.state, status.exit_code, status.failures) == (ExecutionState.FINISHED, 3, (1, 137))
    assert status.started_at is not None
    assert status.finished_at is not None


@settings(max_examples=1500, deadline=None)
@given(data=st.data(), word=st.sampled_from(sorted(_GOOD)), evil=_EVIL)
def test_one_field_that_is_wrong(data: st.DataObject, word: str, evil: str) -> None:
    said = dict(_GOOD)
    if data.draw(st.booleans()):
        for gone in data.draw(st.sets(st.sampled_from(sorted(_GOOD)), max_size=3)):
            del said[gone]
    said[word] = evil
    found: Any
    try:
        found = read_answer([f"{word} {value}" for word, value in said.items()], _NOW)
    except NodeUnreachable as error:
        found = error
    holds(found)


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"started": "9" * 12}, "started_at"),
        ({"started": "1e300"}, "started_at"),
        ({"started": "12"}, "started_at"),
        ({"finished": "1e300"}, "finished_at"),
        ({"finished": "1777499999"}, "finished_at"),
        ({"finished": "1877500000"}, "finished_at"),
    ],
)
def test_a_time_that_cannot_be_is_left_out_and_the_rest_is_believed(changes: dict[str, str], gone: str) -> None:
    status = read_answer([f"{word} {value}" for word, value in (_GOOD | changes).items()], _NOW)
    assert (status.exit_code, getattr(status, gone)) == (3, None)


@pytest.mark.parametrize(
    "changes", [{"code": "abc"}, {"code": ""}, {"code": "256"}, {"code": "-65"}, {"reason": "sunday"}, {"failures": "1 2 x"}]
)
def test_a_result_that_cannot_be_is_no_result(changes: dict[str, str]) -> None:
    with pytest.raises(NodeUnreachable, match="makes no sense"):
        read_answer([f"{word} {value}" for word, value in (_GOOD | changes).items()], _NOW)


@given(st.text(max_size=30))
@example("clock 1e3")
@example("clock 99999999999999999999")
def test_a_clock_is_a_number_that_a_shell_can_count_with(line: str) -> None:
    told = told_clock([line, "clock " + line])
    assert told is None or 0 <= told < 10**13
