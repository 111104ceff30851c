"""``lepton`` with the vendors' clockwork and our own waits sped up: ``quick.py run --provider lambda …``.

What a vendor does within minutes a double does at once, so only the declared times change, and no line of code.
``LEPTON_TEST_SKEW`` sets this process's clock off by so many seconds.
"""

from __future__ import annotations

import os
from datetime import timedelta

from attrs import evolve

import lepton_crusoe.plugin
import lepton_lambda.plugin
import lepton_sdk.spi.http
from lepton_sdk._clock import SystemClock
from lepton_sdk._engine import timing
from lepton_sdk.cli.main import main
from lepton_sdk.spi import Timings

_QUICK = Timings(listing_lag=0.3, create_horizon=0.7, boot=60, poll=0.1)


lepton_lambda.plugin.PROVIDER = evolve(lepton_lambda.plugin.PROVIDER, timings=_QUICK, rates={})
lepton_crusoe.plugin.PROVIDER = evolve(lepton_crusoe.plugin.PROVIDER, timings=_QUICK, rates={})
lepton_sdk.spi.http._TRANSFER = 2.0
timing.USUAL = evolve(timing.USUAL, claim=3.0, renewal=0.5)
if "LEPTON_TEST_SKEW" in os.environ:
    _OFF = timedelta(seconds=float(os.environ["LEPTON_TEST_SKEW"]))
    _NOW = SystemClock.now
    SystemClock.now = lambda clock: _NOW(clock) + _OFF  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    main()
