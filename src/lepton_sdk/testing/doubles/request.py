"""A request, a reply, and the exception that a route raises to refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from attrs import Factory, field, frozen

__all__ = ["Refused", "Reply", "Request"]


class Refused(Exception):
    """A request that the vendor answers with an error; `Double.write_refusal` writes its body.

    Args:
        status: HTTP status.
        code: the vendor's error code, such as ``"quota_exceeded"``.
        message: the vendor's text for people.

    >>> Refused(404, "not_found", "no machine m1").status
    404
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@frozen
class Request:
    """A request as it arrived.

    Attributes:
        method: ``"GET"``, ``"POST"``, …
        target: path and query as sent.
        headers: names in lower case.
        raw: the body's bytes.
        caller: what `Double.authorize` returned for it.

    >>> Request("GET", "/v1/machines?limit=2&after=m1").query
    {'limit': '2', 'after': 'm1'}
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    raw: bytes = field(default=b"", repr=False)
    caller: Any = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """The path without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query's names and values; for a repeated name, the last value."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def line(self) -> str:
        """``METHOD /path?query``, for matching faults."""
        return f"{self.method} {self.target}"

    @property
    def body(self) -> Any:
        """The body as JSON; ``None`` without a body.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.raw) if self.raw else None


@frozen
class Reply:
    """An answer.

    Attributes:
        body: a JSON value; ``None`` for an empty body; bytes are sent as they are, as a page of HTML.
        headers: sent in addition to content type and length.
        cut: send the head and half of the body, then reset the connection.

    >>> Reply(201, {"id": "m1"}).payload
    b'{"id": "m1"}'
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = Factory(dict)
    cut: bool = False

    @property
    def payload(self) -> bytes:
        """The body's bytes."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        """The content type of the body."""
        return "text/html" if isinstance(self.body, bytes) else "application/json"
