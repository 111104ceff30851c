"""A real sshd on loopback with keys of its own, and the executor that goes through it."""

from __future__ import annotations

import asyncio
import getpass
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from tests.executors.process_table import marked, process_table

from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.watchdog.program import WatchdogPlan, install_script
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi import Launch, Offer
from lepton_sdk.spi.executor import Execution, ExecutionStatus, ExecutorContext, Watchdog
from lepton_sdk.testing import FakeProvider

T = TypeVar("T")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

_SETTINGS = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/hostkey
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
MaxStartups 1000:30:2000
LogLevel ERROR
{more}
"""


class Server:
    """One sshd: its port, its host key, and what is left of it when it is stopped."""

    def __init__(self, folder: Path, home: Path, more: str = "") -> None:
        assert SSHD is not None
        self.folder = folder
        self.home = home
        self.address = "127.0.0.1"
        # Words before sshd's own, for one that lives in a namespace.
        self.wrap: list[str] = []
        folder.mkdir(parents=True)
        self.new_key()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # Home is set by sshd, so that nobody's real home is touched and no start-up file of it is read.
        # sshd heeds the first SetEnv line only.
        variables = f"SetEnv HOME={home} {more.removeprefix('SetEnv ')}"
        text = _SETTINGS.format(port=self.port, folder=folder, more=variables)
        (folder / "sshd_config").write_text(text)
        self.begin()

    def new_key(self) -> None:
        key = self.folder / "hostkey"
        key.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "hostkey.pub").read_text().split()[:2])

    def allow(self, public: Path) -> None:
        shutil.copy(public, self.folder / "authorized_keys")

    def begin(self) -> None:
        argv = [*self.wrap, str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        # A connection alone may be one that waits for an sshd that is still beginning.
        with socket.socket() as probe:
            probe.settimeout(5)
            try:
                probe.connect((self.address, self.port))
                return probe.recv(4) == b"SSH-"
            except OSError:
                return False

    def sessions(self) -> set[int]:
        """The processes of sshd that serve a connection."""
        table = process_table()
        above = {self.process.pid}
        if self.wrap:
            # What makes the namespace stays in front of sshd itself.
            above |= {pid for pid, process in table.items() if process.parent == self.process.pid and _name(pid) == "sshd"}
        found = {pid for pid, process in table.items() if process.runs and process.parent in above and _name(pid) == "sshd"}
        return found - above

    def cut(self) -> None:
        """End every connection that stands, and no process of a run."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Signal what serves connections, and nothing that a session started."""
        for pid in self.sessions():
            for one in (pid, *(c for c, p in process_table().items() if p.parent == pid and _name(c) == "sshd")):
                with suppress(ProcessLookupError):
                    os.kill(one, number)

    def stop(self) -> None:
        self.cut()
        # What makes a process namespace passes no SIGTERM on; its death ends all in it.
        self.process.send_signal(signal.SIGKILL if "--pid" in self.wrap else signal.SIGTERM)
        self.process.wait(10)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def until(holds: Callable[[], Any], limit: float = 60) -> Any:
    """Look again and again until something holds; its value."""
    end = time.monotonic() + limit
    while not (value := holds()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return value


class Host:
    """The executor over SSH, one call at a time; the other side is this machine, so its files can be looked at."""

    def __init__(self, server: Server, state: Path, **options: Any) -> None:
        from lepton_sdk._executors.transports.ssh.executor import SSHExecutor

        self.server = server
        self.loop = asyncio.new_event_loop()
        self.node = Node("ssh", "host", access=SSHAccess("127.0.0.1", getpass.getuser(), server.port))
        self.state = state
        self.executor = SSHExecutor(ExecutorContext(clock=SystemClock(), runs_dir=state / "runs"), grace=0.5, **options)
        self.runs = Path(server.home, options.get("base", ".lepton"), "runs")
        self.begun: list[Execution] = []
        self._count = itertools.count()
        # Tests run side by side, and the mark of a run must be its own.
        self.token = os.urandom(4).hex()

    def reach(self, **changes: Any) -> None:
        """Reach the node in another way."""
        from attrs import evolve

        assert isinstance(self.node.access, SSHAccess)
        self.node = evolve(self.node, access=evolve(self.node.access, **changes))

    def do(self, work: Coroutine[Any, Any, T], limit: float = 60) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, limit))

    def execution(self, command: str, *, run: str | None = None, epoch: int = 1, **more: Any) -> Execution:
        own = {name: more.pop(name) for name in ("time_limit", "idle_limit", "lease", "secrets", "environment") if name in more}
        job = Job(command, secrets=list(own.get("secrets", ())), **more)
        name = run or f"run{next(self._count)}"
        return Execution(name if name.endswith(self.token) else name + self.token, 1, epoch, 0, job, **own)

    def start(self, command: str | Execution, **more: Any) -> Execution:
        execution = self.execution(command, **more) if isinstance(command, str) else command
        self.begun.append(execution)
        self.do(self.executor.start(self.node, execution))
        return execution

    def poll(self, execution: Execution) -> ExecutionStatus:
        return self.do(self.executor.poll(self.node, execution))

    def cancel(self, execution: Execution) -> None:
        self.do(self.executor.cancel(self.node, execution))

    def logs(self, execution: Execution, offset: int = 0, *, follow: bool = False) -> bytes:
        async def read() -> bytes:
            return b"".join([piece async for piece in self.executor.logs(self.node, execution, offset, follow=follow)])

        return self.do(read())

    def result(self, execution: Execution) -> tuple[ExecutionStatus, bytes]:
        output = self.logs(execution, follow=True)
        return self.poll(execution), output

    def folder(self, execution: Execution) -> Path:
        return self.runs / execution.run_id / f"{execution.attempt}-{execution.rank}"

    until = staticmethod(until)

    def processes(self, execution: Execution) -> set[int]:
        """Live processes whose environment has the run's mark."""
        return marked(f"LEPTON_RUN_MARK={execution.run_id}-{execution.attempt}-{execution.rank}")

    def none_of(self, execution: Execution) -> bool:
        return not self.processes(execution)

    def keeper(self, execution: Execution) -> int:
        """The process that stays with a run."""
        lines = dict(line.split(" ", 1) for line in (self.folder(execution) / "start").read_text().splitlines())
        return int(lines["pid"])

    def close(self) -> None:
        self.do(self.executor.aclose())
        self.loop.close()


