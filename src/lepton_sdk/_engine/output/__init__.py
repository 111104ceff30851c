"""What a job leaves behind: kept before its machine goes, fetched while the machine is ours, and a shell beside it."""
