"""The two executors: two ways to reach the keeper of a run.

``local`` is this host, through a pipe to a shell. ``ssh`` is any other host, through a connection that may break. Both give
the same orders to the same program and read the same answers. They differ in how they copy files and follow output.
"""
