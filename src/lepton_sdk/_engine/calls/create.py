"""The create call of a provider. It ends with an answer, a refusal, an unknown outcome, or a broken plugin.

What matters is whether the call has left this host. A bug of the plugin before that moment made nothing, and the error names its
place in the plugin's code. After that moment, or if nobody can know, something may exist: the run's next step asks `find`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from traceback import walk_tb
from types import TracebackType
from typing import Any

import attrs
from attrs import evolve

from lepton_sdk._engine.calls.bounded import bounded, words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import BlockScope, LeptonError, OutcomeUnknown, PluginBroken, Unavailable
from lepton_sdk.spi.capabilities import Grouping
from lepton_sdk.spi.departure import DEPARTURE, Departure, Withdrawn
from lepton_sdk.spi.provider import Launch, Provider

__all__ = ["Departure", "Withdrawn", "create_call", "departure_of"]

_CORE = str(Path(__file__).parents[2])
_VALUES = str(Path(_CORE, "domain"))
_LIBRARIES = (_CORE, str(Path(asyncio.__file__).parents[1]), str(Path(attrs.__file__).parents[1]))


def departure_of(engine: Engine, provider: str) -> Departure:
    """Make the object that notes when a create call leaves. If the provider cannot note it, the call counts as left at once."""
    marks = "marks_leaving" in engine.spec(provider).capabilities
    # A plugin may make its HTTP client only in this call.
    return Departure(tracked=lambda: marks or engine.registry.speaks_http(provider))


async def create_call(
    engine: Engine, offer: Offer, launches: Sequence[Launch], *, seconds: float, departure: Departure | None = None
) -> Any:
    """Make one create call: `acquire` for one launch, `acquire_group` for several.

    Args:
        seconds: it may take this long.
        departure: see `departure_of`; with it the caller can withdraw the call until it leaves.

    Returns:
        The plugin's answer, unchecked: the gate comes next.

    Raises:
        LeptonError: the provider's own refusal.
        OutcomeUnknown: the call left, or nobody can know, and the plugin raised another error or did not answer in time.
        PluginBroken: the plugin raised another error before the call left; nothing was made.
        Unavailable: the call did not leave in time.
        Withdrawn: the call was withdrawn in time.
    """
    name = offer.provider
    departure = departure or departure_of(engine, name)

    async def work() -> Any:
        # The task was made for this call, so it has its own context.
        DEPARTURE.set(departure)
        task = asyncio.current_task()
        assert task is not None
        departure.cancelled_by(task.cancel)
        return await _called(engine.provider(name), offer, [evolve(one, leaving=departure.mark) for one in launches])

    try:
        return await bounded(work, seconds, engine.clock)
    except asyncio.CancelledError:
        us = asyncio.current_task()
        if departure.withdrawn and not (us is not None and us.cancelling()):
            raise Withdrawn("the create call was taken back before it left", provider=name) from None
        raise
    except Exception as error:
        # Tasks that the plugin has left running here must not create anything from now on.
        left = not departure.withdraw()
        if isinstance(error, LeptonError) and not _is_from_values(error):
            raise
        raise _judged(engine, name, error, left=left) from error


async def _called(provider: Provider, offer: Offer, launches: list[Launch]) -> Any:
    if len(launches) == 1:
        return await provider.acquire(offer, launches[0])
    if not isinstance(provider, Grouping):
        raise PluginBroken(f"{type(provider).__name__} lacks acquire_group()", provider=offer.provider)
    answers = await provider.acquire_group(offer, launches)
    if not isinstance(answers, list | tuple):
        raise TypeError(f"acquire_group() gave a {type(answers).__name__}, not a list of nodes")
    return answers


def _judged(engine: Engine, name: str, error: Exception, *, left: bool) -> LeptonError:
    """The error that a plugin's bug, or a call that took too long, becomes."""
    if left:
        return OutcomeUnknown(words_of(error), provider=name)
    if isinstance(error, TimeoutError):
        return Unavailable(f"its create call did not leave: {words_of(error)}", provider=name, hint=f"lepton doctor {name}")
    where = _place(error.__traceback__, _packages(engine, name))
    broken = PluginBroken(
        f"its plugin failed before the create call left: {words_of(error)}{where}",
        provider=name,
        hint="nothing was made; report this line to the plugin's author",
    )
    broken.scope = BlockScope.PROVIDER
    return broken


def _is_from_values(error: LeptonError) -> bool:
    """Return True if the plugin used one of our values wrongly, such as Money of a float: that says nothing about the call."""
    files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    if not files or not files[-1].startswith(_VALUES):
        return False
    callers = (file for file in reversed(files) if not file.startswith((_VALUES, "<attrs generated")))
    return not next(callers, _CORE).startswith(_CORE)


def _packages(engine: Engine, name: str) -> set[str]:
    """The top-level packages that a plugin's own code can be in."""
    modules = [engine.spec(name).factory.partition(":")[0]]
    try:
        provider: Any = engine.provider(name)
        # The plugin's own object may be behind an adapter of ours.
        modules += [type(provider).__module__, type(getattr(provider, "_provider", provider)).__module__]
    except LeptonError:
        pass
    return {module.partition(".")[0] for module in modules} - {"lepton_sdk"}


def _place(trace: TracebackType | None, packages: set[str]) -> str:
    """The place of the error in the plugin's own code: file, line and function."""
    frames = [(frame.f_code, line, str(frame.f_globals.get("__name__", ""))) for frame, line in walk_tb(trace)]
    own = [entry for entry in frames if entry[2].partition(".")[0] in packages]
    strange = [entry for entry in frames if not entry[0].co_filename.startswith(_LIBRARIES)]
    for code, line, _ in reversed(own or strange):
        return " " + one_line(f"(in {'/'.join(Path(code.co_filename).parts[-2:])}:{line}, {code.co_name})", 200)
    return ""
