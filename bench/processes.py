"""Whole processes, ours against a peer's, interleaved: wall time, CPU time, peak memory."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PYTHON = sys.executable
LEPTON = [PYTHON, "-m", "lepton_sdk"]
SCRIPT = Path(sys.executable).with_name("lepton")


class Figures(NamedTuple):
    wall: float
    cpu: float
    peak_mb: float


class Case(NamedTuple):
    name: str
    ours: Sequence[str]
    peer: Sequence[str] | None
    bound: str
    ours_variables: Mapping[str, str] = {}
    peer_variables: Mapping[str, str] = {}


def measure(command: Sequence[str], variables: Mapping[str, str], folder: Path) -> Figures:
    """One process from start to end, by the system's own account of it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Figures(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def compare(case: Case, runs: int, folder: Path) -> dict[str, object]:
    ours: list[Figures] = []
    peers: list[Figures] = []
    for number in range(runs + 1):
        pair = measure(case.ours, case.ours_variables, folder)
        other = measure(case.peer, case.peer_variables, folder) if case.peer else None
        # The first pair warms the page cache and the compiled modules.
        if number:
            ours.append(pair)
            peers += [other] if other else []
    row: dict[str, object] = {"case": case.name, "bound": case.bound, **_medians("ours", ours)}
    if peers:
        row |= _medians("peer", peers)
        row["peer/ours"] = round(statistics.median(p.wall / o.wall for o, p in zip(ours, peers, strict=True)), 2)
    return row


def _medians(who: str, figures: list[Figures]) -> dict[str, object]:
    return {
        f"{who} wall ms": round(statistics.median(f.wall for f in figures) * 1000, 1),
        f"{who} cpu ms": round(statistics.median(f.cpu for f in figures) * 1000, 1),
        f"{who} peak MB": round(statistics.median(f.peak_mb for f in figures), 1),
    }


def many_plugins(folder: Path, count: int) -> Path:
    """Metadata of ``count`` installed plugins, as a package index would leave it."""
    for number in range(count):
        info = folder / f"lepton_stranger{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lepton-stranger{number}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[lepton_sdk.providers.v1]\nstranger{number} = lepton_stranger{number}.plugin:PROVIDER\n"
        )
    return folder


def cases(folder: Path) -> list[Case]:
    state = {"LEPTON_SDK_STATE": str(folder / "state"), "LEPTON_SDK_CACHE": str(folder / "cache")}
    build = "from lepton_sdk import Client, Job; Job('python train.py', resources='H100:8')"
    plain = [PYTHON, "-c", "import attrs, pluggy"]
    crowd = {"PYTHONPATH": str(many_plugins(folder / "crowd", 200))}
    ours_help, offers = [str(SCRIPT), "--help"], [str(SCRIPT), "offers", "--gpu", "H100:8", "--json"]
    found = [
        Case("import and build a job / import attrs, pluggy", [PYTHON, "-c", build], plain, "ours at most 1.5x: ≥ 0.67"),
        Case("lepton --help / the same with 200 more plugins", ours_help, ours_help, "about 1", {}, crowd),
        Case("lepton run -- true / lepton --help", [str(SCRIPT), "run", "--", "true"], ours_help, "≥ 0.25", state, {}),
    ]
    venv, home = os.environ.get("SKY_VENV"), os.environ.get("SKY_HOME")
    if not venv or not home:
        print("SKY_VENV and SKY_HOME are not set: SkyPilot's half is left out", file=sys.stderr)
        return [*found, Case("lepton offers --gpu H100:8 --json", offers, None, "under 40 MB", state)]
    sky = {"HOME": home, "AWS_EC2_METADATA_DISABLED": "true", "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    question = str(Path(__file__).parent / "peers" / "sky_offers.py")
    return [
        *found,
        Case(
            "import and build a job / import sky",
            [PYTHON, "-c", build],
            [f"{venv}/bin/python", "-c", "import sky"],
            "≥ 20",
            {},
            sky,
        ),
        Case("lepton --help / sky --help", ours_help, [f"{venv}/bin/sky", "--help"], "≥ 30", {}, sky),
        Case("lepton offers / SkyPilot's", offers, [f"{venv}/bin/python", question], "≥ 20, under 40 MB", state, sky),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    # In memory, because what a disk takes to make a row durable is measured apart, by journal.py.
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        folder = Path(name)
        (folder / "place").mkdir()
        rows = [compare(case, options.runs, folder / "place") for case in cases(folder)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(row.pop("case"))
        print("   " + "  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
