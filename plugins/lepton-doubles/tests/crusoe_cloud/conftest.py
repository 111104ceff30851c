"""Doubles in processes of their own; the published contract judges every exchange with them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "props"))

from crusoe_double import contract_or_none, fresh_double, make_double, vectors  # noqa: F401 - fixtures
