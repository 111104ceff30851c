"""``lepton`` whose claims last three seconds, so that a test can wait for one to run out."""

from __future__ import annotations

from attrs import evolve

from lepton_sdk._engine import timing
from lepton_sdk.cli.main import main

timing.USUAL = evolve(timing.USUAL, claim=3.0, renewal=0.5)

if __name__ == "__main__":
    main()
