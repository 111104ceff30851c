"""Claims: the right to drive a run. Begin with `renewal`, which renews a claim while this process works on the run.

`holder` names the process that has a claim. `stall` and `successor` act when this process cannot go on.
"""
