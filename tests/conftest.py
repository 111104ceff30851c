"""What every test stands on: an empty home, and nothing of the developer's own settings."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lepton_sdk.spi.secret import Secret

sys.path.insert(0, str(Path(__file__).parent / "props"))

if TYPE_CHECKING:
    from postgres import Server


def pytest_configure() -> None:
    """A shell's background job ignores Ctrl-C, and nohup a hangup. What tests start must hear both, however they were begun."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, so that no test sees another's journal or the developer's config."""
    import os

    for name in list(os.environ):
        if name.startswith(("LEPTON_", "XDG_")):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def run_async() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine to its end in a loop of its own."""
    return asyncio.run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this test process."""
    from postgres import serving

    with serving() as server:
        yield server


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path | Secret]:
    """Where a journal may lie: everything that holds for one must hold for the other."""
    if request.param == "file":
        yield tmp_path / "state" / "journal.db"
        return
    server = request.getfixturevalue("postgres")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture
def where(place: Path | Secret) -> str:
    """The same as what ``LEPTON_SDK_STATE`` says."""
    return str(place.parent) if isinstance(place, Path) else place.reveal()


# The last version whose local runs were kept by a program of Python, and whose journals had entries without types.
_EARLIER = "217fb10"


@pytest.fixture(scope="session")
def earlier_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was in an earlier version."""
    root, folder = Path(__file__).parents[1], tmp_path_factory.mktemp("earlier")
    made = subprocess.run(["git", "-C", str(root), "archive", _EARLIER, "src"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"git has no commit {_EARLIER} here, so no run of that version can be started")
    subprocess.run(["tar", "-xf", "-", "-C", str(folder)], input=made.stdout, check=True)
    return folder / "src"
