"""The right to drive a run, renewed while this process works on it, and what happens when the process cannot go on."""
