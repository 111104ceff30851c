"""Every error that lepton_sdk raises, as one tree.

::

    LeptonError
    ├─ UsageError         fix-input    ConfigError · JobSpecError · ResourcesError · AuthError · BudgetExceeded ·
    │                                 ExposureNotAccepted
    ├─ MarketError        next-offer   NoOffers (give-up) · NoCapacity · QuotaExceeded · OfferGone
    ├─ ProviderError      retry-same   Unavailable · RateLimited · ContractViolation (give-up)
    │  └─ OutcomeUnknown  reconcile    the create call left, its answer did not come back
    ├─ NodeError          next-offer   NodeLost · Interrupted · NodeUnreachable · NodeGarbled (both retry-same) ·
    │                               StaleEpoch (give-up)
    ├─ JobError           give-up      JobFailed · JobTimedOut · JobCancelled
    ├─ JournalError       give-up      JournalLocked · JournalCorrupt · JournalTooNew · JournalUnwritable · JournalUnreachable ·
    │                               JournalForeign · JournalRolledBack
    └─ PluginError        fix-input    PluginBroken · PluginIncompatible · PluginConflict · PluginDisabled · PluginMissing

A class says *what the engine does next* (its disposition) and *how much it blocks* (its scope), so that the engine has
one table and no ladder of ``except`` clauses. A message says what happened, to which provider and request, and the next step.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "AuthError",
    "BlockScope",
    "BudgetExceeded",
    "ConfigError",
    "ContractViolation",
    "Disposition",
    "ExposureNotAccepted",
    "Interrupted",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobSpecError",
    "JobTimedOut",
    "JournalCorrupt",
    "JournalError",
    "JournalForeign",
    "JournalLocked",
    "JournalLost",
    "JournalRolledBack",
    "JournalTooNew",
    "JournalUnreachable",
    "JournalUnwritable",
    "LeptonError",
    "MarketError",
    "NoCapacity",
    "NoOffers",
    "NodeError",
    "NodeGarbled",
    "NodeLost",
    "NodeUnreachable",
    "OfferGone",
    "OutcomeUnknown",
    "PluginBroken",
    "PluginConflict",
    "PluginDisabled",
    "PluginError",
    "PluginIncompatible",
    "PluginMissing",
    "ProviderError",
    "QuotaExceeded",
    "RateLimited",
    "ResourcesError",
    "StaleEpoch",
    "Unavailable",
    "UsageError",
]


class Disposition(StrEnum):
    """What the engine does after an error."""

    RETRY_SAME = "retry-same"
    NEXT_OFFER = "next-offer"
    RECONCILE = "reconcile"
    FIX_INPUT = "fix-input"
    GIVE_UP = "give-up"


class BlockScope(StrEnum):
    """How much of the market an error blocks for the running attempt."""

    NOTHING = "nothing"
    OFFER = "offer"
    INSTANCE_TYPE = "instance-type"
    REGION = "region"
    PROVIDER = "provider"


class LeptonError(Exception):
    """The root of the tree.

    Args:
        message: what happened, one sentence, with the value that was refused where there is one.
        provider: name of the provider that the failing call went to.
        request: the vendor's request or operation id, for a support ticket.
        hint: the next step for the reader.
    """

    disposition: ClassVar[Disposition] = Disposition.GIVE_UP
    scope: BlockScope = BlockScope.NOTHING
    exit_code: ClassVar[int] = 70
    # A foreign subclass may not call our constructor, and must still work as an error.
    message: str = ""
    provider: str | None = None
    request: str | None = None
    hint: str | None = None

    def __init__(self, message: str, *, provider: str | None = None, request: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.request = request
        self.hint = hint

    def __str__(self) -> str:
        where = [f"{label} {value}" for label, value in (("provider", self.provider), ("request", self.request)) if value]
        text = f"{self.message} ({', '.join(where)})" if where else self.message
        return f"{text}\n  next: {self.hint}" if self.hint else text

    def to_dict(self) -> dict[str, object]:
        """The error as JSON keys: ``error``, ``message``, ``provider``, ``request``, ``next``, ``disposition``."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "provider": self.provider,
            "request": self.request,
            "next": self.hint,
            "disposition": str(self.disposition),
        }


# --- the caller's input ---------------------------------------------------------------------------------------------


class UsageError(LeptonError):
    """The caller must change something before it can work; nothing was started."""

    disposition = Disposition.FIX_INPUT
    exit_code = 2


class ConfigError(UsageError):
    """A configuration file, variable or argument is wrong."""


class JobSpecError(UsageError):
    """A job cannot run as it is written."""


class ResourcesError(JobSpecError):
    """A job asks for resources that do not exist or contradict each other."""


class AuthError(UsageError):
    """A provider refused the credentials, or they are missing."""

    scope = BlockScope.PROVIDER
    exit_code = 77


class BudgetExceeded(UsageError):
    """A limit that the user set would be exceeded."""


