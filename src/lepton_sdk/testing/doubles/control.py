"""The control port of a double, for tests and for people who try things out; ``GET /`` lists what it has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from lepton_sdk.testing.doubles.request import Reply, Request
from lepton_sdk.testing.doubles.routes import Switch, levers_of, views_of

__all__ = ["Control"]


class Control:
    """Answers ``GET`` with views and ``POST`` with levers; everything is JSON.

    Args:
        owners: returns the objects with levers and views: the server, the current double.
        lock: held while a lever or a view runs.
    """

    def __init__(self, owners: Callable[[], tuple[Any, ...]], lock: AbstractContextManager[Any]) -> None:
        self._owners, self._lock = owners, lock

    def answer(self, request: Request) -> Reply:
        """Answer one request: 404 for an unknown path, 400 with the reason for wrong fields of a lever."""
        with self._lock:
            asks = request.method == "GET"
            known = self._switches(asks=asks)
            if asks and request.path == "/":
                return Reply(200, self._about())
            if request.path not in known:
                return Reply(404, {"error": f"there is no {request.method} {request.path}", "known": sorted(known)})
            for owner in self._owners():
                if callable(refresh := getattr(owner, "refresh", None)):
                    refresh()
            if asks:
                return Reply(200, known[request.path].call())
            return _pull(known[request.path], request)

    def _switches(self, *, asks: bool) -> dict[str, Switch]:
        found: dict[str, Switch] = {}
        for owner in self._owners():
            found |= views_of(owner) if asks else levers_of(owner)
        return found

    def _about(self) -> dict[str, Any]:
        views = {path: one.help for path, one in self._switches(asks=True).items()}
        levers = {
            path: {"help": one.help, "fields": list(inspect.signature(one.call).parameters)}
            for path, one in self._switches(asks=False).items()
        }
        return {"views": views, "levers": levers}


def _pull(one: Switch, request: Request) -> Reply:
    try:
        order = request.body or {}
        if not isinstance(order, dict):
            raise ValueError("the body is not a JSON object")
        inspect.signature(one.call).bind(**order)
        one.call(**order)
    except (KeyError, TypeError, ValueError) as error:
        return Reply(400, {"error": f"{one.path}: {type(error).__name__}: {error}"})
    return Reply(200, {})
