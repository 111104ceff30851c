"""Check which account a provider's credentials open: a listing of another account says nothing about our machines."""

from __future__ import annotations

from contextlib import suppress

from lepton_sdk._engine.engine import Engine
from lepton_sdk.errors import AuthError, LeptonError

__all__ = ["assure", "note_account", "settle_account"]


async def settle_account(engine: Engine, provider: str) -> None:
    """Note a provider's account before a machine is taken there. All machines of one provider are in one account.

    Raises:
        AuthError: open nodes are in another account than the one that the credentials open.
    """
    seen, known = await engine.account(provider), engine.journal.account(provider)
    if seen == known:
        return
    if known is not None and provider in engine.journal.providers_with_open_nodes():
        raise _other(provider, seen, known)
    engine.journal.settle(provider, seen)


async def note_account(engine: Engine, provider: str) -> None:
    """Note the account after a machine was taken, if the provider could not tell the account before that."""
    if engine.journal.account(provider) is None:
        with suppress(LeptonError):
            await settle_account(engine, provider)


async def assure(engine: Engine, provider: str) -> None:
    """Check that the provider's answers are about the account that our machines are in, as far as the provider can tell.

    Raises:
        AuthError: the credentials open another account, or one that cannot be told.
    """
    known = engine.journal.account(provider)
    if known is None or provider not in engine.journal.providers_with_open_nodes():
        return
    if (seen := await engine.account(provider)) != known:
        raise _other(provider, seen, known)


def _other(provider: str, seen: str | None, known: str) -> AuthError:
    where = f"account {seen}" if seen is not None else "an account without our mark"
    return AuthError(
        f"the credentials open {where}, and our machines are in account {known}",
        provider=provider,
        hint=f"give {provider} the credentials of {known} again until lepton nodes shows nothing of it",
    )