class MakeServer(Protocol):
    def __call__(self, more: str = "") -> Server: ...


@pytest.fixture
def make_server(tmp_path: Path, own_home: Path) -> Iterator[MakeServer]:
    """Servers that let this user in with the key of the test's own home."""
    if SSHD is None:
        pytest.skip("sshd is not installed (openssh-server)")
    pytest.importorskip("asyncssh")
    # Compiled in: sshd does not start without it.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True) if os.getuid() == 0 else None
    (own_home / ".ssh").mkdir(mode=0o700)
    key = own_home / ".ssh/id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made: list[Server] = []

    def make(more: str = "") -> Server:
        home = tmp_path / f"host{len(made)}"
        home.mkdir()
        server = Server(tmp_path / f"sshd{len(made)}", home, more)
        server.allow(key.with_suffix(".pub"))
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(make_server: MakeServer) -> Server:
    return make_server()


@pytest.fixture
def make_host(tmp_path: Path, make_server: MakeServer) -> Iterator[Callable[..., Host]]:
    """Executors over SSH; whatever a test started through one is ended after it."""
    made: list[Host] = []

    def make(server: Server, **options: Any) -> Host:
        host = Host(server, tmp_path / f"client{len(made)}", **options)
        made.append(host)
        return host

    yield make
    for host in made:
        try:
            for execution in host.begun:
                host.cancel(execution)
        finally:
            host.close()
        for execution in host.begun:
            host.until(partial(host.none_of, execution))


@pytest.fixture
def host(make_host: Callable[..., Host], server: Server) -> Host:
    host = make_host(server)
    host.reach(host_keys=(server.host_key,))
    return host


class Hosts(FakeProvider):
    """A cloud whose machines are some hosts, by rank."""

    def __init__(self, folder: Path, offer: Offer, access: Sequence[SSHAccess]) -> None:
        super().__init__(folder, [offer])
        self.access, self._ranks = access, dict[str, int]()

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self._ranks[launch.token] = launch.rank
        return await super().acquire(offer, launch)

    def _node(self, record: dict[str, Any]) -> Node:
        from attrs import evolve

        return evolve(super()._node(record), access=self.access[self._ranks[record["token"]] % len(self.access)])


@pytest.fixture
def cloud_of(tmp_path: Path) -> Callable[..., Hosts]:
    """A cloud of one offer and some servers."""

    def make(offer: Offer, *servers: Server) -> Hosts:
        ways = [SSHAccess(one.address, user="", port=one.port, host_keys=(one.host_key,)) for one in servers]
        return Hosts(tmp_path / "cloud", offer, ways)

    return make


class Guarded:
    """A watchdog on the far side of an executor; its files can be looked at from here."""

    def __init__(self, host: Any, folder: Path) -> None:
        self.host, self.folder, self.off = host, folder / "watchdog", folder / "off"

    def watchdog(self, *, boot: float = 3600.0, **plan: float) -> Watchdog:
        script = install_script(
            WatchdogPlan(boot, age=0, tick=0.05, power_off=f"echo off >>{self.off}", **plan), str(self.folder)
        )
        return Watchdog(str(self.folder), script)

    def arm(self, **plan: float) -> None:
        assert self.host.do(self.host.executor.armed(self.host.node, self.watchdog(**plan))) is True

    @property
    def phase(self) -> str:
        return (self.folder / "state").read_text().split()[3]

    @property
    def aged(self) -> float:
        """Seconds that it has counted."""
        return (int((self.folder / "state").read_text().split()[2]) - 10**15) / 100

    def start(self, command: str, **more: Any) -> Any:
        from attrs import evolve

        return self.host.start(evolve(self.host.execution(command, **more), watchdog=str(self.folder)))

    def close(self) -> None:
        with suppress(OSError, ProcessLookupError):
            pid = (self.folder / "state").read_text().split()[5]
            # In a process namespace of its own the number is another one; that host ends whole.
            if b"watchdog" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def make_guarded(tmp_path: Path) -> Iterator[Callable[[Any], Guarded]]:
    made: list[Guarded] = []

    def make(host: Any) -> Guarded:
        made.append(Guarded(host, tmp_path / f"machine{len(made)}"))
        made[-1].folder.parent.mkdir()
        return made[-1]

    yield make
    for guarded in made:
        guarded.close()
