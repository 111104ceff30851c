"""The gate: every value that a plugin yields is checked where it enters, and is one of ours from there on.

A stranger wrote the plugin, or what is behind it, so nothing of a value is believed: not its type, not its ``repr``, not that two
of it can be compared. What is wrong costs its own plugin one line that names plugin, field, value and fix, and costs nobody else
anything. `values` has the single checks; the other modules say field by field what the contract allows.
"""
