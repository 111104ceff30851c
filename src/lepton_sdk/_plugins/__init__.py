"""Plugins: how they are found, checked and loaded. Begin with `registry`; listing plugins imports none of their code."""
