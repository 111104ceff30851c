"""``lepton`` whose claims last three seconds, so that a test can wait for one to run out."""

from __future__ import annotations

from lepton_sdk._engine.claims import renewal as claim
from lepton_sdk.cli.main import main

claim._CLAIM_SECONDS, claim._RENEW_SECONDS = 3.0, 0.5

if __name__ == "__main__":
    main()
