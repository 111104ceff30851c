"""The clock of this host."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lepton_sdk._clock import Anchor, SteadyClock

_HOURS = timedelta(hours=3)


def test_the_real_clock_follows_the_kernel_and_not_the_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SteadyClock()
    if not clock.boot:
        pytest.skip("this platform does not name its boots")
    before = clock.now()
    monkeypatch.setattr(SteadyClock, "wall", lambda _: before + _HOURS)
    assert abs((clock.now() - before).total_seconds()) < 60
    assert clock.moved() == pytest.approx(_HOURS.total_seconds(), abs=60)
    assert Anchor.from_text(clock.anchor.to_text()) == clock.anchor
    assert Anchor.from_text("{}") is None
