"""A double of Lambda Cloud: a real HTTP server with state, time, stock, bills and faults, in a process of its own."""
