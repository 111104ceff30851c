"""One call into code that is not ours. `bounded` limits its time, `gate` checks its answer, `hurry` shortens it when the run is
stopped, and `create` is the create call."""
