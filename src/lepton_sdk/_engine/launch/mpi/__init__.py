"""Open MPI over the nodes of a run that have no way into each other: what `launcher: mpi` sends there."""
