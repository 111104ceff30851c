"""One call into code that is not ours. `bounded` gives it an end, `gate` checks what it answered, `hurry` shortens it when
the run shall end."""
