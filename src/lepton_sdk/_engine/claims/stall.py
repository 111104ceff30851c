"""Find a plugin that blocks the event loop: no machine of this client could be given back any more. Begin with `watched`.

A separate thread checks whether the loop still reacts. If not, it names the plugin and leaves the runs to a new follower.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType

from lepton_sdk._engine.claims.successor import leave_follower
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.events import NodeHung
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.errors import JournalError

__all__ = ["end_this_process", "watched"]

# A loop that was only slow reacts within this time.
_SECOND_CHANCE = 5.0
_LOOK_SECONDS = 1.0
_EXIT_CODE = 70
_ends_process = threading.Event()


def end_this_process() -> None:
    """This process is only a follower from now on: if a plugin blocks it, it ends and its successor goes on."""
    _ends_process.set()


@contextmanager
def watched(engine: Engine) -> Iterator[None]:
    """Check the running event loop while runs are driven on it. Several runs share one thread."""
    engine.watchers += 1
    if engine.watchers == 1 and engine.timing.stall is not None:
        engine.watch_over = over = threading.Event()
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
        arguments = (engine, over, loop, thread, engine.timing.stall)
        threading.Thread(target=_watch, args=arguments, name="lepton-watch", daemon=True).start()
    try:
        yield
    finally:
        engine.watchers -= 1
        if engine.watchers == 0:
            engine.watch_over.set()


def _watch(engine: Engine, over: threading.Event, loop: asyncio.AbstractEventLoop, thread: int, seconds: float) -> None:
    while not over.wait(_LOOK_SECONDS):
        beat = threading.Event()
        try:
            loop.call_soon_threadsafe(beat.set)
        except RuntimeError:
            # The loop is closed.
            return
        # The second wait is for a process that was suspended itself and has only just come back.
        if not beat.wait(seconds) and not over.is_set() and not beat.wait(_SECOND_CHANCE):
            _blocked(engine, thread, seconds)
            return


def _blocked(engine: Engine, thread: int, seconds: float) -> None:
    frame = sys._current_frames().get(thread)
    name, place = blamed(frame, engine.plugin_modules())
    log = logging.getLogger("lepton_sdk")
    if name is None:
        log.warning("the event loop has stood still for %.0f seconds, in %s; runs of this client wait for it", seconds, place)
        return
    log.error("the plugin %s has blocked the event loop for %.0f seconds, in %s: it must not", name, seconds, place)
    # The journal may not answer either. The loop is blocked all the same.
    with suppress(JournalError, OSError):
        _hand_on(engine, name)
    if _ends_process.is_set():
        sys.stderr.write(f"lepton: the plugin {name} blocked this follower, in {place}; another one goes on\n")
        sys.stderr.flush()
        os._exit(_EXIT_CODE)


def blamed(frame: FrameType | None, modules: Mapping[str, str]) -> tuple[str | None, str]:
    """The plugin whose code a thread is in, from the innermost frame of a plugin, and the place; ``None`` if it is no plugin's.

    Args:
        modules: module, or package of modules → the plugin's name.
    """
    innermost = "an unknown place"
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "?"))
        place = f"{module}:{frame.f_lineno} ({frame.f_code.co_name})"
        if innermost == "an unknown place":
            innermost = place
        name = modules.get(module) or modules.get(module.partition(".")[0])
        if name is not None:
            return name, place
        frame = frame.f_back
    return None, innermost


def _hand_on(engine: Engine, name: str) -> None:
    """Write that the plugin's executor is not asked about its nodes any more, and leave our runs to a successor."""
    open_runs = set(engine.journal.open_runs())
    mine = [run_id for run_id in list(engine.claims) if run_id in open_runs]
    for run in map(engine.journal.run, mine):
        hung = [node for node in run.nodes if node.awaited and _is_reached_by(engine, node, name)]
        if hung:
            engine.append(run.id, *(NodeHung(name).about(node.token) for node in hung))
    # No other process knows the providers that the application brought.
    if mine and not engine.brings_providers:
        leave_follower(engine, mine, {})


def _is_reached_by(engine: Engine, record: NodeRecord, name: str) -> bool:
    access = record.node.access if record.node else None
    return access is not None and engine.executor_name(access) == name