class ExposureNotAccepted(UsageError):
    """A machine could stay on the bill while nobody follows it, and the user has not accepted that."""


# --- the market -----------------------------------------------------------------------------------------------------


class MarketError(LeptonError):
    """This offer cannot be rented now; another may."""

    disposition = Disposition.NEXT_OFFER
    scope = BlockScope.OFFER
    exit_code = 69


class NoOffers(MarketError):
    """Nothing in the market fits the job."""

    disposition = Disposition.GIVE_UP


class NoCapacity(MarketError):
    """The provider has none of this type left in this region."""


class QuotaExceeded(MarketError):
    """The account may not rent more of this."""

    scope = BlockScope.REGION


class OfferGone(MarketError):
    """The offer is no longer sold on the planned terms (the price changed, the type was withdrawn)."""


# --- a provider -----------------------------------------------------------------------------------------------------


class ProviderError(LeptonError):
    """A provider's call failed, perhaps only for a while."""

    disposition = Disposition.RETRY_SAME
    scope = BlockScope.PROVIDER
    exit_code = 69


class Unavailable(ProviderError):
    """The provider did not answer, or answered that it is unavailable.

    Attributes:
        partly: only a part of it failed: what it returned before the error is valid.
    """

    def __init__(
        self,
        message: str,
        *,
        partly: bool = False,
        provider: str | None = None,
        request: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, request=request, hint=hint)
        self.partly = partly


class RateLimited(ProviderError):
    """The provider's rate limit was reached.

    Attributes:
        retry_after: seconds that the provider asked for, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        provider: str | None = None,
        request: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, provider=provider, request=request, hint=hint)
        self.retry_after = retry_after


class ContractViolation(ProviderError):
    """An answer of a provider or plugin breaks its contract."""

    disposition = Disposition.GIVE_UP


class OutcomeUnknown(ProviderError):
    """A create call left and its answer did not come back: a machine may exist, so core searches for it and creates no other."""

    disposition = Disposition.RECONCILE
    scope = BlockScope.OFFER


# --- a node ---------------------------------------------------------------------------------------------------------


class NodeError(LeptonError):
    """The machine that ran the job failed."""

    disposition = Disposition.NEXT_OFFER
    scope = BlockScope.OFFER
    exit_code = 69


class NodeLost(NodeError):
    """The machine, or the job's process on it, is gone without a result."""


class Interrupted(NodeError):
    """The provider reclaimed a spot machine."""


class NodeUnreachable(NodeError):
    """The machine exists but does not answer."""

    disposition = Disposition.RETRY_SAME


class NodeGarbled(NodeUnreachable):
    """The machine answers, but its answers are unreadable; after long enough it counts as lost."""


class StaleEpoch(NodeError):
    """A newer follower drives this run; the caller has lost its claim and must not touch the node."""

    disposition = Disposition.GIVE_UP
    scope = BlockScope.NOTHING


# --- a job ----------------------------------------------------------------------------------------------------------


class JobError(LeptonError):
    """The job itself ended badly."""

    exit_code = 1


class JobFailed(JobError):
    """The job ended with an exit code other than 0."""


class JobTimedOut(JobError):
    """The job reached its own time limit and was stopped."""

    exit_code = 124


class JobCancelled(JobError):
    """The job was stopped on request."""

    exit_code = 130


# --- the journal ----------------------------------------------------------------------------------------------------


class JournalError(LeptonError):
    """The journal cannot be read or written; nothing is created without it."""

    exit_code = 74


class JournalLocked(JournalError):
    """Another process has locked the journal for longer than the time limit."""


class JournalCorrupt(JournalError):
    """The journal is damaged: its bytes are not what was written."""


class JournalTooNew(JournalError):
    """The journal was written by a newer version of lepton_sdk."""


class JournalForeign(JournalError):
    """The journal was created on another host or in another database: it may be a copy, and the original may still act."""


class JournalRolledBack(JournalError):
    """The journal is older than its machines: entries are lost, and machines may exist that it does not know."""


class JournalLost(JournalError):
    """The journal is gone or empty, and its machines may be billed: no new one replaces it unless the user asks."""


class JournalUnreachable(JournalError):
    """The database that holds the journal does not answer."""


class JournalUnwritable(JournalError):
    """The journal's folder is read-only, full or not ours."""


# --- plugins --------------------------------------------------------------------------------------------------------


class PluginError(LeptonError):
    """A plugin cannot be used."""

    disposition = Disposition.FIX_INPUT
    exit_code = 78


class PluginBroken(PluginError):
    """The plugin raised, exited, or returned something other than a spec."""


class PluginIncompatible(PluginError):
    """The plugin is written for another major version of the contract."""


class PluginConflict(PluginError):
    """Two distributions claim one name."""


class PluginDisabled(PluginError):
    """The plugin is switched off by configuration."""


class PluginMissing(PluginError):
    """No installed distribution has this name."""
