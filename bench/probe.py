"""What a look at a host takes, for 8 GPUs of the NVML stand-in: the probe itself, and the whole way over one loopback sshd.

    python bench/probe.py [--rounds 7]

Needs gcc and sshd. A real driver answers slower than the stand-in, which is said of no GPU but of our own code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from ssh import sshd

from lepton_byoc.ask import ask
from lepton_byoc.bundle import bundle
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk._plugins.remote_shell import ExecutorShell
from lepton_sdk.spi import ExecutorContext, SSHAccess

GPUS = 8


def stand_in(folder: Path) -> dict[str, str]:
    """Variables of a host with 8 GPUs."""
    source, library = Path(__file__).parents[1] / "tests/nvml/standin.c", folder / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", source, "-o", library], check=True)
    (folder / "nvml.txt").write_text(f"gpus {GPUS}\n")
    return {"LD_LIBRARY_PATH": str(folder), "NVML_STANDIN": str(folder / "nvml.txt")}


def alone(folder: Path, variables: dict[str, str], rounds: int) -> tuple[float, float]:
    """Medians: the probe as a process on this host, and what it says it took."""
    (folder / "probe.pyz").write_bytes(bundle())
    took, said = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        argv = ["python3", "-I", str(folder / "probe.pyz")]
        done = subprocess.run(argv, input=b'{"do": "look"}', capture_output=True, check=True, env=os.environ | variables)
        took.append(time.perf_counter() - begun)
        said.append(json.loads(done.stdout)["probe"]["seconds"])
    return statistics.median(took), statistics.median(said)


async def over_ssh(folder: Path, access: SSHAccess, rounds: int) -> tuple[float, float]:
    """The first look at a host, which is sent the probe, and the median of the others."""
    context = ExecutorContext(clock=SystemClock(), runs_dir=folder / "runs")
    shell = ExecutorShell(lambda _: SSHExecutor(context))
    host: Any = SimpleNamespace(name="bench", access=access)
    took = []
    try:
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            await ask(shell, host, {"do": "look"}, provider="byoc")
            took.append(time.perf_counter() - begun)
    finally:
        await shell.aclose()
    return took[0], statistics.median(took[1:])


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = stand_in(folder)
        process, probe = alone(folder, variables, rounds)
        print(f"the probe, {GPUS} GPUs: {probe:.3f} s; as a process of its own {process:.3f} s")
        print(f"what is sent: {len(bundle()) / 1000:.0f} kB")
        with sshd(folder, " ".join(f"{key}={value}" for key, value in variables.items())) as port:
            key = " ".join((folder / "hostkey.pub").read_text().split()[:2])
            access = SSHAccess("127.0.0.1", user="", port=port, host_keys=(key,), identity=str(folder / "id"))
            first, warm = asyncio.run(over_ssh(folder, access, rounds))
        print(f"over SSH: {first:.3f} s the first time, with connection and sending; {warm:.3f} s on a warm connection")


if __name__ == "__main__":
    main()
