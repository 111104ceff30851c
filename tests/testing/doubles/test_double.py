"""What all doubles have in common: who is let in, what is refused before a route sees it, pages, settings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lepton_sdk.testing.doubles import Double, Refused, Request


def _ask(double: Double, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    reply = double.answer(Request(method, target, headers, b"" if body is None else json.dumps(body).encode()))
    return reply.status, reply.body


def test_a_route_answers_with_its_caller_and_its_names(closet: Any) -> None:
    assert _ask(closet, "POST", "/v1/shelves", {"name": "a"}, authorization="me") == (200, {"name": "a", "by": "me"})
    assert _ask(closet, "GET", "/v1/shelves/b") == (200, {"one": "b"})


def test_the_path_with_fewer_names_wins(closet: Any) -> None:
    assert _ask(closet, "GET", "/v1/shelves/oldest") == (200, {"oldest": True})


def test_several_names_and_an_empty_answer(closet: Any) -> None:
    closet.names = ["a.b"]
    assert _ask(closet, "DELETE", "/v1/shelves/a/boxes/b") == (200, None)
    assert closet.names == []


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "message"),
    [
        ("GET", "/shelves", None, 404, "there is no GET /shelves"),
        ("GET", "/v2/shelves", None, 404, "there is no"),
        ("PUT", "/v1/shelves", None, 404, "there is no PUT"),
        ("GET", "/v1/shelves/a/b", None, 404, "there is no"),
        ("POST", "/v1/shelves", None, 400, "not a JSON object"),
        ("POST", "/v1/shelves", {}, 400, "name is missing"),
        ("POST", "/v1/shelves", {"name": "a", "color": 1}, 400, "color is not a known field"),
        ("POST", "/v1/shelves", {"name": "too long a name"}, 400, "name is invalid"),
        ("POST", "/v1/shelves", {"name": "a", "size": 0}, 400, "size is invalid"),
        ("GET", "/v1/shelves", {"name": "a"}, 400, "takes no body"),
        ("GET", "/v1/shelves?color=red", None, 400, "color is not a known name in the query"),
        ("GET", "/v1/shelves?after=x", None, 400, "no page has the token 'x'"),
    ],
)
def test_what_is_not_declared_is_refused(closet: Any, method: str, target: str, body: Any, status: int, message: str) -> None:
    answer = _ask(closet, method, target, body)
    assert answer[0] == status
    assert message in answer[1]["message"]
    assert closet.ledger.charges == {}


def test_a_body_that_is_no_json_is_refused(closet: Any) -> None:
    reply = closet.answer(Request("POST", "/v1/shelves", raw=b'{"name": '))
    assert (reply.status, reply.body) == (400, {"code": "bad_request", "message": "the body is not JSON"})


def test_nobody_is_let_in_before_the_vendor_says_so(closet: Any) -> None:
    closet.change_settings(open=False)
    assert _ask(closet, "GET", "/v1/nothing") == (403, {"code": "closed", "message": "the closet is closed"})


def test_pages_follow_one_another_and_can_be_made_shorter(closet: Any) -> None:
    closet.names = list("abcde")

    def walk() -> list[list[str]]:
        pages, token = [], ""
        while True:
            _, page = _ask(closet, "GET", f"/v1/shelves?limit=3&after={token}")
            pages.append(page["items"])
            token = page["next"]
            if not token:
                return pages

    assert walk() == [["a", "b", "c"], ["d", "e"]]
    closet.change_settings(page=2)
    assert walk() == [["a", "b"], ["c", "d"], ["e"]]
    closet.change_settings(page=9)
    assert walk() == [["a", "b", "c"], ["d", "e"]]


def test_what_is_new_is_missing_for_a_while(closet: Any) -> None:
    made = closet.now()
    assert closet.is_listed(made)
    closet.change_settings(lag=10)
    assert not closet.is_listed(made)
    closet.skip_time(10)
    assert closet.is_listed(made)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"gravity": 1}, "'gravity' is not a setting"),
        ({"boot": "1"}, "'1' is not float"),
        ({"open": 1}, "1 is not bool"),
        ({"page": True}, "True is not int"),
        ({"lag": True}, "True is not float"),
    ],
)
def test_a_setting_keeps_its_type(closet: Any, values: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        closet.change_settings(**values)


def test_settings_are_shown_and_a_whole_number_will_do(closet: Any) -> None:
    closet.change_settings(boot=3)
    assert closet.show_settings() == {"boot": 3.0, "end": 1.0, "lag": 0.0, "page": 0, "open": True}


def test_every_run_makes_the_same_ids(closet: Any) -> None:
    ids = [closet.new_id() for _ in range(3)]
    assert len(set(ids)) == 3
    assert [type(closet)().new_id(), ids[0]] == [ids[0]] * 2
    assert Double().new_id() != Double().new_id()


def test_what_is_left_and_what_is_listed_are_two_things(closet: Any) -> None:
    closet.set_stock("shelf", "north", 0)
    closet.set_promise("shelf", "north", 5)
    assert closet.show_stock() == [{"type": "shelf", "region": "north", "left": 0, "listed": 5}]
    status, _ = _ask(closet, "POST", "/v1/shelves", {"name": "a"})
    assert status == 409


def test_an_error_says_what_it_is() -> None:
    assert str(Refused(404, "not_found", "no shelf")) == "404 not_found: no shelf"
