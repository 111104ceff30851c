"""What a person at a terminal sees and can do, over a real pseudo-terminal."""

from __future__ import annotations

from pathlib import Path

from terminals import Terminal


def test_a_live_line_shows_where_the_run_is(terminals: list[Terminal], place: Path, environment: dict[str, str]) -> None:
    terminals.append(Terminal(["run", "--name", "long", "--", "sleep", "2"], place, environment))
    terminals[0].until("job started (0:0")
    terminals[0].until("succeeded")
    # The line is written over in place, and taken away at the end.
    assert "\r\x1b[K" in terminals[0].seen


def test_no_color_takes_the_colours_away(terminals: list[Terminal], place: Path, environment: dict[str, str]) -> None:
    terminals.append(Terminal(["run", "--", "true"], place, environment | {"NO_COLOR": "1"}))
    terminals[0].until("succeeded")
    assert "\x1b[2m" not in terminals[0].seen
    assert "\x1b[1m" not in terminals[0].seen
