"""What goes onto a node. Begin with `execution`, which makes what the executor is told.

Everything here is computed only from the run's journal entries, except for the watchdog, which is installed on the node.
"""
