"""Compare what providers list with the journal. Begin with `leftovers`.

Every billable thing is a run's own machine, a leftover of a create call that nobody waits for, a duplicate of a machine, or a
stray. `report` makes the line that users see for each.
"""
