"""A proxy that stands between a client and a double and spoils exchanges as it is told, one after another."""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from attrs import define

__all__ = ["KINDS", "Wire"]

# What happens, and whether the request takes effect at the other end.
KINDS = {
    "reset before": False,
    "reset after": True,
    "half a body": True,
    "blackhole before": False,
    "blackhole after": True,
    "slow": True,
    "wrong JSON": True,
    "HTML before": False,
    "HTML after": True,
    "503": False,
    "502 after": True,
}
_PAGE = b"<html><body><h1>Welcome to the hotel's network</h1></body></html>"
# Longer than the client's patience in these tests, so that it is the client that gives up.
_SILENCE = 4.0


@define
class _Fault:
    kind: str
    match: str
    times: int
    after: str


class Wire(ThreadingHTTPServer):
    """Forwards to ``target`` what nothing stands against.

    Attributes:
        url: where clients reach the target now.
        seen: ``METHOD /path`` of every request, with what spoilt it.
    """

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._target = urlsplit(target)
        self.url = f"http://127.0.0.1:{self.server_port}{self._target.path}"
        self.seen: list[tuple[str, str]] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def spoil(self, kind: str, match: str, times: int = 1, after: str = "") -> None:
        """Spoil the next ``times`` requests whose ``METHOD /path`` matches, once one that matches ``after`` was seen."""
        assert kind in KINDS
        self._faults.append(_Fault(kind, match, times, after))

    def take(self, request: str) -> str:
        """What spoils this request; empty for nothing."""
        with self._lock:
            fault = next(
                (one for one in self._faults if one.times and re.search(one.match, request) and self._came(one.after)), None
            )
            if fault is not None:
                fault.times -= 1
            self.seen.append((request, fault.kind if fault else ""))
            return fault.kind if fault else ""

    def _came(self, match: str) -> bool:
        return not match or any(re.search(match, request) for request, _ in self.seen)

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, type and body of the target's answer."""
        assert self._target.hostname is not None
        line = http.client.HTTPConnection(self._target.hostname, self._target.port, timeout=30)
        try:
            line.request(method, path, body or None, headers)
            answer = line.getresponse()
            return answer.status, answer.headers.get("content-type", ""), answer.read()
        finally:
            line.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Wire

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = self.server.take(f"{self.command} {self.path}")
        answer: tuple[int, str, bytes] = (502, "text/html", _PAGE)
        if not kind or KINDS[kind]:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            answer = self.server.forward(self.command, self.path, kept, body)
        self._spoilt(kind, *answer)

    do_POST = do_DELETE = do_PUT = do_GET  # noqa: N815 - the base class's names

    def _spoilt(self, kind: str, status: int, content: str, body: bytes) -> None:
        match kind:
            case "reset before" | "reset after":
                self._reset()
            case "half a body":
                self._send(status, content, body, cut=len(body) // 2)
                self._reset()
            case "blackhole before" | "blackhole after":
                time.sleep(_SILENCE)
                self._reset()
            case "slow":
                time.sleep(1.0)
                self._send(status, content, body)
            case "wrong JSON":
                self._send(200, "application/json", b'{"surprise": [1, 2, 3]}')
            case "HTML before" | "502 after":
                self._send(502, "text/html", _PAGE)
            case "HTML after":
                self._send(200, "text/html", _PAGE)
            case "503":
                self._send(503, "application/json", b'{"message": "try later"}')
            case _:
                self._send(status, content, body)

    def _send(self, status: int, content: str, body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", content)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        self.wfile.flush()

    def _reset(self) -> None:
        # Lingering for zero seconds makes close() send a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
