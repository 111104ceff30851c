"""Runs behind SSH against OpenSSH's own tools on one loopback sshd: first line, log throughput, sending a workdir.

    python bench/ssh.py [--files 10000] [--megabytes 256] [--rounds 7]

Each pair is measured in turn (A B A B …) in one run, each after a rest of half a second, in which our client makes its next
channels ready and the disk settles; medians, and the ratio of the medians. Needs sshd, ssh and rsync.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NODES = 200
SETTINGS = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/hostkey
PidFile none
AuthorizedKeysFile {folder}/id.pub
StrictModes no
UsePAM no
PasswordAuthentication no
UseDNS no
MaxStartups 1000
SetEnv HOME={folder}/host {variables}
"""


@contextlib.contextmanager
def sshd(folder: Path, variables: str = "") -> Iterator[int]:
    """A server of our own; its port. ``variables`` are set for what runs there."""
    for name in ("hostkey", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "host").mkdir()
    (folder / "config").write_text(SETTINGS.format(port=port, folder=folder, variables=variables))
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    process = subprocess.Popen([program, "-D", "-f", str(folder / "config")])
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


class Peer:
    """OpenSSH's client, cold or through a connection that stands."""

    def __init__(self, folder: Path, port: int) -> None:
        options = [f"Port={port}", f"IdentityFile={folder}/id", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
        self.words = ["ssh", "-q", *(word for option in options for word in ("-o", option))]
        self.shared = [*self.words, "-o", f"ControlPath={folder}/shared"]
        subprocess.run([*self.shared, "-o", "ControlMaster=yes", "-fN", "127.0.0.1"], check=True)

    def line(self, words: list[str]) -> None:
        with subprocess.Popen([*words, "127.0.0.1", "echo line; sleep 0.2"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.kill()

    def cat(self, path: Path) -> None:
        with subprocess.Popen([*self.words, "127.0.0.1", f"cat {path}"], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while process.stdout.read(1 << 16):
                pass

    def rsync(self, source: Path, target: Path) -> None:
        subprocess.run(["rsync", "-a", "-e", " ".join(self.words), f"{source}/", f"127.0.0.1:{target}/"], check=True)


class Ours:
    """The executor, with a loop of its own that runs all the time, as the loop of a client does."""

    def __init__(self, folder: Path, port: int) -> None:
        from lepton_sdk.domain.access import SSHAccess
        from lepton_sdk.domain.node import Node

        self.folder = folder
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        key = " ".join((folder / "hostkey.pub").read_text().split()[:2])
        self.node = Node("ssh", "host", access=SSHAccess("127.0.0.1", user="", port=port, host_keys=(key,)))
        self.executor = self.fresh()
        self.count = 0

    def fresh(self) -> Any:
        from lepton_sdk._clock import SystemClock
        from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
        from lepton_sdk.spi.executor import ExecutorContext

        return SSHExecutor(ExecutorContext(clock=SystemClock(), runs_dir=self.folder / "state/runs"))

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def start(self, executor: Any, command: str, **job: Any) -> Any:
        from lepton_sdk.domain.job import Job
        from lepton_sdk.spi.executor import Execution

        self.count += 1
        run = Execution(f"bench{self.count}", 1, 1, 0, Job(command, **job))
        self.do(executor.start(self.node, run))
        return run

    async def first(self, executor: Any, run: Any) -> None:
        reading = executor.logs(self.node, run, follow=True)
        async for _ in reading:
            break
        await reading.aclose()

    def line(self, executor: Any) -> None:
        self.do(self.first(executor, self.start(executor, "echo line; sleep 0.2")))

    def cold(self) -> None:
        executor = self.fresh()
        self.line(executor)
        self.do(executor.aclose())

    async def whole(self, run: Any) -> None:
        async for _ in self.executor.logs(self.node, run):
            pass


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def rested(call: Callable[[], object]) -> float:
    time.sleep(0.5)
    return seconds(call)


def pair(name: str, bound: str, rounds: int, ours: Callable[[], object], peer: Callable[[], object]) -> None:
    """Both in turn, each while the other rests; the medians and their ratio."""
    report(name, bound, [(rested(ours), rested(peer)) for _ in range(rounds)])


def report(name: str, bound: str, times: list[tuple[float, float]]) -> None:
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{name:38} ours {mine * 1000:8.0f} ms   peer {theirs * 1000:8.0f} ms   ratio {mine / theirs:5.2f}   ({bound})")


def make_tree(folder: Path, files: int) -> None:
    for n in range(files):
        if n % 100 == 0:
            (folder / str(n // 100)).mkdir(parents=True)
        (folder / f"{n // 100}/file{n}.py").write_text(f"content of {n}\n" * 20)


def bench_sending(folder: Path, ours: Ours, peer: Peer, files: int, rounds: int) -> None:
    project = folder / "project"
    make_tree(project, files)
    base = folder / "host/.lepton"

    def send() -> None:
        ours.start(ours.executor, "true", workdir=project)

    def first(n: int) -> tuple[float, float]:
        # A node that has nothing, and a client that knows nothing.
        for place in (base / "blobs", base / "spares", folder / "state/workdirs"):
            if place.exists():
                place.rename(folder / f"old{n}-{place.name}")
        mine = rested(send)
        made_ready(base)
        return mine, rested(lambda: peer.rsync(project, folder / f"mirror{n}"))

    report(f"send {files} files, first time", "1.5x", [first(n) for n in range(3)])
    again, ready = [], []
    for n in range(rounds):
        (project / "0/file0.py").write_text(f"changed {n}\n")
        mine = rested(send)
        ready.append(seconds(lambda: made_ready(base)))
        again.append((mine, rested(lambda: peer.rsync(project, folder / "mirror0"))))
    report("again with one changed", "1.2x", again)
    print(f"  after it a process of low priority makes the next copy ready, in {statistics.median(ready):.2f} s")
    at_once = []
    for n in range(3):
        (project / "0/file0.py").write_text(f"once more {n}\n")
        send()
        at_once.append((seconds(send), rested(lambda: peer.rsync(project, folder / "mirror0"))))
        made_ready(base)
    report("again at once, no copy ready yet", "no bound", at_once)


def made_ready(base: Path) -> None:
    """Wait until nothing is being made any more for runs to come."""
    while list((base / "spares").glob(".*")):
        time.sleep(0.02)


async def _follow(executor: Any, node: Any, run: Any) -> None:
    """Read a run's log and look at its state twice a second, as the engine does."""

    async def read() -> None:
        async for _ in executor.logs(node, run, follow=True):
            pass

    reading = asyncio.ensure_future(read())
    try:
        while True:
            await executor.poll(node, run)
            await asyncio.sleep(0.5)
    finally:
        reading.cancel()


def bench_nodes(ours: Ours, seconds_followed: float = 10.0) -> None:
    """Follow a run on each of many nodes, as the engine does: its log, and its state twice a second."""
    import resource

    from attrs import evolve

    from lepton_sdk.domain.access import SSHAccess
    from lepton_sdk.domain.job import Job
    from lepton_sdk.spi.executor import Execution

    access = ours.node.access
    assert isinstance(access, SSHAccess)
    executor = ours.fresh()
    # One sshd stands for all: a way to reach a node that is written otherwise is another node to a client.
    nodes = [evolve(ours.node, access=evolve(access, host_keys=access.host_keys * n)) for n in range(1, NODES + 1)]
    runs = [Execution(f"many{n}", 1, 1, 0, Job("sleep 600")) for n in range(NODES)]

    async def whole() -> None:
        places = asyncio.Semaphore(8)

        async def each(call: Any, node: Any, run: Any) -> None:
            async with places:
                await call(node, run)

        begin = time.perf_counter()
        await asyncio.gather(*(each(executor.start, *one) for one in zip(nodes, runs, strict=True)))
        print(f"{NODES} nodes reached and started in {time.perf_counter() - begin:.1f} s")
        tasks = [asyncio.ensure_future(_follow(executor, node, run)) for node, run in zip(nodes, runs, strict=True)]
        await asyncio.sleep(5)
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds_followed)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{NODES} nodes followed: {share:.0%} of one core, peak memory {peak:.0f} MB (300 MB)")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(each(executor.cancel, *one) for one in zip(nodes, runs, strict=True)))
        await executor.aclose()

    ours.do(whole())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--files", type=int, default=10_000)
    options.add_argument("--megabytes", type=int, default=256)
    options.add_argument("--rounds", type=int, default=7)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with sshd(folder) as port:
            os.environ["HOME"] = str(folder)
            os.environ.pop("SSH_AUTH_SOCK", None)
            (folder / ".ssh").mkdir(mode=0o700)
            shutil.copy(folder / "id", folder / ".ssh/id_ed25519")
            ours, peer = Ours(folder, port), Peer(folder, port)
            # First, because what it says of memory is the most that the process ever had.
            bench_nodes(ours)
            ours.line(ours.executor)
            pair("first line, cold", "3x", chosen.rounds, ours.cold, lambda: peer.line(peer.words))
            pair("first line, warm", "1.5x", chosen.rounds, lambda: ours.line(ours.executor), lambda: peer.line(peer.shared))
            run = ours.start(ours.executor, f"head -c {chosen.megabytes}M /dev/urandom")
            while ours.do(ours.executor.poll(ours.node, run)).state != "finished":
                time.sleep(0.1)
            log = folder / f"host/.lepton/runs/{run.run_id}/1-0/log"
            pair(f"log of {chosen.megabytes} MB", "2x", 3, lambda: ours.do(ours.whole(run)), lambda: peer.cat(log))
            if shutil.which("rsync"):
                bench_sending(folder, ours, peer, chosen.files, chosen.rounds)
            ours.do(ours.executor.aclose())
            ours.loop.call_soon_threadsafe(ours.loop.stop)
            subprocess.run([*peer.shared, "-O", "exit", "127.0.0.1"], check=False, capture_output=True)


if __name__ == "__main__":
    main()
