"""``python -m lepton_sdk`` is ``lepton``."""

from __future__ import annotations

from lepton_sdk.cli.main import main

if __name__ == "__main__":
    main()
