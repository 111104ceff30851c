"""The address of a database as people may see it."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from lepton_sdk.spi.secret import Secret

__all__ = ["bare_address", "passwords_in", "shown_address"]

_WHERE = frozenset({"host", "hostaddr", "port", "dbname", "service"})


def shown_address(url: Secret) -> str:
    """The address without its password and parameters, however it was written."""
    user, _, place, _ = _parts(url)
    return f"postgresql://{f'{user}@' if user else ''}{place}"


def bare_address(url: Secret) -> str:
    """Which database it is, without who asks: two servers on two sockets have different ones."""
    _, _, place, query = _parts(url)
    where = [f"{name}={value}" for name, value in sorted(parse_qsl(query)) if name in _WHERE]
    return f"postgresql://{place}{'?' if where else ''}{'&'.join(where)}"


def passwords_in(url: Secret) -> frozenset[str]:
    """Every form in which its password could stand in somebody's error message."""
    _, password, _, query = _parts(url)
    words = [password, unquote(password), *(value for name, value in parse_qsl(query) if "pass" in name)]
    return frozenset(filter(None, words))


def _parts(url: Secret) -> tuple[str, str, str, str]:
    """User, password, host and database, parameters. What cannot be told apart counts as password."""
    rest = url.reveal().partition("://")[2]
    # A password that was not quoted may hold any sign, so it ends at the last one that it can end at.
    who, at, where = rest.rpartition("@")
    if "?" in who:
        return "", rest, "…", rest.partition("?")[2]
    place, _, query = where.partition("?")
    user, _, password = who.partition(":")
    return (user if at else ""), password, place, query
