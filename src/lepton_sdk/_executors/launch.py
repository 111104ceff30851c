"""How an execution begins: its lock, its folder, its orders, and the handshake with the program that keeps it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lepton_sdk.errors import JobSpecError, NodeUnreachable
from lepton_sdk.spi.executor import Execution

__all__ = ["FolderLock", "job_environment", "mark_of", "spawn"]

# What setup and command get of the client's environment. Anything else is said in the job.
_PASSED = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "TERM"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    )
)
_PASSED_FAMILIES = ("LC_", "PIP_", "UV_")
_PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"
_HANDSHAKE = 30.0


class FolderLock:
    """Held by whoever starts or ends the execution of a folder, over all processes; let go when its holder dies.

    The program that keeps the execution inherits it until it has claimed the start, so that a client which dies in
    between leaves either a claimed execution or none, never one that comes up behind the next client's back.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.with_name(f"{folder.name}.lock")
        self.fd = -1

    @property
    def taken(self) -> bool:
        """Whether we hold it."""
        return self.fd >= 0

    def __enter__(self) -> FolderLock:
        """Take the lock if it is free; never waits."""
        import fcntl

        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
        else:
            self.fd = fd
        return self

    def __exit__(self, *_: object) -> None:
        import fcntl

        if self.taken:
            # Said aloud, because a process forked elsewhere in the client may hold a copy of the descriptor.
            fcntl.flock(self.fd, fcntl.LOCK_UN)
            os.close(self.fd)
            self.fd = -1


def mark_of(execution: Execution) -> str:
    """What every process of an execution carries in its environment, whichever follower started it."""
    return f"{execution.run_id}-{execution.attempt}-{execution.rank}"


def job_environment(execution: Execution, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of setup and command, and nothing of the client's beyond the documented names."""
    environment = {"PATH": _PLAIN_PATH}
    environment |= {k: v for k, v in ours.items() if k in _PASSED or k.startswith(_PASSED_FAMILIES)}
    # Without it Python keeps its output back for minutes when it writes to a pipe.
    environment["PYTHONUNBUFFERED"] = "1"
    environment |= execution.environment
    environment |= execution.job.env
    environment |= execution.secrets
    environment["LEPTON_RUN_MARK"] = mark_of(execution)
    for name, value in environment.items():
        if "\0" in value:
            raise JobSpecError(f"{name}: a null character cannot be part of an environment variable")
    return environment


def _orders(execution: Execution, environment: dict[str, str], grace: float) -> dict[str, object]:
    from lepton_sdk._executors.container import contained

    execution = contained(execution)
    return {
        "setup": execution.job.setup,
        "running": execution.job.command,
        "environment": environment,
        "mark": environment["LEPTON_RUN_MARK"],
        "epoch": execution.epoch,
        "again": execution.job.max_failure_retry,
        "time_limit": None if execution.time_limit is None else float(execution.time_limit),
        "grace": float(grace),
    }


def spawn(execution: Execution, folder: Path, lock: FolderLock, grace: float) -> None:
    """Start the program that keeps the execution and return when it has claimed the start.

    Raises:
        NodeUnreachable: it did not come up; nothing runs.
    """
    import marshal
    import subprocess
    import sys

    environment = job_environment(execution, os.environ)
    orders = marshal.dumps(_orders(execution, environment, grace))
    program = str(Path(__file__).with_name("_shim.py"))
    command = [sys.executable, "-I", "-S", "-X", "utf8", program, str(folder), str(lock.fd)]
    keeper = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"LEPTON_RUN_MARK": environment["LEPTON_RUN_MARK"]},
        pass_fds=(lock.fd,),
        start_new_session=True,
    )
    with keeper:
        try:
            said, _ = keeper.communicate(orders, timeout=_HANDSHAKE)
        except subprocess.TimeoutExpired:
            keeper.kill()
            raise NodeUnreachable(
                f"the program that keeps a run did not come up within {_HANDSHAKE:.0f} seconds",
                hint="this host is overloaded or out of memory; try again",
            ) from None
    if said != b"up\n":
        _refuse(said.decode(errors="replace"))


def _refuse(said: str) -> None:
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    raise NodeUnreachable(
        f"the program that keeps a run did not come up: {last[0]}",
        hint="is the folder of runs writable, with room left?",
    )
