"""What providers list, held against the journal. Every billable thing is a run's own machine, a leftover of a create call
that nobody waits for, a duplicate of a machine, or a stray; `report` makes the line that people see for each."""
