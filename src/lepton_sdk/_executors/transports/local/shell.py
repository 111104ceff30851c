"""The keeper on this host, at the other end of a pipe: one process answers short questions, and each start has its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_sdk._executors.environment import passed_on
from lepton_sdk._executors.keeper.program import KEEPER, KEEPER_NAME
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import NodeUnreachable

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["LocalShell"]

_START_SECONDS, _ANSWER_SECONDS = 30.0, 30.0
_BLOCK = 1 << 16
_LONGEST_ANSWER = 1 << 20

# Programs that make the keeper the parent of all orphans below it (PR_SET_CHILD_SUBREAPER), so that a double fork or a new
# session hides nothing from it, and tell it whether that went well. A shell cannot do that itself. They fork first, so that the
# keeper is no child of the client, and give signals that the client ignores back to the job. Perl is up in a fifth of the time
# that Python takes, and almost every Linux has it; the number of the system call depends on the processor, which the file of
# Perl names in its header.
_PERL = (
    'fork and exit; @SIG{"HUP", "INT", "QUIT", "TERM"} = ("DEFAULT") x 4; '
    'open F, "<", "/proc/self/exe"; read F, $_, 20; '
    '$n = {3, 172, 40, 172, 62, 157, 183, 167, 243, 167, 258, 167}->{unpack "x18 v"}; '
    'push @ARGV, "adopts" if $n && !syscall $n, 36, 1, 0, 0, 0; exec @ARGV'
)
_PYTHON = (
    "import ctypes, os, signal, sys\n"
    "if os.fork(): os._exit(0)\n"
    "for number in (1, 2, 3, 15): signal.signal(number, signal.SIG_DFL)\n"
    "words = sys.argv[1:]\n"
    "if not ctypes.CDLL(None).prctl(36, 1, 0, 0, 0): words.append('adopts')\n"
    "os.execv(words[0], words)"
)


class LocalShell:
    """Keepers of this host that share one folder. Calls block; only `ask` is for a coroutine.

    Args:
        base: the folder for our files; runs live in its folder ``runs``.
    """

    title = "this host"

    def __init__(self, base: Path) -> None:
        self._base = base
        self._serving: Popen[bytes] | None = None
        self._owner = os.getpid()
        self._asking = threading.Lock()

    def start(self, words: str, orders: bytes) -> list[str]:
        """Give a new keeper its orders, after the words that name its run; its answer.

        Raises:
            NodeUnreachable: it did not come up, or said nothing in time.
        """
        return self._once(_adopting(), b"keep %s\n" % words.encode() + orders, _START_SECONDS)

    def call(self, words: str, seconds: float) -> list[str]:
        """The answer to a question that takes long; it has a process of its own.

        Raises:
            NodeUnreachable: it did not come up, or said nothing in time.
        """
        return self._once([], words.encode() + b"\n", seconds)

    def _once(self, before: list[str], data: bytes, seconds: float) -> list[str]:
        from subprocess import STDOUT, TimeoutExpired

        with self._keeper(before, stderr=STDOUT) as keeper:
            try:
                said, _ = keeper.communicate(data, timeout=seconds)
            except TimeoutExpired as error:
                # A keeper that claims its run all the same goes on, and the next start finds it.
                keeper.kill()
                raise NodeUnreachable(
                    f"the program that keeps a run did not answer within {seconds:.0f} seconds",
                    hint="this host is overloaded or out of memory; try again",
                ) from TimeoutError(str(error))
        return _answer_of(said.decode(errors="replace"))

    async def ask(self, *words: str) -> list[str]:
        """One short question to the process that answers them all; the lines of the answer."""
        import asyncio

        return await asyncio.to_thread(self._ask, " ".join(words).encode() + b"\n")

    def _ask(self, line: bytes) -> list[str]:
        with self._asking:
            if self._owner != os.getpid():
                # A fork must not speak into its parent's pipe.
                self._serving, self._owner = None, os.getpid()
            fresh = self._serving is None
            try:
                return self._answer(line)
            except (OSError, NodeUnreachable):
                self._hang_up()
                if fresh:
                    raise
            # The process was ended by somebody since the last question.
            try:
                return self._answer(line)
            except BaseException:
                self._hang_up()
                raise

    def _answer(self, line: bytes) -> list[str]:
        from subprocess import DEVNULL

        if self._serving is None:
            self._serving = self._keeper([], stderr=DEVNULL)
            line = b"serve\n" + line
        stdin, stdout = self._serving.stdin, self._serving.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line)
        return [line for line in _lines(stdout.fileno()) if line != "ready"]

    def _keeper(self, before: list[str], *, stderr: int) -> Popen[bytes]:
        """A process that does what the first line of its input says."""
        from subprocess import PIPE, Popen

        return Popen(  # noqa: S603
            [*before, "/bin/sh", self._program(), str(self._base), "attend", "0", _tool("setsid"), "here"],
            bufsize=0,
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            cwd="/",
            # What a host's locale lacks is no news to anybody here.
            env=passed_on(os.environ) | {"PERL_BADLANG": "0"},
            start_new_session=True,
        )

    def _program(self) -> str:
        """The keeper's program as a file; written where it is not there whole."""
        path = self._base / KEEPER_NAME
        try:
            whole = path.stat().st_size == len(KEEPER)
        except FileNotFoundError:
            whole = False
        if not whole:
            self._base.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            try:
                fresh.write_bytes(KEEPER)
                fresh.replace(path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
        return str(path)

    def close(self) -> None:
        """End the process that answers; runs go on."""
        with self._asking:
            if self._owner == os.getpid():
                self._hang_up()

    def _hang_up(self) -> None:
        if (serving := self._serving) is not None:
            self._serving = None
            # One that is busy with something without end would not see the end of its input.
            serving.kill()
            with suppress(OSError):
                serving.__exit__(None, None, None)


def _adopting() -> list[str]:
    """Words before a command that make it the parent of all orphans below it."""
    import sys

    if perl := _tool("perl"):
        return [perl, "-e", _PERL]
    return [sys.executable or "python3", "-I", "-S", "-c", _PYTHON]


def _tool(name: str) -> str:
    """Where a program of this host is; empty when it is not there."""
    folders = f"{os.environ.get('PATH', '')}:/usr/bin:/bin".split(":")
    found = (f"{folder}/{name}" for folder in folders if folder.startswith("/"))
    return next((path for path in found if os.access(path, os.X_OK)), "")


def _lines(fd: int) -> Iterator[str]:
    """The lines of an answer, up to the line that ends it."""
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(fd, POLLIN)
    said = b""
    while not (said.endswith(b"\n.\n") or said == b".\n"):
        if not waiting.poll(_ANSWER_SECONDS * 1000):
            raise NodeUnreachable("this host did not answer in time", hint="is it overloaded?")
        if not (more := os.read(fd, _BLOCK)) or len(said) > _LONGEST_ANSWER:
            raise NodeUnreachable("the keeper's program broke its answer off", hint="ask again")
        said += more
    yield from said.decode(errors="replace").splitlines()[:-1]


def _answer_of(said: str) -> list[str]:
    """What was answered in all that a process said."""
    lines = said.splitlines()
    if "ready" in lines:
        lines = lines[lines.index("ready") + 1 :]
        return lines[: lines.index(".")] if "." in lines else []
    last = one_line(lines[-1]) if lines else "it said nothing"
    raise NodeUnreachable(
        f"the program that keeps a run did not come up: {last}", hint="is the folder of runs writable, with room left?"
    )
