"""One run, step by step. Begin with `drive`: it chooses the next step from the stage of each node.

Each other file is one kind of step. `attempts` decides what follows when an attempt is over.
"""
