"""The other port of a double, for tests and for people who try things out: it lists itself at ``GET /``."""

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
        owners: the objects whose levers and views there are, as they are now: the server, the double.
        lock: held while one of them acts.
    """

    def __init__(self, owners: Callable[[], tuple[Any, ...]], lock: AbstractContextManager[Any]) -> None:
        self._owners, self._lock = owners, lock

    def answer(self, request: Request) -> Reply:
        """One request: 404 for what is not there, 400 for a lever that is pulled wrongly, with the reason."""
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
