"""The engine: a job takes a machine, runs, and gives the machine back. This file is the map; begin at `runs.drive`.

====================  ================================================================================================
``engine``            what every part needs: configuration, clock, plugins, journal, our identity
``runs``              one run, step by step: take a machine, let it boot, run the job, give the machine back
``followers``         who drives runs: the client that waits, the follower that stays behind, the service
``claims``            the right to drive a run, and the process that holds it
``launch``            what goes onto a node: the execution, its environment and launcher, its limits, the watchdog
``inventory``         what providers list, compared with the journal: leftovers, duplicates, accounts, lost journals
``output``            logs and files of a run: kept, fetched, and the user's own shell on a node
``calls``             one call into a plugin: bounded in time, its answer checked
``providers``         the questions to a provider
``market``            the offers as they are now, and the plan for a job
``reconcile``         the whole sweep: every provider's listing against the journal
``jobs``, ``logs``    what the client's methods of these names do
====================  ================================================================================================

A module may import from the lines below its own and from ``engine``; nothing here imports a client.
"""
