"""Runs jobs on hosts behind SSH; asyncssh is imported when the first connection is made, and nowhere else."""
