"""The program that stays with one execution: it starts the job, keeps its output and result, and leaves nothing behind.

It runs alone, outlives the client, and imports only the standard library: every module here costs each job its start-up
time. It reads its orders from stdin, because secrets stand in them.
"""

# pathlib costs more than the rest of the start-up.
# ruff: noqa: PTH104, PTH108, PTH110, PTH118

from __future__ import annotations

import os
import time

# `signal` and `json` cost 7 ms together, most of it enum and re; the C half of `signal` has all that is needed.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from collections.abc import Iterable, Mapping
    from typing import Any

    from lepton_sdk._executors._kernel import (
        adopt_orphans,
        boot_id,
        descendants,
        now,
        process_entry,
        process_table,
        to_json,
        whole_groups,
        write_new,
    )
else:
    import _signal as signals

    from _kernel import (
        adopt_orphans,
        boot_id,
        descendants,
        now,
        process_entry,
        process_table,
        to_json,
        whole_groups,
        write_new,
    )

__all__ = ["Keeper", "main"]

_BLOCK = 1 << 16
_SPARE = 4096
# Six bytes for each character that JSON escapes, and the result must fit the spare block.
_LONGEST = 500
# How long processes get to vanish after SIGKILL; only one stuck in the kernel needs more.
_STUCK = 10.0
# Time limits hold through a suspend, but select() does not count it: look at the clock at least this often.
_LOOK = 5.0
_COUNT = "LEPTON_JOB_FAILURE_COUNT"


