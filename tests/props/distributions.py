"""The fixture distributions, installed for real, and processes that see them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_FIXTURES = Path(__file__).parents[1] / "fixtures" / "plugins"
_OPTIONS = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")

Python = Callable[..., Any]

_PROLOGUE = """
import asyncio, json, os, sys
from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.errors import LeptonError
config = load_config()
registry = Registry(config, SystemClock())
def error(call, *args):
    try:
        call(*args)
    except LeptonError as failure:
        return failure.to_dict()
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed every distribution of ``tests/fixtures/plugins``."""
    for needed in ("pip", "hatchling"):
        if find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed, so the fixture plugins cannot be")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", *_OPTIONS, "--target", str(target)]
    subprocess.run([*command, *map(str, sorted(_FIXTURES.iterdir()))], check=True)
    return target


@pytest.fixture(scope="session")
def python(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Run code in a new process with the fixture plugins; gives back what the code called ``answer`` is, through JSON.

    Keyword arguments: ``config``, the text of the config file; all others are environment variables. The same question
    is asked once.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_", "XDG_"))}

    @cache
    def run(code: str, *, config: str = "", **env: str) -> Any:
        home = tmp_path_factory.mktemp("home")
        file = home / "config.toml"
        file.write_text(config)
        file.chmod(0o600)
        ours = {"HOME": str(home), "PYTHONPATH": str(installed), "LEPTON_SDK_CONFIG": str(file)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", f"{_PROLOGUE}\n{code}\nprint(json.dumps(answer))"],
            env=kept | ours | env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
