"""A plugin that blocks the event loop keeps every machine of its client: a thread of its own sees that, and names the plugin."""

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

# A loop that was only slow has answered by then.
_SECOND_CHANCE = 5.0
_LOOK_SECONDS = 1.0
_EXIT_CODE = 70
_ends_process = threading.Event()


def end_this_process() -> None:
    """From now on this process is a follower and nothing else: it ends when a plugin blocks it, and its successor goes on."""
    _ends_process.set()


@contextmanager
def watched(engine: Engine) -> Iterator[None]:
    """Watch the running event loop while runs are driven on it; several at once share one thread."""
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
            # It is closed.
            return
        # The second look is for a process that stood still itself: it has only just come back.
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
    # The journal may be away, and the loop stands still all the same.
    with suppress(JournalError, OSError):
        _hand_on(engine, name)
    if _ends_process.is_set():
        sys.stderr.write(f"lepton: the plugin {name} blocked this follower, in {place}; another one goes on\n")
        sys.stderr.flush()
        os._exit(_EXIT_CODE)


def blamed(frame: FrameType | None, modules: Mapping[str, str]) -> tuple[str | None, str]:
    """Whose code a thread stands in, by the innermost frame of a plugin, and where; the name is ``None`` for nobody's.

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
    """Write for each node of our runs that its executor is not asked about it any more, and leave all of them to a successor."""
    open_runs = set(engine.journal.open_runs())
    mine = [run_id for run_id in list(engine.claims) if run_id in open_runs]
    for run in map(engine.journal.run, mine):
        hung = [node for node in run.nodes if node.awaited and _is_reached_by(engine, node, name)]
        if hung:
            engine.append(run.id, *(NodeHung(name).about(node.token) for node in hung))
    # What the application brought no other process knows.
    if mine and not engine.brings_providers:
        leave_follower(engine, mine, {})


def _is_reached_by(engine: Engine, record: NodeRecord, name: str) -> bool:
    access = record.node.access if record.node else None
    return access is not None and engine.executor_name(access) == name
