"""Doubles in processes of their own; the published contract judges every exchange with them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "props"))

from lambda_double import contract_or_none, fresh_double, shared_double, start_double  # noqa: F401 - fixtures
