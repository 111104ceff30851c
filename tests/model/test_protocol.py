"""The protocol of taking, adopting, claiming and giving back, searched exhaustively by Spin.

The legal steps of a row come into the model from the engine's own table, so that the two cannot drift apart.
``LEPTON_SDK_MODEL=deep`` searches more faults at once (minutes, and gigabytes of memory).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lepton_sdk.domain.stage import STAGES, Stage

_MODEL = Path(__file__).with_name("protocol.pml")
_MISSING = [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"{' and '.join(_MISSING)} not installed: apt-get install spin gcc")

_DEEP = os.environ.get("LEPTON_SDK_MODEL") == "deep"
_TABLE = dict(STAGES)
_HONEST = [
    "CRASHES=1 LAPSES=0",
    "CRASHES=0 LAPSES=1",
    "CRASHES=0 LAPSES=0 ROLLBACK",
    "CRASHES=0 LAPSES=0 LIES",
    "CRASHES=0 LAPSES=0 KEYS",
    *(
        [
            "CRASHES=1 LAPSES=1",
            "CRASHES=0 LAPSES=1 PAUSED_SEND",
            "CRASHES=0 LAPSES=1 LIES",
            "CRASHES=0 LAPSES=1 KEYS",
            "CRASHES=1 LAPSES=0 KEYS",
            "CRASHES=0 LAPSES=0 ROLLBACK TOKENS=3",
        ]
        if _DEEP
        else []
    ),
]
_BUGS = {
    "BUG_CREATE_RETRIED_BLINDLY": "creates",
    "BUG_OWN_MACHINE_TAKEN_FOR_A_DUPLICATE": "machine",
    "BUG_SURPLUS_BEFORE_THE_ROW": "machine",
    "BUG_ABSENCE_TAKEN_FOR_GONE": "job",
    "BUG_RELEASE_BELIEVED_AT_ONCE": "life",
    "BUG_EPOCH_UNCHECKED": "stage",
    "BUG_KEY_OUTLIVED KEYS LAPSES=0": "made",
    "BUG_CLOSED_ON_AN_OLD_LOOK PAUSED_SEND": "machine",
    "BUG_OLD_JOURNAL_NOT_FROZEN ROLLBACK LAPSES=0": "life",
    "BUG_RELEASE_WAITS_FOR_THE_NODE LIES LAPSES=0": "ended",
    "BUG_RELEASE_WAITS_FOR_WHAT_IS_KEPT LIES LAPSES=0": "ended",
}


def steps(table: Mapping[Stage | None, frozenset[Stage]]) -> str:
    """The table of steps as the model reads it."""
    names: dict[Stage | None, str] = {None: "NONE"} | {stage: stage.name for stage in Stage}
    legal = [f"((a) == {names[one]} && (b) == {names[other]})" for one, others in table.items() for other in sorted(others)]
    numbers = [f"#define {name} {number}" for number, name in enumerate(names.values())]
    return "\n".join([*numbers, f"#define LEGAL(a, b) ({' || '.join(legal)})", ""])


def search(folder: Path, words: str, table: Mapping[Stage | None, frozenset[Stage]] = _TABLE) -> tuple[str | None, int]:
    """Search the whole model; the promise that was broken, and how many states were seen."""
    (folder / "stages.pml").write_text(steps(table))
    shutil.copy(_MODEL, folder)
    options = [f"-D{word}" for word in words.split()]
    _run(folder, "spin", "-a", *options, _MODEL.name)
    _run(folder, "gcc", "-O2", "-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=512", "-o", "pan", "pan.c")
    # -E: a client that has nothing to do stands still, which is no error; what must be true then is asserted.
    said = _run(folder, "./pan", "-E", "-m20000", "-w22")
    assert "max search depth too small" not in said, said
    broken, states = re.search(r"pan:1: (.*)", said), re.search(r"(\d+) states, stored", said)
    assert states is not None, said
    assert broken is not None or "Search not completed" not in said, said
    return (broken[1] if broken else None), int(states[1])


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("words", _HONEST)
def test_every_order_of_events_keeps_the_promises(words: str, tmp_path: Path) -> None:
    broken, states = search(tmp_path, words)
    print(f"{words}: {states} states")
    assert broken is None
    assert states > 100_000


@pytest.mark.parametrize(("words", "told"), _BUGS.items())
def test_a_deliberate_bug_is_found(words: str, told: str, tmp_path: Path) -> None:
    """Each breaks the promise that it is about, and none the search itself."""
    faults = words if "LAPSES" in words else f"{words} LAPSES=1"
    broken, _ = search(tmp_path, f"{faults} CRASHES=0")
    assert broken is not None
    assert "assertion violated" in broken
    assert told in broken


def test_a_table_that_lets_a_release_be_undone_is_found(tmp_path: Path) -> None:
    """The model has no steps of its own: what the table allows, clients do."""
    table = _TABLE | {Stage.RELEASING: _TABLE[Stage.RELEASING] | {Stage.OWNED}}
    broken, _ = search(tmp_path, "CRASHES=0 LAPSES=1", table)
    assert broken is not None
    assert "stage" in broken
