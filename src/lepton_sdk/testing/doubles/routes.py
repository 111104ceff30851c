"""Decorators for a double's calls: routes of the vendor's API, and levers and views of the control port."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator
from functools import cache
from types import MethodType
from typing import Any, TypeVar

from attrs import field, frozen

from lepton_sdk.testing.doubles.shapes import Body

__all__ = ["Route", "Switch", "find_route", "lever", "levers_of", "route", "view", "views_of"]

Function = TypeVar("Function", bound=Callable[..., Any])
_ROUTES, _LEVER, _VIEW = "_double_routes", "_double_lever", "_double_view"


@frozen
class Route:
    """One call of the vendor's API.

    Attributes:
        path: with ``{names}`` for its variable parts; each becomes an argument of the method.
        body: the shape of the body; ``None`` for a call without body.
        query: the allowed names of the query.
    """

    method: str
    path: str
    body: Body | None = None
    query: Collection[str] = ()
    _pattern: re.Pattern[str] = field(init=False, repr=False, eq=False)

    @_pattern.default
    def _compiled(self) -> re.Pattern[str]:
        parts = re.split(r"(\{\w+\})", self.path)
        return re.compile("".join(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in parts))

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The values of the path's names; ``None`` if this is another call."""
        found = self._pattern.fullmatch(path) if method == self.method else None
        return found.groupdict() if found else None


@frozen
class Switch:
    """A lever or a view of the control port: its path, its purpose, and the method."""

    path: str
    help: str
    call: Callable[..., Any]


def route(method: str, path: str, *, body: Body | None = None, query: Collection[str] = ()) -> Callable[[Function], Function]:
    """Declare a method of a `Double` as the answer to one call of the vendor's API.

    The method takes the `Request` and the values of the path's ``{names}``. It returns a JSON value (which
    `Double.write_answer` may wrap) or a `Reply`, or raises `Refused`. Malformed bodies, unexpected bodies and undeclared names
    in the query are refused before the method is called.

    >>> @route("GET", "/machines/{name}")
    ... def machine(self, request, name):
    ...     return {"name": name}
    """

    def mark(function: Function) -> Function:
        setattr(function, _ROUTES, (*getattr(function, _ROUTES, ()), Route(method, path, body, query)))
        return function

    return mark


def lever(path: str) -> Callable[[Function], Function]:
    """Declare a method for ``POST path`` on the control port; the fields of the JSON body are its arguments.

    >>> @lever("/quota")
    ... def set_quota(self, gpus: int) -> None:
    ...     self.quota = gpus
    """
    return _marker(_LEVER, path)


def view(path: str) -> Callable[[Function], Function]:
    """Declare a method for ``GET path`` on the control port; it returns a JSON value."""
    return _marker(_VIEW, path)


def _marker(name: str, path: str) -> Callable[[Function], Function]:
    def mark(function: Function) -> Function:
        setattr(function, name, path)
        return function

    return mark


def find_route(owner: object, method: str, path: str) -> tuple[Route, dict[str, str], Callable[..., Any]] | None:
    """The route of a call, the values of its names, and the method; if two match, the one with fewer names."""
    fitting = [
        (route, names, call)
        for routes, call in _marked(owner, _ROUTES)
        for route in routes
        if (names := route.match(method, path)) is not None
    ]
    return min(fitting, key=lambda one: len(one[1]), default=None)


def levers_of(owner: object) -> dict[str, Switch]:
    """The levers of an object, by path."""
    return _switches(owner, _LEVER)


def views_of(owner: object) -> dict[str, Switch]:
    """The views of an object, by path."""
    return _switches(owner, _VIEW)


def _switches(owner: object, mark: str) -> dict[str, Switch]:
    found = sorted(_marked(owner, mark), key=lambda one: str(one[0]))
    return {path: Switch(path, (inspect.getdoc(call) or "").partition("\n")[0], call) for path, call in found}


def _marked(owner: object, mark: str) -> Iterator[tuple[Any, Callable[..., Any]]]:
    # Search the class: an attribute of the object may have the name of a method.
    kind: Any = type(owner)
    for name, value in _marks(kind, mark):
        yield value, MethodType(inspect.getattr_static(kind, name), owner)


@cache
def _marks(kind: type[Any], mark: str) -> tuple[tuple[str, Any], ...]:
    """Each marked method with its mark; a method that overrides a marked one inherits the mark."""
    found: dict[str, Any] = {}
    for parent in reversed(kind.__mro__):
        found |= {name: getattr(part, mark) for name, part in vars(parent).items() if hasattr(part, mark)}
    return tuple(found.items())
