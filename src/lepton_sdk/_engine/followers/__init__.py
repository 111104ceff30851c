"""Who drives runs: `follow` is the work of every follower, the foreground client included; the other files are what it does
when the journal is away, when its caller leaves, and what a run may cost without it."""
