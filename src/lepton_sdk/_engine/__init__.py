"""What happens to a job: market, route, acquire, execute, release, and what is done about it after a crash."""
