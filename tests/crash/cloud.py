"""A cloud behind HTTP: ``python cloud.py`` prints its address. It keeps its own books, and loses answers when told so.

``POST /machines``, ``GET /machines?owner=&token=``, ``GET|DELETE /machines/ID``; for tests ``GET /books``.
"""

from __future__ import annotations

import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# A call takes so long, half of it before it has its effect, so that a client can die on either side.
_CALL = (0.0, 0.12)
_BOOT, _END = 0.1, 0.15


class Books:
    """Every machine that ever was."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.machines: dict[str, dict[str, object]] = {}
        self.creates: dict[str, int] = {}

    def make(self, wanted: dict[str, str]) -> dict[str, object]:
        with self.lock:
            self.creates[wanted["token"]] = self.creates.get(wanted["token"], 0) + 1
            name = f"m{len(self.machines) + 1}"
            self.machines[name] = {"id": name, **wanted, "made": time.time(), "ending": None}
            return self.shown(self.machines[name])

    def end(self, name: str) -> dict[str, object]:
        with self.lock:
            machine = self.machines[name]
            machine["ending"] = machine["ending"] or time.time()
            return self.shown(machine)

    def shown(self, machine: dict[str, object]) -> dict[str, object]:
        now, made, ending = time.time(), machine["made"], machine["ending"]
        assert isinstance(made, float)
        if isinstance(ending, float):
            state = "gone" if now - ending > _END else "releasing"
        else:
            state = "ready" if now - made > _BOOT else "pending"
        return machine | {"state": state}

    def listed(self, owner: str, token: str | None) -> list[dict[str, object]]:
        with self.lock:
            shown = [self.shown(machine) for machine in self.machines.values()]
        fits = [one for one in shown if one["state"] != "gone" and owner in ("*", one["owner"])]
        return [one for one in fits if token in (None, one["token"])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    books = Books()

    def log_message(self, *args: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._slowly()
        made = self.books.make(wanted)
        self._slowly()
        self._answer(made)

    def do_DELETE(self) -> None:
        self._slowly()
        ended = self.books.end(self.path.rpartition("/")[2])
        self._slowly()
        self._answer(ended)

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        if place.path == "/books":
            running = [one["id"] for one in self.books.listed("*", None)]
            self._answer({"open": running, "creates": self.books.creates})
        elif place.path == "/machines":
            self._answer(self.books.listed(query["owner"], query.get("token")))
        else:
            self._answer(self.books.shown(self.books.machines[place.path.rpartition("/")[2]]))

    def _slowly(self) -> None:
        time.sleep(random.uniform(*_CALL) / 2)

    def _answer(self, what: object) -> None:
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            # The client is gone, which is what it is all about.
            self.close_connection = True


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
