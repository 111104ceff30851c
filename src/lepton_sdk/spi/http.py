"""HTTP for authors of providers: one attempt per call, and every failure as an error of our tree. Begin with `make_client`.

>>> api = make_client("acme", base_url="https://api.acme.example/v1", secrets=["s3cret"])
>>> api.redact("refused the key s3cret")
'refused the key ••••••'
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from lepton_sdk.errors import ConfigError, LeptonError
from lepton_sdk.spi.departure import DEPARTURE
from lepton_sdk.spi.failures import Failure, Meaning, failure, of_status
from lepton_sdk.spi.secret import forms_of, hide

if TYPE_CHECKING:
    import ssl

    from lepton_sdk.spi.provider import Pacer

__all__ = ["ApiClient", "make_client", "retry_after"]

_RAISE: Any = object()
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CONNECT, _TRANSFER = 10.0, 30.0
# Where vendors put the id that their support asks for; the first one present counts.
_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-ms-request-id", "cf-ray")
# The request never left: nothing can have happened.
_BEFORE = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_UNSENDABLE = (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)
_SHOWN = 300
# Our keys in a request's extensions, which never go to the network.
_BUCKET, _HARMLESS = "lepton_sdk.bucket", "lepton_sdk.harmless"

Classify = Callable[[httpx.Response, Any], LeptonError | None]


class ApiClient(httpx.AsyncClient):
    """An ``httpx.AsyncClient`` that knows whose API it speaks to; made by `make_client`.

    Each request waits for its turn under the rate limits of the provider's spec. While ``acquire`` runs, each request that may
    change something is marked when it goes to the network, so that core knows whether the create call has left.

    Attributes:
        provider: name of the provider, for errors.
        classify: ``classify(response, body)`` turns a vendor's own error code into an error, before the general table
            does; ``None`` leaves it to the table.
    """

    provider: str = ""
    classify: Classify | None = None
    _hidden: tuple[str, ...] = ()
    _pacer: Pacer | None = None

    def redact(self, text: str) -> str:
        """``text`` with every secret of this client shown as dots."""
        return hide(text, self._hidden)

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request when its turn comes; `call` and all methods of httpx go through here."""
        if self._pacer is not None:
            # Wait before the request is signed: a signature that has waited may have expired.
            await self._pacer.wait(request.extensions.get(_BUCKET, ""))
        try:
            return await super().send(request, **options)
        except (*_BEFORE, *_UNSENDABLE):
            if (departure := DEPARTURE.get()) is not None:
                departure.back(request)
            raise

    async def call(
        self,
        method: str,
        url: str,
        *,
        creates: bool = False,
        reads: bool = False,
        free: bool = False,
        bucket: str = "",
        missing: Any = _RAISE,
        **options: Any,
    ) -> Any:
        """Make one call and read its JSON.

        Args:
            method: ``GET``, ``POST``, …
            url: full, or below ``base_url``.
            creates: the call creates something billable. Any answer that leaves open whether it was created is an
                unknown outcome: a 5xx, a conflict of names, a body that is empty or not JSON.
            reads: the call changes nothing although its method is not ``GET``.
            free: what it changes or creates is free of charge, such as an SSH key. A lost answer then costs nothing, so it is
                `Unavailable`, and a bug after it is not an unknown machine.
            bucket: which rate of the spec's ``rates`` holds, beside ``""``, which holds for every call.
            missing: what to return for 404; without it, 404 is an error.
            options: passed to httpx (``json=``, ``params=``, ``headers=``, ``timeout=``).

        Returns:
            The parsed body; ``None`` when it is empty.

        Raises:
            AuthError: 401 or 403.
            RateLimited: 429, with the seconds that the vendor asked for.
            QuotaExceeded: 402.
            Unavailable: 5xx or 408, a conflict (409), or the call did not get out.
            OutcomeUnknown: a call that changes something left and no usable answer came back.
            ContractViolation: any other status, a redirect, a body that is not JSON.
        """
        if creates and free:
            raise TypeError("what a call creates is billed, or it is free")
        changes = not reads and not free and method.upper() not in _SAFE
        marks = {_BUCKET: bucket, _HARMLESS: reads or free}
        options["extensions"] = {**(options.get("extensions") or {}), **marks}
        try:
            response = await self.request(method, url, **options)
        except _UNSENDABLE as error:
            text = self.redact(f"{method} {url} cannot be sent: {error}")
            raise ConfigError(text, provider=self.provider or None) from error
        except httpx.RequestError as error:
            raise self._broken(error, f"{method} {url.partition('?')[0]}", changes) from error
        return self._read(response, creates, changes, missing)

    def _read(self, response: httpx.Response, creates: bool, changes: bool, missing: Any) -> Any:
        body, problem = _json(response)
        if response.is_success and problem is None and not (creates and body is None):
            return body
        if error := self.classify and self.classify(response, body):
            raise error
        if response.status_code == 404 and missing is not _RAISE:
            return missing
        if response.is_success:
            text = f"{_what(response)} answered {problem or 'with nothing'}: {self._excerpt(response)}"
            raise self._failure(Meaning.GARBLED, text, response, creates=creates)
        raise self._refusal(response, creates)

    def _refusal(self, response: httpx.Response, creates: bool) -> LeptonError:
        status = response.status_code
        text = f"{_what(response)} answered {status} {response.reason_phrase}: {self._excerpt(response)}"
        return self._failure(of_status(status), text, response, creates=creates)

    def _broken(self, error: httpx.RequestError, what: str, changes: bool) -> LeptonError:
        why = str(error) or type(error).__name__
        if isinstance(error, _BEFORE):
            hint = "is a proxy's certificate missing? name it in SSL_CERT_FILE" if "CERTIFICATE" in why else ""
            return self._failure(Meaning.UNSENT, f"{what} did not get out: {why}", hint=hint)
        text = f"{what} left and its answer did not come back: {why}" if changes else f"{what} got no answer: {why}"
        return self._failure(Meaning.LOST, text, changes=changes)

    def _failure(
        self,
        meaning: Meaning,
        text: str,
        response: httpx.Response | None = None,
        *,
        creates: bool = False,
        changes: bool = False,
        hint: str = "",
    ) -> LeptonError:
        request, wait = (None, None) if response is None else (_request_id(response), retry_after(response))
        found = Failure(meaning, self.redact(text), request, wait, hint)
        return failure(found, self.provider or None, creates=creates, changes=changes)

    def _excerpt(self, response: httpx.Response) -> str:
        # Redact before cutting: half a secret would not be recognised.
        text = self.redact(" ".join(response.text.split()))
        return f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text or "no body"


