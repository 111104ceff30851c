"""How routes, levers and views are declared and found."""

from __future__ import annotations

from typing import Any

from lepton_sdk.testing.doubles import Double, Request, lever, route, view


class Shop(Double):
    """One method for two calls, and a lever that is a view as well."""

    @route("GET", "/a.b")
    @route("GET", "/c")
    def both(self, request: Request) -> Any:
        """The path."""
        return request.path

    @route("GET", "/{kind}/{name}")
    def anything(self, request: Request, kind: str, name: str) -> Any:
        """Both names."""
        return [kind, name]

    @route("GET", "/fixed/{name}")
    def fixed(self, request: Request, name: str) -> Any:
        """One name."""
        return name

    @lever("/mood")
    @view("/mood")
    def mood(self) -> str:
        """How it is."""
        return "good"


class Branch(Shop):
    """What is overridden keeps its place; what is declared again gets another one."""

    def fixed(self, request: Request, name: str) -> Any:
        """Without a word of where."""
        return f"branch {name}"

    @route("GET", "/d")
    def both(self, request: Request) -> Any:
        """Elsewhere."""
        return "moved"


def _ask(double: Double, path: str) -> tuple[int, Any]:
    reply = double.answer(Request("GET", path))
    return reply.status, reply.body


def test_a_path_is_taken_literally_but_for_its_names() -> None:
    assert _ask(Shop(), "/a.b") == (200, "/a.b")
    assert _ask(Shop(), "/c") == (200, "/c")
    assert _ask(Shop(), "/axb")[0] == 404
    assert _ask(Shop(), "/x/y") == (200, ["x", "y"])
    assert _ask(Shop(), "/fixed/y") == (200, "y")


def test_a_subclass_changes_what_a_route_does_and_where_it_is() -> None:
    assert _ask(Branch(), "/fixed/y") == (200, "branch y")
    assert _ask(Branch(), "/d") == (200, "moved")
    assert _ask(Branch(), "/c")[0] == 404


def test_an_attribute_of_the_same_name_hides_no_route() -> None:
    shop = Shop()
    shop.both = None  # type: ignore[method-assign, assignment]
    assert _ask(shop, "/c") == (200, "/c")
