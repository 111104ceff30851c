"""Executors that come with core: ways to run a job on a node."""
