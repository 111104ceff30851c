"""How long the engine waits, and how often it asks: one value with every such time, of which tests bring their own.

What a vendor's clockwork needs stands in its `lepton_sdk.spi.Timings`; what a job may take stands in its limits.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from lepton_sdk.domain.keeping import Keeping

__all__ = ["USUAL", "Timing"]


@frozen
class Timing:
    """Waiting times; seconds where nothing else is said.

    Attributes:
        answer: one question to a node whose machine shall go, while it may still say something of use.
        question: one question to a node whose job goes on.
        ending: ending what runs on a machine that goes back to its vendor, who ends it anyhow.
        ending_own: the same on a host of one's own, on which it would run on.
        silent: fetching log and outputs from a node whose last answer was of no use.
        stopped: all of the above together, once the run was stopped.
        provider: one call of a provider's plugin.
        create: the create call, which may have to wait for its turn.
        keeping: log and outputs of a job that is over.
        stall: an event loop that stands still for so long is blocked; ``None``: nobody watches it.
        market: a provider that has not listed its offers by then costs only its own rows.
        account: how long an answer to "which account is this" holds.

        claim: the right to drive a run lasts so long after it was renewed.
        renewal: how often it is renewed.
        secrets: a detached follower has its secrets by then, or was killed.

        longest_poll: each node is polled at least so often where few runs are driven.
        poll_each: for every run that one process drives, its nodes are polled so much less often: ten thousand every forty
            seconds are still 250 polls a second.
        few: beyond so many runs, one listing costs fewer calls than a poll of each machine (a number of runs).
        shortest_poll: a part of the longest: a job that has just begun or changed is polled soon, and then ever less often.
        next_attempt: how often a run that waits for its next attempt checks for a stop request.
        elsewhere: how often a run that another process drives is looked up.
        creates_at_once: create calls of one attempt that are under way at the same time (a number).

        health: how often a provider that looks at its machines is asked while a job runs there.
        silence: a node that answers nothing of use for so long is lost. A node that is silent is not.
        in_flight: a system goes on for so long to send what a client left in its buffers, on a connection that nobody answers on
            (Linux, tcp(7), tcp_retries2: 924 s): a start that was never answered may still arrive.
        start: a start that no limit of the job ends.
        cancel_again: a tree of processes that did not end is asked to once more.
        arming: installing a watchdog sends a script and waits for its first sign of life.

        release: how long a provider that cannot be asked is retried before its machine's release is tried anew.
        leave: the same for a machine on which nothing runs and which nobody can reach: after that it is left to a sweep.
        unasked: a provider that does not say what became of a create call is asked for so long.
        prerequisites: what was made once for an attempt is given back at once; after so long a sweep goes on with it.

        sweep: how often a follower looks for leftovers of runs that have ended.
        listing: how often a follower of many runs lists their machines.
        admitted: a listing that is no older than this says that the journal has lost nothing.
        doubled: how often every row is held against a listing, for duplicates that are not shown any more.
        catch_up: steps that are due are taken for so long before a question is answered.
        trouble: a run that cannot be driven is taken up again after so long.
        held: a run that another follower drives is tried again after so long.
        reconcile: one provider's answer to the whole sweep.
        doctor: one provider's answer to ``lepton doctor``.
        told: only what takes longer is told to somebody who waits.
    """

    answer: float = 5.0
    question: float = 60.0
    ending: float = 20.0
    ending_own: float = 120.0
    silent: float = 3.0
    stopped: float = 10.0
    provider: float = 90.0
    create: float = 900.0
    keeping: Keeping = field(factory=Keeping)
    stall: float | None = 30.0
    market: float = 20.0
    account: float = 300.0

    claim: float = 60.0
    renewal: float = 15.0
    secrets: float = 60.0

    longest_poll: float = 0.5
    poll_each: float = 0.004
    few: int = 4
    shortest_poll: float = 0.006
    next_attempt: float = 0.5
    elsewhere: float = 0.25
    creates_at_once: int = 8

    health: float = 60.0
    silence: float = 120.0
    in_flight: float = 1000.0
    start: float = 86400.0
    cancel_again: float = 30.0
    arming: float = 120.0

    release: float = 600.0
    leave: float = 60.0
    unasked: float = 120.0
    prerequisites: float = 60.0

    sweep: float = 30.0
    listing: float = 1.0
    admitted: float = 60.0
    doubled: float = 600.0
    catch_up: float = 15.0
    trouble: float = 30.0
    held: float = 2.0
    reconcile: float = 60.0
    doctor: float = 30.0
    told: float = 3.0

    def with_keeping(self, keeping: Keeping) -> Timing:
        """The same, with what the user set."""
        return evolve(self, keeping=keeping, stopped=float(keeping.after_stop))


# What an engine takes that is given nothing else.
USUAL = Timing()
