"""The keeper: the program that stays with one job from its start to its result, and the messages between it and an executor.

The program itself is in ``program``, in shell; begin with ``run.sh``, which is the life of a run. ``orders.py`` writes what the
program must know about a run. ``talk.py`` is the conversation: it handles the answer to a start and to a cancellation, asks for
a run's status and renews its lease. ``status.py`` reads those answers without trust, because a job can write into its records.

The keeper has a folder for each run, ``BASE/runs/RUN/ATTEMPT-RANK``: ``work`` (the job's files), ``log``, ``start`` (which
process keeps the run) and ``status`` (how it ended). The two ends may have different versions, so these names stay.
"""
