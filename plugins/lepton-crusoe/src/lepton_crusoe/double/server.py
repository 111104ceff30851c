"""The double's two servers: the API that the plugin speaks to, and a control port for whoever tests with it."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field

from lepton_crusoe.double.auth import why_refused
from lepton_crusoe.double.cloud import Cloud
from lepton_crusoe.double.stock import LOCATIONS, TYPES
from lepton_crusoe.double.things import Refused

__all__ = ["Double", "serve"]

_PREFIX = "/v1"
# Pacing is not in the contract either: so many calls within a second are let through.
_PER_SECOND = 10

Answer = Callable[..., Any]


@define
class Fault:
    """What goes wrong with the next ``times`` calls whose ``METHOD /path`` matches ``match``.

    ``kind``: ``lose_reply`` and ``half_body`` (after the effect), ``reset`` (before it), ``status`` (with ``value``, before
    it), ``html`` and ``wrong_json`` (200 after the effect), ``slow`` (``value`` seconds, after the effect).
    """

    kind: str
    match: str
    times: int = 1
    value: float = 0.0


@define
class Double:
    """What both servers share."""

    cloud: Cloud
    keys: dict[str, str]
    read_only: bool = False
    expired: bool = False
    per_second: int = _PER_SECOND
    lock: threading.RLock = field(factory=threading.RLock)
    faults: list[Fault] = field(factory=list)
    traffic: list[dict[str, Any]] = field(factory=list)
    recent: deque[float] = field(factory=deque)

    def routes(self) -> list[tuple[str, str, Answer]]:
        """Method, pattern, answer."""
        cloud, vms = self.cloud, "/compute/vms"
        return [
            ("GET", "/capacities", lambda body, query: cloud.capacities()),
            ("GET", "/organizations/projects/(.+)", lambda body, query, name: cloud.project(name)),
            ("GET", "/users/identities", lambda body, query: self._identity()),
            ("GET", "/locations", lambda body, query: {"items": LOCATIONS}),
            ("GET", f"{vms}/types", lambda body, query: {"items": TYPES}),
            ("GET", "/quotas", lambda body, query: cloud.quotas()),
            ("POST", f"{vms}/instances", lambda body, query: cloud.create_machine(body)),
            ("GET", f"{vms}/instances", lambda body, query: cloud.list_machines(query)),
            ("GET", f"{vms}/instances/operations/(.+)", lambda body, query, name: cloud.operation(name)),
            ("GET", f"{vms}/instances/([^/]+)", lambda body, query, name: cloud.machine(name)),
            ("DELETE", f"{vms}/instances/([^/]+)", lambda body, query, name: cloud.end_machine(name)),
            ("GET", "/storage/disks", lambda body, query: cloud.list_disks()),
            ("POST", "/storage/disks", lambda body, query: cloud.create_disk(body)),
            ("DELETE", "/storage/disks/([^/]+)", lambda body, query, name: cloud.end_disk(name)),
            ("GET", "/networking/ib-networks", lambda body, query: cloud.networks()),
            ("GET", "/networking/ib-partitions", lambda body, query: cloud.list_partitions()),
            ("POST", "/networking/ib-partitions", lambda body, query: cloud.create_partition(body)),
            ("DELETE", "/networking/ib-partitions/([^/]+)", lambda body, query, name: cloud.end_partition(name)),
        ]

    def answer(self, method: str, target: str, headers: Any, raw: bytes) -> tuple[int, Any]:
        """Status and body of one call."""
        now = datetime.fromtimestamp(self.cloud.now(), UTC)
        authorization, timestamp = headers.get("Authorization", ""), headers.get("X-Crusoe-Timestamp", "")
        if why := why_refused({} if self.expired else self.keys, method, target, authorization, timestamp, now):
            return 401, {"code": "bad_credential", "message": why}
        if self._too_fast():
            return 429, {"code": "too_many_requests", "message": "slow down"}
        try:
            return 200, self._route(method, target, raw)
        except Refused as refused:
            return refused.status, {"code": refused.code, "message": refused.message}

    def _identity(self) -> dict[str, Any]:
        role = "project-reader" if self.read_only else "project-editor"
        scope = {"scope_type": "project", "scope_object_id": self.cloud.rules.project}
        binding = {"id": "binding", "customer_id": "user", "role_id": role, "role_name": role, **scope}
        return {"identity": {"id": "user", "email": "user@example.org", "name": "user", "role": role, "role_bindings": [binding]}}

    def _too_fast(self) -> bool:
        now = time.monotonic()
        while self.recent and self.recent[0] < now - 1:
            self.recent.popleft()
        if len(self.recent) >= self.per_second:
            return True
        self.recent.append(now)
        return False

    def _route(self, method: str, target: str, raw: bytes) -> Any:
        path, _, query = target.partition("?")
        local = self._local(path)
        if method != "GET" and self.read_only:
            raise Refused(403, "unauthorized", "this key may only read")
        for verb, pattern, answer in self.routes():
            if verb == method and (match := re.fullmatch(pattern, local)):
                return answer(_parsed(raw), dict(parse_qsl(query)), *match.groups())
        raise Refused(404, "not_found", f"no endpoint {method} {path}")

    def _local(self, path: str) -> str:
        """The path within the API and the project."""
        if not path.startswith(f"{_PREFIX}/"):
            raise Refused(404, "not_found", f"no endpoint {path}")
        local = path.removeprefix(_PREFIX)
        if match := re.match(r"/projects/([^/]+)", local):
            if match[1] != self.cloud.rules.project:
                raise Refused(404, "not_found", f"no project {match[1]}")
            return local[match.end() :]
        return local

    def fault(self, call: str) -> Fault | None:
        """The fault that this call meets."""
        found = next((one for one in self.faults if one.times > 0 and re.search(one.match, call)), None)
        if found:
            found.times -= 1
        return found


def _parsed(raw: bytes) -> Any:
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        raise Refused(400, "bad_request", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "bad_request", "the body is not an object")
    return body


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Double

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        """Nothing: signatures must not be in logs."""

    def do_GET(self) -> None:
        self._do()

    do_POST = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:
            # Whoever sent it died in the middle of it, so it is no request.
            self.close_connection = True
            return None
        double = self.double
        fault = double.fault(f"{self.command} {self.path}")
        if fault and fault.kind == "reset":
            return self._cut()
        if fault and fault.kind == "status":
            return self._send(int(fault.value), {"code": "internal_error", "message": "something broke"})
        with double.lock:
            status, body = double.answer(self.command, self.path, self.headers, raw)
            row = {"method": self.command, "target": self.path, "request": raw.decode(), "status": status, "reply": body}
            double.traffic.append(row)
        return self._faulty(fault, status, body) if fault else self._send(status, body)

    def _faulty(self, fault: Fault, status: int, body: Any) -> None:
        match fault.kind:
            case "lose_reply":
                self._cut()
            case "half_body":
                self._send(status, body, cut=True)
            case "html":
                self._send(status, "<html><body>Welcome to the hotel's network</body></html>", kind="text/html")
            case "wrong_json":
                self._send(status, {"surprise": [1, 2, 3]})
            case _:
                time.sleep(fault.value)
                self._send(status, body)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: Any, *, kind: str = "application/json", cut: bool = False) -> None:
        raw = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.wfile.flush()
            self._cut()


class _Control(_Handler):
    """``GET /bill``, ``/traffic``, ``/capacities``; ``POST /fault``, ``/stock``, ``/promise``, ``/rules``."""

    def _do(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.double.lock:
            self._send(200, self._answer(self.path, json.loads(raw or b"{}")))

    def _answer(self, path: str, body: Any) -> Any:
        double, cloud = self.double, self.double.cloud
        match path:
            case "/fault":
                double.faults.append(Fault(**body))
            case "/stock" | "/promise":
                table = cloud.stock if path == "/stock" else cloud.promised
                table[body["type"], body["location"]] = body["quantity"]
            case "/rules":
                for name, value in body.items():
                    setattr(double if name in ("read_only", "expired", "per_second") else cloud.rules, name, value)
            case "/traffic":
                return double.traffic
            case "/capacities":
                return cloud.capacities()
        return cloud.bill()


def serve(double: Double, port: int, control_port: int) -> tuple[ThreadingHTTPServer, ThreadingHTTPServer]:
    """Both servers, listening on the loopback address and not yet serving. Port 0 takes a free one."""
    api = ThreadingHTTPServer(("127.0.0.1", port), type("Api", (_Handler,), {"double": double}))
    control = ThreadingHTTPServer(("127.0.0.1", control_port), type("Control", (_Control,), {"double": double}))
    return api, control
