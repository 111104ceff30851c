"""The double's API over HTTP: every exchange is kept, and faults happen where they were ordered."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lepton_lambda.double.cloud import Cloud
from lepton_lambda.double.faults import Fault, Faults
from lepton_lambda.double.refusals import Refused, Reply, refused

__all__ = ["ApiServer"]

_PREFIX = "/api/v1"
_PAGE = b"<html><body><h1>Bad Gateway</h1></body></html>"


class ApiServer(ThreadingHTTPServer):
    """Serves one cloud.

    Args:
        found: makes a cloud as it is in the beginning.

    Attributes:
        exchanges: every request and what came of it, oldest first.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], found: Callable[[], Cloud]) -> None:
        self._found = found
        self.cloud = found()
        self.faults = Faults()
        self.exchanges: list[dict[str, Any]] = []
        super().__init__(address, _Handler)

    def begin(self) -> None:
        """Forget everything, and end what runs."""
        self.cloud.machines.stop_all()
        self.cloud, self.faults, self.exchanges = self._found(), Faults(), []

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave together; else each waits for the other side's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ApiServer

    def log_message(self, *args: object) -> None:
        """Exchanges are kept instead."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:
            # Whoever sent it died in the middle of it, so it is no request.
            self.close_connection = True
            return
        text = raw.decode(errors="replace")
        whole, _, query = self.path.partition("?")
        path = whole.removeprefix(_PREFIX)
        cloud = self.server.cloud
        with cloud.lock:
            fault = self.server.faults.take(self.command, path)
            exchange = {
                "method": self.command,
                "path": whole,
                "query": query,
                "scheme": self.headers.get("authorization", "").partition(" ")[0],
                "request": text,
                "at": cloud.time.now(),
                "fault": fault.kind if fault else None,
                "status": None,
                "reply": None,
            }
            self.server.exchanges.append(exchange)
        reply = self._fault(fault, path, text) if fault else self._answer(path, text)
        if reply is not None:
            exchange |= {"status": reply.status, "reply": "" if isinstance(reply.body, bytes) else reply.body}
            self._send(reply, half=fault is not None and fault.kind == "half-body")

    def _answer(self, path: str, text: str) -> Reply:
        try:
            body = json.loads(text) if text else None
        except ValueError:
            return refused("global/invalid-parameters", "The body is not JSON.").reply
        with self.server.cloud.lock:
            try:
                return self.server.cloud.answer(self.command, path, self.headers.get("authorization", ""), body)
            except Refused as error:
                return error.reply

    def _fault(self, fault: Fault, path: str, text: str) -> Reply | None:
        """What comes back when something goes wrong; ``None`` when the line goes dead."""
        if fault.kind in ("reset-before", "reset-after"):
            if fault.kind == "reset-after":
                self._answer(path, text)
            self._reset()
            return None
        if fault.kind == "late":
            threading.Timer(fault.seconds, self._answer, (path, text)).start()
            return refused("global/internal-error", "Gateway timeout.", 504).reply
        if fault.kind == "status":
            return refused(fault.code, "As it was ordered.", fault.status).reply
        if fault.kind == "html":
            return Reply(fault.status, _PAGE)
        if fault.kind == "slow":
            threading.Event().wait(fault.seconds)
        return self._changed(fault, self._answer(path, text))

    @staticmethod
    def _changed(fault: Fault, reply: Reply) -> Reply:
        match fault.kind:
            case "status-after":
                return refused(fault.code, "As it was ordered.", fault.status).reply
            case "wrong-json":
                return Reply(200, {"data": 7})
            case "no-json":
                return Reply(200, b'{"data": {"inst')
        return reply

    def _reset(self) -> None:
        # Lingering for zero seconds makes close() send a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _send(self, reply: Reply, *, half: bool) -> None:
        page = isinstance(reply.body, bytes)
        raw = reply.body if page else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        self.send_header("content-type", "text/html" if raw == _PAGE else "application/json")
        self.send_header("content-length", str(len(raw)))
        self.send_header("x-request-id", f"double-{len(self.server.exchanges)}")
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if half else raw)
        if half:
            self.wfile.flush()
            self._reset()
