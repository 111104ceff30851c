"""Time and sleep come through ``_clock``, so that a simulation can own both."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

_SEAM = "lepton_sdk._clock"
_CLOCKS = {
    "asyncio.sleep",
    "asyncio.timeout",
    "asyncio.timeout_at",
    "asyncio.wait_for",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.clock_gettime",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.sleep",
    "time.time",
    "time.time_ns",
}
# Who may read the host's own clock all the same, and why.
_MAY = {
    ("lepton_sdk._engine.followers.follow", "asyncio.timeout"): "it counts the event loop's time, which a virtual loop owns",
    ("lepton_sdk._engine.followers.leaving", "asyncio.timeout"): "it counts the event loop's time, which a virtual loop owns",
    ("lepton_sdk._engine.reconcile", "asyncio.timeout"): "it counts the event loop's time, which a virtual loop owns",
    ("lepton_sdk._engine.launch.mpi.daemon", "time.monotonic"): "it runs on the nodes; it must stand without the package",
    ("lepton_sdk._engine.launch.mpi.daemon", "time.sleep"): "it runs on the nodes; it must stand without the package",
    ("lepton_sdk._executors.workdir.tree", "time.time_ns"): "compared with the times that the file system gives to files",
    ("lepton_byoc.onhost.cards", "time.monotonic"): "on the host itself, by its own Python, without the package",
    ("lepton_byoc.onhost.facts", "time.time"): "on the host itself, by its own Python, without the package",
    ("lepton_byoc.onhost.program", "time.monotonic"): "on the host itself, by its own Python, without the package",
    ("lepton_byoc.onhost.record", "time.monotonic"): "on the host itself, by its own Python, without the package",
    ("lepton_byoc.onhost.record", "time.sleep"): "on the host itself, by its own Python, without the package",
    ("lepton_byoc.onhost.record", "time.time"): "on the host itself, by its own Python, without the package",
    ("lepton_sdk.cli.progress", "time.monotonic"): "a status line for a person at a terminal",
    ("lepton_sdk.testing.virtual", "asyncio.sleep"): "a clock itself, in an event loop whose time is virtual",
    ("lepton_sdk.spi.blocking", "time.monotonic"): "in a thread of a vendor's blocking code, where no simulation reaches",
    ("lepton_sdk.spi.http", "time.time"): "only for a Retry-After date from a server that sends no date of its own",
}


def _names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: ``from time import sleep as nap`` makes ``nap`` stand for ``time.sleep``."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {name.asname or name.name.partition(".")[0]: name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return names


def _clocks(tree: ast.Module) -> Iterator[str]:
    names = _names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            full = f"{names.get(first, first)}.{rest}".removesuffix(".")
            if full in _CLOCKS:
                yield full


def test_only_the_seam_reads_clocks_and_sleeps(core: list[Source], plugins: list[Source]) -> None:
    found = {(source.module, clock) for source in core + plugins if source.module != _SEAM for clock in _clocks(source.tree)}
    assert found == set(_MAY)


def test_a_clock_is_seen_under_any_name() -> None:
    text = (
        "import time as t, asyncio\nfrom time import sleep as nap\nfrom datetime import datetime\nimport datetime as d\n"
        "t.time(); nap(1); asyncio.sleep(2); datetime.now(); d.datetime.now; datetime.fromtimestamp(0)"
    )
    assert sorted(_clocks(ast.parse(text))) == [
        "asyncio.sleep",
        "datetime.datetime.now",
        "datetime.datetime.now",
        "time.sleep",
        "time.time",
    ]
