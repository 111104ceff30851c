"""Health checks of this host's state folder and plugins, and of each usable provider. Begin with `examine`."""

from __future__ import annotations

import asyncio

from lepton_sdk._engine.calls.bounded import bounded, words_of
from lepton_sdk._engine.calls.gate import checked_diagnoses
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.lost_journals import trouble
from lepton_sdk.errors import LeptonError
from lepton_sdk.spi.capabilities import Diagnosing
from lepton_sdk.spi.provider import Diagnosis

__all__ = ["examine", "state_of"]


async def examine(engine: Engine, only: str | None = None) -> list[Diagnosis]:
    """Check the state folder, the plugins and each usable provider."""
    lines: list[Diagnosis] = [] if only else [_journal(engine), *_plugins(engine)]
    names = [only] if only else sorted(name for name, state in engine.standing().items() if state.usable)
    for answer in await asyncio.gather(*(_provider(engine, name) for name in names)):
        lines.extend(answer)
    return lines


def _journal(engine: Engine) -> Diagnosis:
    try:
        if (why := trouble(engine)) is not None:
            raise why
        if not engine.has_journal():
            return Diagnosis("journal", None, f"none yet at {engine.journal_name}", "the first lepton run makes it")
        count = engine.journal.verify()
    except LeptonError as error:
        return Diagnosis("journal", False, error.message, error.hint or "")
    open_runs = len(engine.journal.runs(open_only=True))
    return Diagnosis("journal", True, f"{engine.journal.place}: {count} rows hold, {open_runs} runs open")


def state_of(engine: Engine) -> dict[str, object]:
    """The journal's place, its owner, and whether it may act."""
    if (why := trouble(engine)) is not None:
        return {"path": engine.journal_name, "exists": False, "lost": why.message}
    state: dict[str, object] = {"path": engine.journal_name, "exists": engine.has_journal()}
    if engine.has_journal():
        journal = engine.journal
        former = list(journal.owners[1:])
        state |= {"owner": journal.owner, "former_owners": former, "host": journal.host, "foreign": journal.is_foreign}
        state["frozen"] = journal.frozen
    return state


def _plugins(engine: Engine) -> list[Diagnosis]:
    lines = []
    for status in engine.registry.statuses():
        ok = {"ready": True, "disabled": None, "unconfigured": None}.get(str(status.state), False)
        lines.append(Diagnosis(f"plugin {status.name}", ok, f"{status.state} {status.reason}".strip(), status.hint))
    return lines


async def _provider(engine: Engine, name: str) -> list[Diagnosis]:
    subject = f"provider {name}"
    try:
        provider = engine.provider(name)
        if not isinstance(provider, Diagnosing):
            return [Diagnosis(subject, None, "it offers no examination of its own")]
        answer = await bounded(provider.diagnose, engine.timing.doctor, engine.clock)
        return checked_diagnoses(answer, name)
    except LeptonError as error:
        return [Diagnosis(subject, False, error.message, error.hint or "")]
    except Exception as error:
        return [Diagnosis(subject, False, words_of(error), "report it to the plugin's author")]
