"""What the plugin says of itself, and its factory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from lepton_lambda.plugin import COMMAND, PROVIDER
from lepton_lambda.provider import create
from lepton_sdk.spi import AuthError, ConfigError, Provider, ProviderContext

Context = Callable[..., ProviderContext]


def test_the_entry_points_lead_to_the_specs() -> None:
    (provider,) = entry_points(group="lepton_sdk.providers.v1", name="lambda")
    (command,) = entry_points(group="lepton_sdk.commands.v1", name="lambda")
    assert provider.load() is PROVIDER
    assert command.load() is COMMAND


def test_the_spec_is_light() -> None:
    code = "import sys, lepton_lambda.plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "lepton_sdk.spi.spec" in imported
    assert not imported & {"httpx", "asyncio", "click", "lepton_lambda.provider", "lepton_doubles"}


@pytest.mark.parametrize("words", [["double"], ["--help"], ["double", "--", "true"]])
def test_without_the_doubles_the_command_says_what_to_install(words: list[str], tmp_path: Path) -> None:
    # As if lepton-doubles had never been installed: nothing of it can be found.
    blocker = "import sys\nclass Blocker:\n    def find_spec(self, name, path=None, target=None):\n"
    blocker += "        if name.partition('.')[0] == 'lepton_doubles':\n            raise ModuleNotFoundError(name=name)\n"
    (tmp_path / "sitecustomize.py").write_text(f"{blocker}sys.meta_path.insert(0, Blocker())\n")
    command = [sys.executable, "-m", "lepton_sdk", "lambda", *words]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (ConfigError.exit_code, "")
    assert done.stderr == "error: the double of Lambda Cloud is not installed\n  next: pip install lepton-doubles\n"


def test_the_wheel_holds_no_double() -> None:
    folder = Path(__file__).parents[1] / "src"
    assert [file for file in folder.rglob("*.py") if "double" in str(file.relative_to(folder))] == []


def test_it_is_a_provider_and_its_flags_are_true(context: Context) -> None:
    provider = create(context("http://127.0.0.1:9"))
    assert isinstance(provider, Provider)
    assert callable(provider.diagnose)


@pytest.mark.parametrize("key", ["", " ", "two words", "line\nbreak", "ключ"])
def test_what_cannot_be_a_key_is_said_before_any_call(context: Context, key: str) -> None:
    with pytest.raises(AuthError, match="letters that no key has") as caught:
        create(context("http://127.0.0.1:9", key))
    assert "LAMBDA_API_KEY" in (caught.value.hint or "")


def test_the_key_is_never_shown(context: Context, caplog: pytest.LogCaptureFixture, run_async: Any) -> None:
    caplog.set_level(0)
    made = context("http://127.0.0.1:9", "s3cret-key")
    provider = create(made)
    with pytest.raises(Exception, match="did not get out") as caught:
        run_async(anext(provider.find("me")))
    shown = [repr(made), repr(provider), repr(vars(provider)), str(caught.value), repr(caught.value), caplog.text]
    assert not [text for text in shown if "s3cret" in text]
