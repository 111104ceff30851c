"""What holds and what does not, on this host and at each usable provider."""

from __future__ import annotations

import asyncio

from lepton_sdk._engine.lost import trouble
from lepton_sdk._engine.session import Session
from lepton_sdk.errors import LeptonError
from lepton_sdk.spi.provider import Diagnosis

__all__ = ["examine", "state_of"]

_SECONDS = 30.0


async def examine(session: Session, only: str | None = None) -> list[Diagnosis]:
    """Look at the state folder, the plugins and each usable provider."""
    lines: list[Diagnosis] = [] if only else [_journal(session), *_plugins(session)]
    names = [only] if only else sorted(name for name, state in session.standing().items() if state.usable)
    for answer in await asyncio.gather(*(_provider(session, name) for name in names)):
        lines.extend(answer)
    return lines


def _journal(session: Session) -> Diagnosis:
    try:
        if (why := trouble(session)) is not None:
            raise why
        if not session.has_journal():
            return Diagnosis("journal", None, f"none yet at {session.journal_name}", "the first lepton run makes it")
        count = session.journal.verify()
    except LeptonError as error:
        return Diagnosis("journal", False, error.message, error.hint or "")
    open_runs = len(session.journal.runs(open_only=True))
    return Diagnosis("journal", True, f"{session.journal.place}: {count} rows hold, {open_runs} runs open")


def state_of(session: Session) -> dict[str, object]:
    """Where the journal is, whose it is, and whether it may act."""
    if (why := trouble(session)) is not None:
        return {"path": session.journal_name, "exists": False, "lost": why.message}
    state: dict[str, object] = {"path": session.journal_name, "exists": session.has_journal()}
    if session.has_journal():
        journal = session.journal
        former = list(journal.owners[1:])
        state |= {"owner": journal.owner, "former_owners": former, "host": journal.host, "foreign": journal.is_foreign}
        state["frozen"] = journal.frozen
    return state


def _plugins(session: Session) -> list[Diagnosis]:
    lines = []
    for status in session.registry.statuses():
        ok = {"ready": True, "disabled": None, "unconfigured": None}.get(str(status.state), False)
        lines.append(Diagnosis(f"plugin {status.name}", ok, f"{status.state} {status.reason}".strip(), status.hint))
    return lines


async def _provider(session: Session, name: str) -> list[Diagnosis]:
    subject = f"provider {name}"
    try:
        provider = session.provider(name)
        diagnose = getattr(provider, "diagnose", None)
        if diagnose is None:
            return [Diagnosis(subject, None, "it offers no examination of its own")]
        async with asyncio.timeout(_SECONDS):
            return list(await diagnose())
    except LeptonError as error:
        return [Diagnosis(subject, False, error.message, error.hint or "")]
    except Exception as error:
        return [Diagnosis(subject, False, f"{type(error).__name__}: {error}", "report it to the plugin's author")]
