"""One run, step by step. `drive` chooses the next step from the stage of each node; each other file is one kind of step, and
`attempts` says what follows when an attempt is over."""
