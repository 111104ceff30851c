"""The two executors: how the keeper of a run is reached.

``local`` is this host, through a pipe to a shell. ``ssh`` is any other host, through a connection that may break. Both give
the same orders to the same program and read the same answers; they differ in how files come, and in how output is followed.
"""
