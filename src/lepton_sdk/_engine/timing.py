"""All waiting times and polling intervals of the engine in one value. Tests bring their own.

A vendor's own times are in its `lepton_sdk.spi.Timings`; the times of a job are in its limits.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from lepton_sdk.domain.keeping import Keeping

__all__ = ["USUAL", "Timing"]


@frozen
class Timing:
    """Waiting times, in seconds unless said otherwise.

    Attributes:
        answer: limit for one question to a node whose machine is about to go, while it may still answer usefully.
        question: limit for one question to a node whose job goes on.
        ending: limit for ending a job on a machine that goes back to its vendor, who ends it anyway.
        ending_own: the same on the user's own host, where the job would run on.
        silent: limit for fetching log and outputs from a node whose last answer was of no use.
        stopped: limit for all of the above together, once the run was stopped.
        provider: limit for one call of a provider's plugin.
        create: limit for the create call, which may have to wait for its turn.
        key_margin: a create call is made again only if the vendor keeps its key for longer than this, because a host may
            stand still in the call.
        keeping: limits for fetching log and outputs of a job that is over.
        stall: an event loop that does not react for this time is blocked; ``None``: nobody checks it.
        market: limit for listing offers; a provider that is slower loses only its own offers.
        account: how long an answer to "which account is this" is valid.

        claim: how long a claim on a run lasts after it was renewed.
        renewal: how often it is renewed.
        secrets: a detached follower has its secrets after this time, or was killed.

        longest_poll: the longest time between two polls of a node, if few runs are driven.
        poll_each: with many runs that time is this one times the number of runs that the process drives: ten thousand nodes
            every forty seconds are still 250 polls a second.
        few: above this number of runs, one listing costs fewer calls than a poll of each machine.
        shortest_poll: a fraction of the longest time: a job that has just begun or changed is polled soon, then less and less
            often.
        next_attempt: how often a run that waits for its next attempt checks for a stop request.
        elsewhere: how often a run that another process drives is read from the journal.
        creates_at_once: how many create calls of one attempt may be under way at the same time (a number).

        health: how often a provider with health checks is asked while a job runs there.
        silence: a node that answers only nonsense for this time is lost. A node that does not answer at all is not.
        in_flight: how long the system goes on sending what a client left in its buffers, on a connection without answers
            (Linux, tcp(7), tcp_retries2: 924 s): a start that was never answered may still arrive.
        start: limit for a start that no limit of the job ends.
        cancel_again: a tree of processes that did not end is asked again after this time.
        arming: limit for installing a watchdog: sending a script and waiting for its first sign of life.

        release: how long a release is retried while its provider cannot be asked, before the release is tried anew.
        leave: the same for a machine on which nothing runs and which nobody can reach; after that it is left to a sweep.
        unasked: how long a provider is asked what became of a create call, if it does not say.
        prerequisites: how long a run waits for the release of an attempt's prerequisites; after that a sweep goes on with it.

        sweep: how often a follower checks for leftovers of runs that have ended.
        listing: how often a follower of many runs lists their machines.
        admitted: a listing at most this old is enough to know that the journal has lost nothing.
        doubled: how often every entry is compared with a listing, for duplicates that are not listed any more.
        catch_up: limit for taking the steps that are due before a question is answered.
        trouble: pause before a run that could not be driven is tried again.
        held: pause before a run that another follower drives is tried again.
        reconcile: limit for one provider's answer to the whole sweep.
        doctor: limit for one provider's answer to ``lepton doctor``.
        told: a waiting user is told only about what takes longer.
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
    key_margin: float = 60.0
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
        """The same times, with the user's settings for keeping outputs."""
        return evolve(self, keeping=keeping, stopped=float(keeping.after_stop))


# The default of an engine.
USUAL = Timing()