def make_client(
    provider: str,
    *,
    secrets: Iterable[str] = (),
    classify: Classify | None = None,
    pacer: Pacer | None = None,
    **options: Any,
) -> ApiClient:
    """A client for one vendor: one attempt per call, TLS verified, no redirects, 10 s to connect, 30 s of silence.

    Args:
        provider: the name that errors carry.
        secrets: texts that no error may show.
        classify: see `ApiClient`.
        pacer: keeps the rates of the spec.
        options: passed to ``httpx.AsyncClient`` (``base_url=``, ``headers=``, ``auth=``, ``timeout=``).

    Raises:
        ConfigError: ``verify=False``.
    """
    if options.get("verify") is False:
        raise ConfigError(
            f"{provider}: TLS verification cannot be switched off",
            hint="name the certificate authority's file in SSL_CERT_FILE",
        )
    options.setdefault("timeout", httpx.Timeout(_TRANSFER, connect=_CONNECT, pool=_CONNECT))
    if "transport" not in options:
        options.setdefault("verify", _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")))
    client = ApiClient(**options)
    client.provider = provider
    client.classify = classify
    client._pacer = pacer
    client._hidden = forms_of(secrets)
    # The last step before a request goes out, after it waited and was signed.
    client.event_hooks["request"].append(_going)
    return client


async def _going(request: httpx.Request) -> None:
    departure = DEPARTURE.get()
    if departure is not None and request.method.upper() not in _SAFE and not request.extensions.get(_HARMLESS):
        departure.out(request)


@lru_cache(maxsize=4)
def _trust(file: str | None, folder: str | None) -> ssl.SSLContext:
    # Reading the certificates costs tens of milliseconds, so all clients of a process share them.
    return httpx.create_ssl_context()


def retry_after(response: httpx.Response) -> float | None:
    """The seconds that ``Retry-After`` asks for, given as seconds or as a date; ``None`` without a usable value."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    until, now = _date(value), _date(response.headers.get("date", ""))
    if until is None:
        return None
    if now is None:
        import time

        now = time.time()
    # Count from the server's own date: the two clocks need not agree.
    return max(0.0, until - now)


def _date(text: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _json(response: httpx.Response) -> tuple[Any, str | None]:
    if not response.content.strip():
        return None, None
    try:
        return response.json(), None
    except (ValueError, RecursionError):
        kind = response.headers.get("content-type", "no type").partition(";")[0]
        return None, f"with {kind} that is not JSON"


def _request_id(response: httpx.Response) -> str | None:
    return next((response.headers[name] for name in _REQUEST_IDS if name in response.headers), None)


def _what(response: httpx.Response) -> str:
    # Without the query: some vendors put keys there.
    return f"{response.request.method} {response.request.url.copy_with(query=None)}"