class Keeper:
    """One execution, from its claim to its result."""

    def __init__(self, folder: str, orders: Mapping[str, Any]) -> None:
        self.folder = folder
        self.orders = orders
        self.began = time.time()
        self.phases: dict[str, list[float]] = {}
        self.ended: dict[int, int] = {}
        self.failures: list[int] = []
        self.groups: list[int] = []
        self.alone = True
        self.asked = False
        self.why = ""
        self.remark = ""
        self.dropped = 0
        self.subreaper = False
        self.wake, wake = os.pipe()
        self.output, self.input = os.pipe()
        for fd in (self.wake, wake, self.output):
            os.set_blocking(fd, False)
        signals.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signals.SIGHUP, signals.SIGINT, signals.SIGCHLD):
            signals.signal(number, lambda *_: None)
        signals.signal(signals.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    # --- records ----------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def claim(self) -> None:
        """Say durably who runs this execution. Only the first claim succeeds."""
        entry = process_entry(os.getpid())
        record = {
            "mark": self.orders["mark"],
            "epoch": self.orders["epoch"],
            "pid": os.getpid(),
            "born": entry.born if entry else None,
            "boot": boot_id(),
            "pipe": f"pipe:[{os.fstat(self.output).st_ino}]",
            "grace": self.orders["grace"],
            "started_at": self.began,
        }
        temporary = self.path(f".start.{os.getpid()}")
        write_new(temporary, to_json(record).encode())
        # A full disk must not swallow the result, so its block is taken while there is room.
        write_new(self.path(".spare"), b" " * _SPARE)
        self.log = os.open(self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.link(temporary, self.path("start.json"))
        os.unlink(temporary)
        self.sync()

    def sync(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def note(self, state: str, **more: object) -> str:
        return to_json({"state": state, "started_at": self.began, "phases": self.phases, "failures": self.failures, **more})

    def enter(self, phase: str) -> None:
        """Record that a phase begins; lost in a power cut, as the phase itself is."""
        self.phases[phase] = [time.time()]
        self.publish(phase)

    def publish(self, state: str) -> None:
        try:
            with open(self.path(".status"), "w") as file:
                file.write(self.note(state))
            os.rename(self.path(".status"), self.path("status.json"))
        except OSError:
            pass

    def conclude(self, state: str, **more: object) -> None:
        """Record the end, durably, in the block that was taken at the start."""
        text = self.note(state, finished_at=time.time(), **more).encode()
        write_new(self.path(".spare"), text + b" " * (_SPARE - len(text)))
        os.rename(self.path(".spare"), self.path("status.json"))
        self.sync()

    # --- the loop ---------------------------------------------------------------------------------------------------

    def turn(self, timeout: float) -> None:
        """Wait for output, a signal or the time; then keep the output and bury the dead."""
        import select

        ready = select.select([self.wake, self.output], [], [], max(0.0, min(timeout, _LOOK)))[0]
        if self.wake in ready:
            os.read(self.wake, 512)
        if self.output in ready:
            self.keep()
        self.reap()

    def keep(self) -> bool:
        """Move what stands in the pipe to the log; whether there was any."""
        try:
            data = os.read(self.output, _BLOCK)
        except BlockingIOError:
            return False
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.log, view) :]
        except OSError:
            self.dropped += len(view)
        return bool(data)

    def reap(self) -> None:
        try:
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] in self.groups:
                    self.ended[found[0]] = found[1]
        except ChildProcessError:
            self.alone = True
        else:
            self.alone = False

    def spawn(self, shell: list[str]) -> int:
        pid = os.posix_spawn(
            "/bin/sh",
            shell,
            self.orders["environment"],
            file_actions=[(os.POSIX_SPAWN_DUP2, self.input, 1), (os.POSIX_SPAWN_DUP2, self.input, 2)],
            setpgroup=0,
            # Python ignores these two, and a job must not inherit that.
            setsigdef=[signals.SIGPIPE, signals.SIGXFSZ],
        )
        self.groups.append(pid)
        return pid

    def execute(self, shell: list[str], until: float | None) -> int | None:
        """Run one shell to its end; its wait status, or ``None`` when time or a request ended the wait."""
        try:
            pid = self.spawn(shell)
        except OSError as error:
            self.remark = f"/bin/sh could not be started: {error.strerror}"
            return 126 << 8
        while pid not in self.ended:
            if self.told(until):
                self.clear(self.orders["grace"])
                return self.ended.get(pid)
            self.turn(_LOOK if until is None else until - now())
        return self.ended[pid]

    def told(self, until: float | None) -> bool:
        """Whether a request or the time ends the run now."""
        if self.asked:
            self.why = "cancelled" if os.path.exists(self.path("cancel")) else "lost"
        elif until is not None and now() >= until:
            self.why = "timeout"
        return bool(self.why)

    def once_more(self, status: int, until: float | None) -> bool:
        """Whether a command that failed is started again, after a pause that doubles each time."""
        if not status or self.why or len(self.failures) >= self.orders["again"]:
            return False
        code, pause = os.waitstatus_to_exitcode(status), min(60.0, 2.0 ** len(self.failures))
        self.failures.append(code if code >= 0 else 128 - code)
        self.publish("running")
        more = f"start {len(self.failures)} of {self.orders['again']} more in {pause:.0f} s"
        os.write(self.input, f"lepton: the command ended with exit code {self.failures[-1]}; {more}\n".encode())
        self.send(self.left_by(self.groups[-1]), signals.SIGTERM)
        resume = now() + pause
        while now() < resume:
            if self.told(until):
                return False
            self.turn(resume - now())
        self.send(self.left_by(self.groups[-1]), signals.SIGKILL)
        variables = self.orders["environment"]
        variables[_COUNT] = str(int(variables.get(_COUNT, 0)) + 1)
        return True

    def left_by(self, group: int) -> set[int]:
        """What a command has left in its group; what setup began lives on."""
        table = process_table() if self.subreaper else {}
        return {pid for pid in descendants(table, {os.getpid()}) if table[pid].group == group}

    # --- endings ----------------------------------------------------------------------------------------------------

    def targets(self) -> set[int]:
        """What must end: all descendants and their groups; without /proc or a subreaper, the groups that the job began in."""
        table = process_table() if self.subreaper else {}
        if not table:
            return {-group for group in self.groups}
        pids = descendants(table, {os.getpid()})
        return pids | whole_groups(table, pids)

    def send(self, targets: Iterable[int], number: int) -> set[int]:
        reached = set()
        for pid in targets:
            try:
                os.kill(pid, number)
                reached.add(pid)
            except (ProcessLookupError, PermissionError):
                pass
        return reached

    def gone(self) -> bool:
        self.reap()
        return self.alone and (self.subreaper or not self.send(self.targets(), 0))

    def clear(self, grace: float) -> None:
        """End every process that is left: ask, wait ``grace`` seconds, then kill."""
        if self.gone():
            return
        self.send(self.send(self.targets(), signals.SIGTERM), signals.SIGCONT)
        until = now() + grace
        while not self.gone() and now() < until:
            self.turn(min(0.05, until - now()))
        until = now() + _STUCK
        while not self.gone() and now() < until:
            self.send(self.targets(), signals.SIGKILL)
            self.turn(0.01)

    def run(self) -> None:
        """Setup, then command, then nothing left."""
        self.subreaper = adopt_orphans()
        limit = self.orders["time_limit"]
        until = None if limit is None else now() + limit
        phase, status = "running", None
        shells = {"setup": ["sh", "-e", "-c"], "running": ["sh", "-c"]}
        for phase, shell in shells.items():
            text = self.orders[phase]
            if text is None:
                continue
            self.enter(phase)
            status = self.execute([*shell, text], until)
            while phase == "running" and status is not None and self.once_more(status, until):
                status = self.execute([*shell, text], until)
            self.phases[phase].append(time.time())
            if status or self.why:
                break
        self.clear(min(self.orders["grace"], 1.0))
        self.finish(phase, status)

    def finish(self, phase: str, status: int | None) -> None:
        """Keep the last output, then the result."""
        os.close(self.input)
        while self.keep():
            pass
        try:
            os.fsync(self.log)
        except OSError as error:
            self.remark = f"the end of the log may be lost: {error.strerror}"
        if self.why == "lost":
            self.conclude("lost", detail="something else than the SDK ended the run (SIGTERM); is the host going down?")
            return
        code = -signals.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
        reason = self.why or ("setup" if phase == "setup" else "exit")
        self.conclude("finished", code=code, reason=reason, detail=self.remarks())

    def remarks(self) -> str:
        left = sorted(pid for pid in self.targets() if pid > 0) if not self.gone() else []
        remarks = [self.remark] if self.remark else []
        if left:
            remarks.append(f"processes {left} did not end after SIGKILL")
        if self.dropped:
            remarks.append(f"{self.dropped} bytes of output did not fit on the disk")
        return "; ".join(remarks)[:_LONGEST]


def read_orders() -> Mapping[str, Any]:
    import marshal

    data = b""
    while block := os.read(0, _BLOCK):
        data += block
    # Half a message (the client died while it wrote) raises here, before anything was claimed.
    orders = marshal.loads(data)  # noqa: S302  # it comes from the client that started us, through a pipe
    if not isinstance(orders, dict):
        raise TypeError("orders that are no mapping")
    return orders


def main(folder: str, lock: int) -> None:
    orders = read_orders()
    if os.fork():
        # The client waits for this half, so that it never has a zombie; init takes the other.
        os._exit(0)
    os.setsid()
    keeper = Keeper(folder, orders)
    keeper.claim()
    try:  # noqa: SIM105  # contextlib costs 2 ms
        os.write(1, b"up\n")
    except BrokenPipeError:
        # The client died meanwhile. The start is claimed and holds all the same.
        pass
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    os.close(lock)
    try:
        os.chdir(keeper.path("work"))
        keeper.run()
    except BaseException as error:
        keeper.clear(0.0)
        keeper.conclude("lost", detail=f"the program that follows the run failed: {error!r}"[:_LONGEST])
