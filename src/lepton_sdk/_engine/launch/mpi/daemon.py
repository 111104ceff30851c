"""What mpirun calls in the place of ssh, and what waits for that call on the other nodes of a run.

It is sent to the nodes and runs there by any python3 from 3.8 on, without the package.

Without words it waits on this node for one command, runs it, and ends as the ranks of this node did. With the words
``HOST COMMAND...``, as ssh takes them, it brings the command to the node that HOST names, and ends as the command did.
Both prove with ``LEPTON_MPI_KEY`` that they belong to one run: whoever else reaches the port can start nothing.
"""

from __future__ import annotations

import hmac
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["bring", "wait_for_one"]

# Nodes make their own images and set-ups ready; one may come long after another.
_PATIENCE = 1800.0
_ANSWER_SECONDS = 20.0
_PAUSE = 0.2
# What shall end has so long before it is told so, and so long again before it is killed.
_GRACE = 5.0
# A host that lost its power or its cable says nothing: after 30 seconds of silence it counts as gone (seconds, seconds, times,
# milliseconds).
_ALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 30_000}
_LONGEST = 1 << 20


def _proof(nonce: str, rank: int, command: str) -> str:
    text = f"{nonce} {rank} {command}"
    return hmac.new(os.environ["LEPTON_MPI_KEY"].encode(), text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()


def _port(rank: int) -> int:
    return int(os.environ["MASTER_PORT"]) + rank


def _server(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def wait_for_one() -> int:
    """Run what the first node brings; the exit code of the first rank that failed here, else that of the command."""
    rank = int(os.environ["NODE_RANK"])
    with _server(_port(rank)) as server:
        caller, command = _taken(server, rank)
    with caller:
        # From a folder without start-up files, because mpirun takes it for the home that ssh would begin in.
        argv = ["/bin/sh", "-c", command]
        child = subprocess.Popen(argv, cwd="/", stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - of our own run
        code = _ended(child, caller)
        noted = sorted(Path().glob(".lepton-mpi-code.*"), key=lambda path: path.stat().st_mtime)
        with suppress(OSError):
            caller.sendall(f"{code}\n".encode())
    return int(noted[0].suffix[1:]) if noted else code


def _ended(child: subprocess.Popen[bytes], caller: socket.socket) -> int:
    """The exit code of what runs here. It is ended when the first node is gone, for then nobody else would end it."""
    while (code := child.poll()) is None:
        if select.select([caller], [], [], _PAUSE)[0] and (how := _farewell(caller)):
            return _put_down(child, how)
    return code


def _put_down(child: subprocess.Popen[bytes], how: str) -> int:
    # A first node that ended in order has told the ranks here to end, and that needs a moment.
    with suppress(subprocess.TimeoutExpired):
        return child.wait(_GRACE)
    sys.stderr.write(f"lepton: the first node of the run {how}; the ranks of this node are ended\n")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_GRACE)
    return child.wait()


def _farewell(caller: socket.socket) -> str:
    """How the other side went; empty if it is there."""
    try:
        return "" if caller.recv(1) else "has ended"
    except OSError as error:
        return f"does not answer any more ({error})"


def _taken(server: socket.socket, rank: int) -> tuple[socket.socket, str]:
    """The first caller who proves that it belongs to the run, and its command."""
    while True:
        caller, _ = server.accept()
        try:
            return caller, _heard(caller, rank)
        except (OSError, ValueError, KeyError, TypeError):
            caller.close()


def _heard(caller: socket.socket, rank: int) -> str:
    caller.settimeout(_ANSWER_SECONDS)
    nonce = os.urandom(16).hex()
    caller.sendall(f"{nonce}\n".encode())
    said = json.loads(_line(caller))
    if not hmac.compare_digest(said["proof"], _proof(nonce, rank, said["command"])):
        raise ValueError("not of this run")
    _keep_open(caller)
    return str(said["command"])


def bring(host: str, command: str) -> int:
    """Bring a command to the node that waits under a name such as ``lepton-rank-3``; its exit code."""
    rank = int(host.rpartition("-")[2])
    with _reached(os.environ["HOST_ADDRS"].split(",")[rank], rank) as node:
        proof = _proof(_line(node), rank, command)
        node.sendall(json.dumps({"command": command, "proof": proof}).encode() + b"\n")
        _keep_open(node)
        try:
            code = int(_line(node))
        except OSError as error:
            sys.exit(f"lepton: node {rank} of the run does not answer any more: {error}")
    # As a shell has it.
    return code if code >= 0 else 128 - code


def _reached(address: str, rank: int) -> socket.socket:
    over = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.create_connection((address, _port(rank)), _ANSWER_SECONDS)
        except OSError as error:
            if time.monotonic() > over:
                sys.exit(f"lepton: node {rank} of the run did not wait at {address} port {_port(rank)}: {error}")
        time.sleep(_PAUSE)


def _keep_open(connection: socket.socket) -> None:
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        # Not every kernel has all of them; then its own two hours count.
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _line(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\n"):
        piece = connection.recv(1 << 16)
        if not piece or len(data) > _LONGEST:
            raise ConnectionError("the other side hung up")
        data += piece
    return data.decode()[:-1]


if __name__ == "__main__":
    sys.exit(bring(sys.argv[1], " ".join(sys.argv[2:])) if len(sys.argv) > 1 else wait_for_one())
