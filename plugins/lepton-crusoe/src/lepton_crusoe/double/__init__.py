"""A stand-in for Crusoe Cloud: a program that keeps state, time, stock, quotas and a bill, and rents out nothing."""
