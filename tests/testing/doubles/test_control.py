"""The control port: it lists itself, shows, and says what is wrong with a lever that is pulled wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from lepton_sdk.testing.doubles import DoubleServer


def test_it_lists_itself(server: DoubleServer, ask: Any) -> None:
    status, about = ask(f"{server.control_url}/")
    assert status == 200
    assert about["views"] == {
        "/bill": "Everything that was billed, from when to when; see `Ledger.bill`.",
        "/exchanges": "Every request and its result, oldest first.",
        "/names": "The names.",
        "/settings": "The settings in force.",
        "/stock": "The stock, and what the listing shows, by type and region.",
    }
    assert set(about["levers"]) == {"/calm", "/fault", "/names", "/promise", "/reset", "/settings", "/stock", "/time"}
    assert about["levers"]["/names"] == {"help": "Set the names.", "fields": ["names", "more"]}


def test_a_lever_and_a_view_of_ones_own(server: DoubleServer, ask: Any, tell: Any) -> None:
    assert tell("/names", names=["a"], more="b") == (200, {})
    assert ask(f"{server.control_url}/names") == (200, ["a", "b"])
    assert ask(f"{server.url}/shelves")[1]["items"] == ["a", "b"]


def test_a_view_is_up_to_date(server: DoubleServer, ask: Any) -> None:
    before = server.double.refreshed  # type: ignore[attr-defined]
    ask(f"{server.control_url}/bill")
    assert server.double.refreshed == before + 1  # type: ignore[attr-defined]


def test_a_bill_of_hours_takes_no_hours(server: DoubleServer, ask: Any, tell: Any) -> None:
    ask(f"{server.url}/shelves", "POST", {"name": "a"})
    tell("/time", skip=7200)
    _, bill = ask(f"{server.control_url}/bill")
    (row,) = bill["rows"]
    assert (row["name"], row["hourly"], row["since"], row["until"], row["amount"]) == ("a", "0.60", 1000.0, None, "1.2000")
    assert (bill["open"], bill["total"]) == ([row["id"]], "1.2000")


@pytest.mark.parametrize(
    ("path", "fields", "status", "words"),
    [
        ("/nothing", {}, 404, "there is no POST /nothing"),
        ("/bill", {}, 404, "there is no POST /bill"),
        ("/names", {}, 400, "missing a required argument: 'names'"),
        ("/names", {"names": [], "color": 1}, 400, "unexpected keyword argument 'color'"),
        ("/settings", {"gravity": 1}, 400, "'gravity' is not a setting"),
        ("/fault", {"kind": "earthquake"}, 400, "'earthquake' is not one of"),
        ("/fault", {"kind": "slow", "match": "("}, 400, "is no regular expression"),
        ("/fault", {"kind": "slow", "color": 1}, 400, "color"),
        ("/time", {"skip": "soon"}, 400, "could not convert"),
    ],
)
def test_what_is_wrong_with_a_lever_is_said(path: str, fields: Any, status: int, words: str, tell: Any) -> None:
    answer = tell(path, **fields)
    assert answer[0] == status
    assert words in answer[1]["error"]


@pytest.mark.parametrize("body", [[], [1], "x"])
def test_a_lever_takes_an_object(body: Any, server: DoubleServer, ask: Any) -> None:
    status, said = ask(f"{server.control_url}/names", "POST", body or [0])
    assert (status, "not a JSON object" in said["error"]) == (400, True)


def test_views_are_not_levers(server: DoubleServer, ask: Any) -> None:
    assert ask(f"{server.control_url}/time")[0] == 404
