"""Two ports: the API with every exchange kept and every fault as ordered, and the control port."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lepton_sdk.testing.doubles import HAPPENS, KINDS, Double, DoubleServer

NAME = {"name": "a"}


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_exchanges_are_kept_without_secrets(server: DoubleServer, ask: Any) -> None:
    ask(f"{server.url}/shelves?limit=1", authorization="Bearer s3cret")
    ask(f"{server.url}/shelves", "POST", NAME)
    first, second = server.exchanges()
    assert (first["method"], first["path"], first["query"], first["scheme"]) == ("GET", "/v1/shelves", "limit=1", "Bearer")
    assert (first["status"], first["reply"], first["fault"]) == (200, {"items": [], "next": ""}, None)
    assert (second["request"], second["at"]) == (json.dumps(NAME), 1000.0)
    assert "s3cret" not in json.dumps(server.exchanges())


def _outcome(server: DoubleServer, ask: Any) -> Any:
    """Status and body, or the kind of trouble."""
    try:
        return ask(f"{server.url}/shelves", "POST", NAME, timeout=1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error)


_SEEN: dict[str, Any] = {
    "reset-before": ConnectionResetError,
    "reset-after": ConnectionResetError,
    "half-body": (ConnectionResetError, http.client.IncompleteRead),
    "silent-before": TimeoutError,
    "silent-after": TimeoutError,
    "slow": (200, {"name": "a", "by": "nobody"}),
    "late": (504, {"code": "busy", "message": "As it was ordered."}),
    "status": (418, {"code": "busy", "message": "As it was ordered."}),
    "status-after": (418, {"code": "busy", "message": "As it was ordered."}),
    "html": ValueError,
    "html-after": ValueError,
    "wrong-json": (200, {"surprise": [1, 2, 3]}),
    "no-json": ValueError,
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_fault_is_seen_as_it_says(kind: str, server: DoubleServer, ask: Any, tell: Any) -> None:
    seconds = {"silent-before": 0.0, "silent-after": 0.0, "slow": 0.05, "late": 0.05}.get(kind, 0.0)
    assert tell("/fault", kind=kind, match="POST .*/shelves$", status=418, code="busy", seconds=seconds) == (200, {})
    assert ask(f"{server.url}/shelves") == (200, {"items": [], "next": ""})
    seen, expected = _outcome(server, ask), _SEEN[kind]
    if isinstance(expected, type) or isinstance(expected[0], type):
        assert issubclass(seen, expected)
    else:
        assert seen == expected
    if kind in HAPPENS:
        _until(lambda: server.exchanges()[-1]["status"] == 200)
    assert server.double.ledger.open() == list(server.double.ledger.charges)
    assert len(server.double.ledger.charges) == (1 if kind in HAPPENS else 0)
    exchange = server.exchanges()[-1]
    assert (exchange["fault"], exchange["status"]) == (kind, 200 if kind in HAPPENS else None)
    # It was ordered once.
    assert ask(f"{server.url}/shelves", "POST", NAME)[0] == 200


def test_faults_can_be_forgotten(server: DoubleServer, ask: Any, tell: Any) -> None:
    tell("/fault", kind="status", times=5)
    assert ask(f"{server.url}/shelves")[0] == 503
    tell("/calm")
    assert ask(f"{server.url}/shelves")[0] == 200


def test_a_reset_begins_anew(server: DoubleServer, ask: Any, tell: Any) -> None:
    ask(f"{server.url}/shelves", "POST", NAME)
    tell("/fault", kind="status")
    before = server.double
    tell("/reset")
    assert (server.double is before, server.exchanges()) == (False, [])
    assert ask(f"{server.url}/shelves") == (200, {"items": [], "next": ""})


def test_what_comes_late_does_not_come_after_a_reset(server: DoubleServer, ask: Any, tell: Any) -> None:
    timers = threading.active_count()
    tell("/fault", kind="late", seconds=0.2)
    assert ask(f"{server.url}/shelves", "POST", NAME)[0] == 504
    tell("/reset")
    _until(lambda: threading.active_count() <= timers)
    assert (server.double.ledger.charges, server.exchanges()) == ({}, [])


def test_a_bug_of_the_double_is_loud_and_not_the_vendors(server: DoubleServer, ask: Any, capsys: Any) -> None:
    status, body = ask(f"{server.url}/bug")
    assert (status, body) == (500, {"error": "the double has a bug; its own output shows where"})
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_request_that_was_cut_off_is_none(server: DoubleServer) -> None:
    host, port = server.url.removeprefix("http://").partition("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"POST /v1/shelves HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        line.shutdown(socket.SHUT_WR)
        assert line.recv(100) == b""
    assert server.exchanges() == []


def test_calls_come_one_at_a_time(ask: Any) -> None:
    inside: list[int] = []
    most: list[int] = []

    class Slow(Double):
        def refresh(self) -> None:
            inside.append(1)
            time.sleep(0.01)
            most.append(len(inside))
            inside.pop()

    with DoubleServer(Slow) as server:
        threads = [threading.Thread(target=ask, args=(f"{server.url}/x",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.exchanges()) == 8
    assert set(most) == {1}


def test_a_closed_server_answers_nobody_and_frees_its_ports(ask: Any) -> None:
    with DoubleServer(Double) as server:
        url = server.url
        assert ask(f"{url}/x")[0] == 404
    with pytest.raises(ConnectionRefusedError):
        ask(f"{url}/x")
    port = int(url.rpartition(":")[2])
    again = DoubleServer(Double, port)
    with pytest.raises(OSError, match="in use"):
        DoubleServer(Double, 0, port)
    again.close()


def test_silence_ends_with_the_server(ask: Any) -> None:
    server = DoubleServer(Double)
    server.start()
    server.add_fault(kind="silent-before")
    ended: list[type] = []

    def wait() -> None:
        try:
            ask(f"{server.url}/x", timeout=60)
        except OSError as error:
            ended.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    _until(server.exchanges)
    server.close()
    thread.join(20)
    assert len(ended) == 1
    assert issubclass(ended[0], ConnectionResetError)
