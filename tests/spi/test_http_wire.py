"""The same table against a real server in a process of its own that breaks connections."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lepton_sdk.errors import ContractViolation, LeptonError, OutcomeUnknown, Unavailable
from lepton_sdk.spi.http import make_client

# Does to a connection what the path of the request says, once the whole head of the request is there.
SERVER = r"""
import socket, struct, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
ANSWERS = {
    "reset": b"",
    "close": b"",
    "half-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half-body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":",
    "half-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"id\"",
    "no-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
    "no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html>.</htm",
    "good": b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"id\": \"m1\"}",
}
def serve(peer):
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(4096)
    what = head.split(b" ")[1].strip(b"/").decode()
    if what == "silent":
        peer.recv(1)
        return
    peer.sendall(ANSWERS[what])
    if what == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


def call(port: int, what: str, **options: Any) -> Any:
    async def one() -> Any:
        async with make_client("acme", base_url=f"http://127.0.0.1:{port}", trust_env=False) as api:
            return await api.call(options.pop("method", "POST"), f"/{what}", **options)

    return asyncio.run(one())


def test_good_answer(port: int) -> None:
    assert call(port, "good", creates=True) == {"id": "m1"}


@pytest.mark.parametrize("what", ["reset", "close", "half-head", "half-body", "half-chunk", "no-gzip", "no-http", "html"])
def test_broken_answer_to_a_create_is_an_unknown_outcome(port: int, what: str) -> None:
    with pytest.raises(OutcomeUnknown):
        call(port, what, creates=True)


@pytest.mark.parametrize("what", ["reset", "close", "half-head", "half-body", "half-chunk", "no-gzip", "no-http"])
def test_broken_answer_to_a_question_may_pass(port: int, what: str) -> None:
    with pytest.raises(Unavailable):
        call(port, what, method="GET")


def test_page_of_a_proxy_is_named_as_what_it_is(port: int) -> None:
    with pytest.raises(ContractViolation, match="text/html that is not JSON"):
        call(port, "html", method="GET")


@pytest.mark.parametrize(("method", "expected"), [("POST", OutcomeUnknown), ("GET", Unavailable)])
def test_server_that_never_answers(port: int, method: str, expected: type[LeptonError]) -> None:
    with pytest.raises(expected):
        call(port, "silent", method=method, timeout=0.2)


def test_nobody_there_is_no_unknown_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="did not get out"):
        call(port, "good", creates=True)
