"""Who drives runs. Begin with `follow`: it is the work of every follower, and the foreground client is one, too.

The other files: what a follower does when the journal does not answer (`journal_away`), what happens when its caller leaves
(`leaving`), and what a run may cost without a follower (`exposure`).
"""
