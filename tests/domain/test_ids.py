"""Ids: short, and in order of time."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from values import times

from lepton_sdk.domain.ids import ID_LENGTH, is_id, new_id


@given(times, st.binary(min_size=6, max_size=8), st.timedeltas(timedelta(milliseconds=1), timedelta(days=9)))
def test_ids_sort_by_time(now: datetime, entropy: bytes, later: timedelta) -> None:
    one = new_id(now, entropy)
    assert is_id(one)
    assert len(one) == ID_LENGTH
    assert one < new_id(now + later, bytes(8))
