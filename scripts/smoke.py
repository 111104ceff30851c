"""Try the installed distributions as a new user would: from an empty folder, with an empty home, without the checkout.

Run by the Python of an environment that holds the wheels: ``python -I scripts/smoke.py``. Ends with 1 on the first promise
that does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

_DATA = {
    "lepton_sdk": ("py.typed", "domain/gpus.txt", "catalog/reference.tsv", "catalog/price_ranges.tsv", "testing/machine.sh"),
    "lepton_byoc": ("py.typed",),
    "lepton_crusoe": ("py.typed",),
    "lepton_doubles": ("py.typed",),
    "lepton_lambda": ("py.typed",),
}


def main() -> None:
    installed_here()
    with tempfile.TemporaryDirectory() as place:
        answers(Path(place))
        doubles_answer(Path(place))
    print("the wheels work without the checkout")


def installed_here() -> None:
    """The packages come from this environment, with their data and their licence."""
    for package, names in _DATA.items():
        home = Path(str(files(package)))
        expect(home.is_relative_to(sys.prefix), f"{package} is imported from {home}, not from {sys.prefix}")
        for name in names:
            expect((home / name).is_file(), f"{package} has come without {name}")
        licences = [file for file in distribution(package.replace("_", "-")).files or () if file.name == "LICENSE"]
        expect(len(licences) == 1, f"{package} has come with {len(licences)} licence files, not 1")


def answers(place: Path) -> None:
    """The command finds its plugin, routes, and runs a job to its end."""
    ready = {plugin["name"] for plugin in asked(place, "plugins", "--json") if plugin["state"] == "ready"}
    expect({"byoc", "local"} <= ready, f"ready plugins are {sorted(ready)}, not byoc and local")
    offers = asked(place, "offers", "--gpu", "H100:8", "--json")
    expect(bool(offers), "no reference offer for H100:8 is known")
    ended = lepton(place, "run", "--", "sh", "-c", "echo it runs; exit 7")
    expect(ended.returncode == 7, f"the job ended with 7, lepton run with {ended.returncode}: {ended.stderr}")
    expect("it runs" in ended.stdout, f"the job's output is missing in {ended.stdout!r}")


def doubles_answer(place: Path) -> None:
    """The clouds' doubles are in a distribution of their own, and the commands of their plugins find them there."""
    for name in ("lambda", "crusoe"):
        files_of = [str(file) for file in distribution(f"lepton-{name}").files or ()]
        expect(not [file for file in files_of if "double" in file], f"lepton-{name} has come with a double: {files_of}")
        examined = lepton(place, name, "double", "--", str(Path(sys.prefix, "bin", "lepton")), "doctor", name)
        expect(examined.returncode == 0, f"lepton {name} double ended with {examined.returncode}: {examined.stderr}")


def asked(place: Path, *words: str) -> Any:
    done = lepton(place, *words)
    expect(done.returncode == 0, f"lepton {' '.join(words)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def lepton(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = {"HOME": str(place / "home"), "LEPTON_SDK_STATE": str(place / "state")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_", "XDG_", "PYTHON"))}
    command = [str(Path(sys.prefix, "bin", "lepton")), *words]
    return subprocess.run(command, cwd=place, env=kept | own, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"smoke: {otherwise}")


if __name__ == "__main__":
    main()
