"""Two clouds over their doubles: the fan-out, the calls of one run, imports, and lines of code beside two peers'.

``SKY_VENV`` and ``DSTACK_VENV`` name virtual environments with the peers; without them only our lines are counted. The
doubles' machines are real sshd hosts, so sshd is needed for the calls of a run.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tokenize
from collections import Counter
from pathlib import Path
from typing import Any

from lepton_sdk import Client
from lepton_sdk.testing.doubles import DoubleProcess

ROOT = Path(__file__).parents[1]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DELAY = 0.3
# Wall time of an answer in the wild is mostly distance; both doubles are made to answer after so many seconds.
FAULTS: dict[str, dict[str, Any]] = {
    "lambda": {"kind": "slow", "match": "/instance-types", "times": 1_000_000, "seconds": DELAY},
    "crusoe": {"kind": "slow", "match": "GET", "times": 1_000_000, "seconds": DELAY},
}
GPU = {"lambda": "A10:1", "crusoe": "L40S:1"}
PEERS = {
    "lambda": {
        "SkyPilot": ("SKY_VENV", ("sky/clouds/lambda_cloud.py", "sky/provision/lambda_cloud", "sky/catalog/lambda_catalog.py")),
        "dstack": ("DSTACK_VENV", ("dstack/_internal/core/backends/lambdalabs", "gpuhunt/providers/lambdalabs.py")),
    },
    "crusoe": {"dstack": ("DSTACK_VENV", ("dstack/_internal/core/backends/crusoe", "gpuhunt/providers/crusoe.py"))},
}


def double(name: str) -> DoubleProcess:
    """A double at the vendor's own pace."""
    return DoubleProcess(name, *(["--sshd", SSHD, "--ssh-port", "0"] if SSHD else []))


def fan_out(rounds: int) -> dict[str, object]:
    """Wall time of live offers from each cloud alone and from both."""
    seconds: dict[str, list[float]] = {"lambda": [], "crusoe": [], "both": []}
    with double("lambda") as first, double("crusoe") as second, tempfile.TemporaryDirectory() as folder:
        first.tell("/fault", **FAULTS["lambda"])
        second.tell("/fault", **FAULTS["crusoe"])
        os.environ.update(first.environment | second.environment | {"LEPTON_SDK_STATE": f"{folder}/state"})
        for number in range(rounds):
            for what, names in (("lambda", ["lambda"]), ("crusoe", ["crusoe"]), ("both", ["lambda", "crusoe"])):
                # A cache, and with it a pace, of its own: what is measured is the asking, not the waiting for a turn.
                with Client(state=f"{folder}/state", cache=f"{folder}/{what}-{number}") as client:
                    began = time.perf_counter()
                    assert client.offers({"providers": names}, live=True)
                    seconds[what].append(time.perf_counter() - began)
    medians = {what: statistics.median(times) for what, times in seconds.items()}
    ratio = medians["both"] / max(medians["lambda"], medians["crusoe"])
    return {"seconds": medians, "both_to_slower": round(ratio, 3), "bound": 1.2, "answer_delay": DELAY}


def calls(name: str) -> dict[str, object]:
    """Every call of one run from start to end, at the vendor's own pace."""
    with double(name) as cloud, tempfile.TemporaryDirectory() as folder:
        variables = (
            os.environ | cloud.environment | {"LEPTON_SDK_STATE": f"{folder}/state", "LEPTON_SDK_CACHE": f"{folder}/cache"}
        )
        command = [sys.executable, "-m", "lepton_sdk", "run", "--provider", name, "--gpu", GPU[name], "--", "true"]
        subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True)
        rows = cloud.exchanges()
    found = [f"{row['method']} {_plain(row['path'])} {row['status']}" for row in rows]
    return {"calls": found, "count": len(found), "statuses": dict(Counter(row["status"] for row in rows))}


def _plain(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    return "/".join("ID" if len(part) >= 30 else part for part in parts)


def imports(name: str, rounds: int) -> dict[str, object]:
    """Milliseconds to import the spec and the factory in a fresh process, beside a bare interpreter."""
    found: dict[str, object] = {}
    for what, code in (("bare", "pass"), ("spec", f"import lepton_{name}.plugin"), ("factory", f"import lepton_{name}.provider")):
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - began)
        found[f"{what}_ms"] = round(statistics.median(times) * 1000, 1)
    script = f"import sys, lepton_{name}.plugin; print('httpx' in sys.modules)"
    found["spec_imports_httpx"] = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip()
    return found


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    text = path.read_text(encoding="utf-8")
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        alone = token.type == tokenize.STRING and before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if token.type not in skipped and not alone:
            lines |= set(range(token.start[0], token.end[0] + 1))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            before = token.type
    return len(lines)


def _python(place: Path) -> list[Path]:
    return [place] if place.is_file() else sorted(place.rglob("*.py"))


def lines_of(name: str) -> dict[str, object]:
    """Lines of code of our plugin (its double apart) and of the same cloud at the peers."""
    folder = ROOT / "plugins" / f"lepton-{name}" / "src" / f"lepton_{name}"
    ours = {path.name: code_lines(path) for path in sorted(folder.glob("*.py"))}
    found: dict[str, object] = {"ours": sum(ours.values()), "files": ours}
    doubles = ROOT / "plugins" / "lepton-doubles" / "src" / "lepton_doubles" / f"{name}_cloud"
    found["double"] = sum(map(code_lines, sorted(doubles.glob("*.py"))))
    for peer, (variable, places) in PEERS[name].items():
        if not os.environ.get(variable):
            continue
        (site,) = Path(os.environ[variable]).glob("lib/python3.*/site-packages")
        found[peer] = sum(code_lines(file) for place in places for file in _python(site / place))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    figures: dict[str, Any] = {"fan_out": fan_out(given.rounds)}
    for name in ("lambda", "crusoe"):
        figures[name] = {"imports": imports(name, given.rounds), "lines": lines_of(name)}
        if SSHD:
            figures[name]["run"] = calls(name)
    print(json.dumps(figures, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
