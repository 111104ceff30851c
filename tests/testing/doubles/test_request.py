"""A request as the double sees it."""

from __future__ import annotations

from lepton_sdk.testing.doubles import Request


def test_a_request_shows_no_secret() -> None:
    request = Request("GET", "/x?a=1&a=2&b=", {"authorization": "s3cret"}, b"s3cret")
    assert "s3cret" not in repr(request)
    assert (request.query, request.line) == ({"a": "2", "b": ""}, "GET /x?a=1&a=2&b=")
