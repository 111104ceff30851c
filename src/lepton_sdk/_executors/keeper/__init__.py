"""The keeper: the program that stays with one job from its start to its result, and what an executor says to it.

The program itself is in ``program``, in shell; begin with ``run.sh``, which is the life of a run. ``orders.py`` writes what the
program is told of a run. ``talk.py`` is the conversation: it heeds the answer to a start and to a cancellation, asks how a run
stands and renews its lease. ``status.py`` reads those answers without believing them, because a job can write into its records.

The keeper has a folder for each run, ``BASE/runs/RUN/ATTEMPT-RANK``: ``work`` (the job's files), ``log``, ``start`` (who keeps
the run) and ``status`` (how it ended). Both ends of the conversation may be of different versions, so these names stay.
"""
