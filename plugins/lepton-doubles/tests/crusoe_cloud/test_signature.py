"""Signatures, held against the vendor's own vectors where they are at hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lepton_doubles.crusoe_cloud.signature import expected_signature, why_refused

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_SECRET = "c2VjcmV0LWtleS1mb3ItdGVzdHM"


def _why(authorization: str, at: datetime = _NOW, stamp: str = "") -> str:
    return why_refused({"key": _SECRET}, "GET", "/v1/x?a=1", authorization, stamp or at.isoformat(), _NOW)


def _signed(at: datetime = _NOW) -> str:
    return f"Bearer 1.0:key:{expected_signature(_SECRET, 'GET', '/v1/x?a=1', at.isoformat())}"


def test_it_signs_as_the_vendor_does(vectors: list[list[str]]) -> None:
    assert vectors
    for method, target, timestamp, _, signature in vectors:
        assert expected_signature(_SECRET, method, target, timestamp) == signature


def test_a_good_signature_is_let_in() -> None:
    assert _why(_signed()) == ""


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        ("", "no signature"),
        ("Bearer key", "no signature"),
        ("Bearer 2.0:key:x", "no signature"),
        ("Bearer 1.0:other:x", "unknown access key"),
        ("Bearer 1.0:key:x", "signature does not match"),
    ],
)
def test_a_bad_one_is_not(authorization: str, why: str) -> None:
    assert _why(authorization) == why


def test_a_clock_that_is_off_is_told() -> None:
    late = _NOW - timedelta(hours=1)
    assert _why(_signed(late), late) == "timestamp is 3600 seconds off"
    assert _why(_signed(), stamp="yesterday") == "no valid timestamp"
