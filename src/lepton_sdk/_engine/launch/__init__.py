"""What goes onto a node: `execution` is what its executor is told. Everything here is a pure sum over a run's rows, except
for the watchdog, which is installed."""
