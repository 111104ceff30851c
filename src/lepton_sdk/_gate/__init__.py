"""The gate: checks every value that a plugin yields where it enters, and rebuilds it as one of our own.

A stranger wrote the plugin, or the service behind it, so core trusts nothing of a value: not its type, not its ``repr``, not its
``==``. A wrong value costs its own plugin one line that names plugin, field, value and fix, and costs nobody else anything.
`values` has the single checks; the other modules say field by field what the contract allows.
"""
