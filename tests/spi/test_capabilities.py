"""Flags and methods agree both ways, and the line that says where they do not is enough to mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lepton_sdk.spi import capabilities
from lepton_sdk.spi.capabilities import (
    EXECUTOR_CAPABILITIES,
    PROVIDER_CAPABILITIES,
    PROVIDER_FACTS,
    lacking,
    methods_of,
    misfit,
    undeclared,
)
from lepton_sdk.spi.provider import Provider


def _object(*methods: str) -> object:
    return type("Acme", (), dict.fromkeys(methods, lambda self: None))()


_ALL = [(table, flag) for table in (PROVIDER_CAPABILITIES, EXECUTOR_CAPABILITIES) for flag in table]


@pytest.mark.parametrize(("table", "flag"), _ALL, ids=[flag for _, flag in _ALL])
def test_a_flag_and_its_methods_agree_both_ways(table: dict[str, type], flag: str) -> None:
    names = methods_of(table[flag])
    assert names
    able, unable = _object(*names), _object()
    assert lacking(able, {flag}, table) is undeclared(able, {flag}, table) is None
    assert lacking(unable, {"of the future"}, table) is undeclared(unable, set(), table) is None
    assert lacking(unable, {flag}, table) == (
        f"its spec declares {flag!r} and Acme lacks {names[0]}(): write the method or drop the flag"
    )
    assert undeclared(able, set(), table) == (
        f"Acme has {names[0]}() and its spec does not declare {flag!r}: add the flag or drop the method"
    )
    assert isinstance(able, table[flag])
    assert not isinstance(unable, table[flag])


def test_every_protocol_of_the_module_is_in_a_table_under_a_flag_that_its_text_names() -> None:
    tables = {**PROVIDER_CAPABILITIES, **EXECUTOR_CAPABILITIES}
    protocols = {name for name in capabilities.__all__ if isinstance(getattr(capabilities, name), type)}
    assert {protocol.__name__ for protocol in tables.values()} == protocols
    assert all(f"Flag ``{flag}``" in (protocol.__doc__ or "") for flag, protocol in tables.items())
    assert not set(tables) & set(PROVIDER_FACTS)


class Older:
    """As contracts were before: its methods take less."""

    async def offers(self, resources: Any) -> AsyncIterator[Any]:
        yield resources

    async def acquire(self, offer: Any, launch: Any) -> Any: ...
    async def find(self, owner: str, token: str | None = None) -> AsyncIterator[Any]:
        yield owner

    async def inspect(self, node: Any) -> Any: ...
    async def release(self, node: Any) -> Any: ...
    async def aclose(self) -> None: ...


def test_a_method_that_takes_less_than_core_gives_is_named_with_what_to_write() -> None:
    line = misfit(Older(), [Provider])
    assert line == (
        "Older.find() does not take what core gives it (got an unexpected keyword argument 'regions'): "
        "write find(owner, token=None, *, regions=())"
    )


def test_methods_that_take_more_or_anything_fit() -> None:
    class Newer(Older):
        async def find(self, *names: Any, **more: Any) -> AsyncIterator[Any]:
            yield names

        async def inspect(self, node: Any, later: bool = False) -> Any: ...

    assert misfit(Newer(), [Provider]) is None
    assert misfit(object(), [Provider]) is None
