"""Which request a fault waits for; `test_server` has what each does to it."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Faults


def test_a_fault_waits_for_what_comes_before_it() -> None:
    faults = Faults()
    faults.add(kind="status", match="GET", after="POST")
    faults.add(kind="slow", match="DELETE", times=2)
    seen = [faults.take(line) for line in ("GET /", "POST /", "GET /", "GET /", "DELETE /", "DELETE /", "DELETE /")]
    assert [one and one.kind for one in seen] == [None, None, "status", None, "slow", "slow", None]
