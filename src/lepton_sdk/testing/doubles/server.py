"""Serves a double over HTTP: one port has the vendor's API, the other controls it. Keeps all exchanges, injects faults."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from attrs import evolve

from lepton_sdk.testing.doubles.control import Control
from lepton_sdk.testing.doubles.double import Double
from lepton_sdk.testing.doubles.faults import Fault, Faults
from lepton_sdk.testing.doubles.request import Refused, Reply, Request
from lepton_sdk.testing.doubles.routes import lever, view

__all__ = ["DoubleServer"]

# No request to a cloud is larger.
_MOST_BYTES = 16 << 20
_PAGE = b"<html><body><h1>Welcome to the hotel's network</h1></body></html>"
_OTHER_JSON = {"surprise": [1, 2, 3]}


class DoubleServer:
    """Serves a double on two loopback ports, until it is closed.

    Args:
        make: creates the double in its first state: `Double` or a subclass of it, or a function.
        port, control_port: where it listens; 0 for a free port.

    Attributes:
        double: the double that is served; ``/reset`` creates a new one.
        faults: the pending faults.

    >>> from http.client import HTTPConnection
    >>> with DoubleServer(Double) as server:
    ...     line = HTTPConnection(server.url.removeprefix("http://"))
    ...     line.request("GET", "/nothing")
    ...     print(line.getresponse().status, server.exchanges()[0]["path"])
    ...     line.close()
    404 /nothing
    """

    def __init__(self, make: Callable[[], Double], port: int = 0, control_port: int = 0) -> None:
        self._make = make
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self.double = make()
        self.faults = Faults()
        self._exchanges: list[dict[str, Any]] = []
        control = Control(lambda: (self, self.double), self._lock)
        self._ports: list[_Port] = []
        try:
            self._ports.append(_Port(port, self._answer))
            self._ports.append(_Port(control_port, control.answer))
        except OSError:
            self._close_ports()
            raise

    @property
    def url(self) -> str:
        """The base URL of the API, with the double's prefix."""
        return f"http://127.0.0.1:{self._ports[0].server_port}{self.double.prefix}"

    @property
    def control_url(self) -> str:
        """The base URL of the control port."""
        return f"http://127.0.0.1:{self._ports[1].server_port}"

    def start(self) -> None:
        """Serve, in threads of this process."""
        for port in self._ports:
            port.thread.start()

    def close(self) -> None:
        """Stop serving, and end every machine."""
        self._closing.set()
        for port in self._ports:
            if port.thread.is_alive():
                port.shutdown()
                port.thread.join()
        self._close_ports()
        with self._lock:
            self.double.machines.stop_all()

    def _close_ports(self) -> None:
        for port in self._ports:
            port.server_close()

    def __enter__(self) -> DoubleServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- the control port -------------------------------------------------------------------------------------------

    @lever("/fault")
    def add_fault(self, **fields: Any) -> None:
        """Add a fault: kind, match, after, times, status, code, seconds; see `Fault`."""
        self.faults.add(**fields)

    @lever("/calm")
    def calm(self) -> None:
        """Remove the pending faults."""
        self.faults.clear()

    @lever("/reset")
    def reset(self) -> None:
        """Return to the first state, and end every machine."""
        self.double.machines.stop_all()
        self.double, self.faults, self._exchanges = self._make(), Faults(), []

    @view("/exchanges")
    def exchanges(self) -> list[dict[str, Any]]:
        """Every request and its result, oldest first.

        Returns:
            ``method``, ``path``, ``query``, ``scheme`` (of the authorization; no secret is kept), ``request`` (the body's
            text), ``at`` (seconds since 1970), ``fault`` (its kind, or null); and ``status`` and ``reply`` of the double,
            before a fault changed them; null where nothing happened.
        """
        return list(self._exchanges)

    # --- the API ----------------------------------------------------------------------------------------------------

    def _answer(self, request: Request) -> Reply | None:
        path, _, query = request.target.partition("?")
        with self._lock:
            fault = self.faults.take(request.line)
            scheme = request.headers.get("authorization", "").partition(" ")[0]
            exchange: dict[str, Any] = {
                "method": request.method,
                "path": path,
                "query": query,
                "scheme": scheme,
                "status": None,
                "reply": None,
            }
            exchange |= {"request": request.raw.decode(errors="replace"), "at": self.double.now()}
            exchange["fault"] = fault.kind if fault else None
            self._exchanges.append(exchange)
            number = len(self._exchanges)
        reply = self._spoilt(fault, request, exchange) if fault else self._ask(request, exchange)
        return reply and evolve(reply, headers={"x-request-id": f"double-{number}", **reply.headers})

    def _ask(self, request: Request, exchange: dict[str, Any]) -> Reply:
        """Run the request."""
        with self._lock:
            if self._closing.is_set():
                # Rent out nothing that nobody would end.
                return Reply(503)
            try:
                reply = self.double.answer(request)
            except Exception:
                # A bug of the double must not look like a fault of the vendor.
                traceback.print_exc(file=sys.stderr)
                reply = Reply(500, {"error": "the double has a bug; its own output shows where"})
            exchange |= {"status": reply.status, "reply": None if isinstance(reply.body, bytes) else reply.body}
        return reply

    def _ask_late(self, request: Request, exchange: dict[str, Any], double: Double) -> None:
        with self._lock:
            # After a reset the request belongs to no double any more.
            if double is self.double:
                self._ask(request, exchange)

    def _spoilt(self, fault: Fault, request: Request, exchange: dict[str, Any]) -> Reply | None:
        """The answer with a fault; ``None`` if the connection breaks."""
        match fault.kind:
            case "reset-before":
                return None
            case "status":
                return self._refusal(fault.status, fault.code)
            case "html":
                return Reply(fault.status, _PAGE)
            case "silent-before":
                self._closing.wait(fault.seconds or None)
                return None
            case "late":
                timer = threading.Timer(fault.seconds, self._ask_late, (request, exchange, self.double))
                timer.daemon = True
                timer.start()
                return self._refusal(504, fault.code)
        return self._spoilt_after(fault, self._ask(request, exchange))

    def _spoilt_after(self, fault: Fault, reply: Reply) -> Reply | None:
        match fault.kind:
            case "reset-after":
                return None
            case "silent-after":
                self._closing.wait(fault.seconds or None)
                return None
            case "slow":
                self._closing.wait(fault.seconds)
                return reply
            case "half-body":
                return evolve(reply, cut=True)
            case "status-after":
                return self._refusal(fault.status, fault.code)
            case "html-after":
                return Reply(200, _PAGE)
            case "wrong-json":
                return Reply(200, _OTHER_JSON)
        return Reply(200, b'{"it began": [', {"content-type": "application/json"})

    def _refusal(self, status: int, code: str) -> Reply:
        return Reply(status, self.double.write_refusal(Refused(status, code or "internal_error", "As it was ordered.")))


class _Port(ThreadingHTTPServer):
    """One port, and its function for answers; ``None`` resets the connection."""

    daemon_threads = True

    def __init__(self, port: int, answer: Callable[[Request], Reply | None]) -> None:
        self.answer = answer
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that went away; anything else is a bug."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc(file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Send head and body together; else each waits for the other side's delayed acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Port

    def log_message(self, *args: object) -> None:
        """Log nothing: signatures must not be in logs, and exchanges are kept instead."""

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        raw = self.rfile.read(length) if 0 <= length <= _MOST_BYTES else b""
        if len(raw) != length:
            # The sender died in the middle of it, so it is no request.
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Request(self.command, self.path, headers, raw))
        if reply is None:
            self._reset()
        else:
            self._send(reply)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's names

    def _send(self, reply: Reply) -> None:
        raw = reply.payload
        self.send_response(reply.status)
        headers = {"content-type": reply.content_type, "content-length": str(len(raw)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if reply.cut else raw)
        self.wfile.flush()
        if reply.cut:
            self._reset()

    def _reset(self) -> None:
        # With a linger time of zero, close() sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
