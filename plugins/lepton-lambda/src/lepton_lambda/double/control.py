"""The double's other port, for tests and for people who try things out: time, stock, prices, faults, bill.

Everything is JSON. ``GET``: ``/exchanges``, ``/machines``, ``/bill``. ``POST``: ``/time`` {skip}, ``/settings`` {…},
``/stock`` {type, region, left}, ``/price`` {type, cents}, ``/quota`` {account, gpus}, ``/file-system`` {account, name, region},
``/ruleset`` {account, id, region}, ``/key`` {key, account, trouble, no_instances, expired}, ``/machine`` {id, status},
``/take-back`` {id}, ``/fault`` {kind, method, path, times, status, code, seconds}, ``/calm`` {}, ``/reset`` {}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import fields_dict

from lepton_lambda.double.account import Account
from lepton_lambda.double.cloud import Cloud, Settings
from lepton_lambda.double.server import ApiServer

__all__ = ["ControlServer"]


class ControlServer(ThreadingHTTPServer):
    """Steers one `ApiServer`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], api: ApiServer) -> None:
        self.api = api
        self.orders: dict[str, Callable[[dict[str, Any]], object]] = {
            "/time": lambda order: self._cloud.time.skip(float(order["skip"])),
            "/settings": self._settings,
            "/stock": lambda order: self._cloud.shop[order["type"]].left.__setitem__(order["region"], int(order["left"])),
            "/price": lambda order: setattr(self._cloud.shop[order["type"]], "cents", int(order["cents"])),
            "/quota": lambda order: setattr(self._cloud.accounts[order["account"]], "quota", int(order["gpus"])),
            "/file-system": lambda order: self._cloud.accounts[order["account"]].file_systems.update(
                {order["name"]: order["region"]}
            ),
            "/ruleset": lambda order: self._cloud.accounts[order["account"]].rulesets.update({order["id"]: order["region"]}),
            "/key": lambda order: self._cloud.add_key(**order),
            "/machine": lambda order: setattr(self._machines()[order["id"]], "status", order["status"]),
            "/take-back": lambda order: self._machines()[order["id"]].take_back(self._cloud.time.now()),
            "/fault": lambda order: self.api.faults.add(**order),
            "/calm": lambda order: self.api.faults.clear(),
            "/reset": lambda order: self.api.begin(),
        }
        super().__init__(address, _Handler)

    @property
    def _cloud(self) -> Cloud:
        return self.api.cloud

    def _account(self, order: dict[str, Any]) -> Account:
        return self._cloud.accounts[order["account"]]

    def _machines(self) -> dict[str, Any]:
        return {name: machine for account in self._cloud.accounts.values() for name, machine in account.machines.items()}

    def _settings(self, order: dict[str, Any]) -> None:
        for name, value in order.items():
            if name not in fields_dict(Settings):
                raise KeyError(name)
            setattr(self._cloud.settings, name, value)

    def question(self, path: str) -> Any:
        """The answer to a ``GET``; ``None`` where there is none."""
        now = self._cloud.time.now()
        if path == "/exchanges":
            return self.api.exchanges
        if path == "/machines":
            return [machine.show(now) for machine in self._machines().values()]
        if path == "/bill":
            rows = [{"id": name, "cents": machine.cost(now)} for name, machine in self._machines().items()]
            running = [name for name, machine in self._machines().items() if machine.ended is None]
            return {"machines": rows, "running": running, "cents": round(sum(row["cents"] for row in rows), 2)}
        return None


class _Handler(BaseHTTPRequestHandler):
    wbufsize = -1
    server: ControlServer

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        with self.server.api.cloud.lock:
            answer = self.server.question(self.path)
        self._send(404 if answer is None else 200, answer)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            order = self.server.orders[self.path]
            with self.server.api.cloud.lock:
                order(json.loads(text))
        except (KeyError, TypeError, ValueError) as error:
            self._send(400, {"error": f"{type(error).__name__}: {error}"})
        else:
            self._send(200, {})

    def _send(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
