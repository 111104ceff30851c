"""Every example in a docstring holds."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

from lepton_sdk.testing import doubles


@pytest.mark.parametrize("name", [one.name for one in pkgutil.iter_modules(doubles.__path__)])
def test_the_examples_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"{doubles.__name__}.{name}")).failed == 0
