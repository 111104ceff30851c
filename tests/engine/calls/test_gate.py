"""Anything at all in any field of an offer or a node: one line for the plugin that yields it, and nothing for anybody else."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd import VALUES, Impostor, Trap, broken

from lepton_sdk import AsyncClient, Gpu, Money, Node, NodeState, Offer
from lepton_sdk.errors import LeptonError
from lepton_sdk.spi import Diagnosis, ProviderSpec, SSHAccess, Timings

_TIMINGS = Timings(listing_lag=0, create_horizon=0, boot=5, billing_increment=1, poll=0.01)
ODD = ProviderSpec("odd", title="Odd", factory="odd:create", timings=_TIMINGS)
FINE = ProviderSpec("fine", title="Fine", factory="fine:create", timings=_TIMINGS)
_NOW = datetime(2026, 11, 1, tzinfo=UTC)


def offer(provider: str, instance_type: str = "l4x1") -> Offer:
    return Offer(
        provider, instance_type, "north-1", Gpu("L4"), 1, 8, 32, 100, price=Money("0.80"), seen_at=_NOW, availability="available"
    )


def node(provider: str, name: str = "m-1") -> Node:
    return Node(
        provider,
        name,
        "t-1",
        "somebody",
        state=NodeState.READY,
        access=SSHAccess("198.51.100.1"),
        price=Money("0.80"),
        since=_NOW,
        provider_data={"operation": "o-1"},
    )


class Plugin:
    """A provider that lists what it is given; a function is called in its own code."""

    def __init__(self, name: str, *listed: Any) -> None:
        self._name, self._listed = name, listed

    async def offers(self, resources: Any) -> AsyncIterator[Any]:
        yield offer(self._name, "right-1")
        for thing in self._listed:
            yield thing() if callable(thing) else thing
        yield offer(self._name, "right-2")

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Any]:
        yield node(self._name, "right-1")
        for thing in self._listed:
            yield thing() if callable(thing) else thing
        yield node(self._name, "right-2")

    async def acquire(self, offer: Any, launch: Any) -> Any: ...
    async def inspect(self, node: Any) -> Any: ...
    async def release(self, node: Any) -> Any: ...
    async def aclose(self) -> None: ...


def asked(question: Callable[[AsyncClient], Any], *listed: Any) -> tuple[Any, list[str]]:
    """The answer of a client over an odd provider and a healthy one, and the lines about the odd one."""

    async def ask() -> tuple[Any, list[str]]:
        with tempfile.TemporaryDirectory() as folder:
            providers: Any = {ODD: Plugin("odd", *listed), FINE: Plugin("fine")}
            environment = {"HOME": folder, "LEPTON_SDK_PLUGINS": ""}
            async with AsyncClient(
                state=Path(folder, "state"), cache=Path(folder, "cache"), providers=providers, environment=environment
            ) as client:
                answer = await question(client)
                return answer, await client.warnings()

    answer, lines = asyncio.run(ask())
    assert not [line for line in lines if line.startswith("fine")]
    return answer, [line for line in lines if line.startswith("odd")]


async def offers(client: AsyncClient) -> list[Offer]:
    return await client.offers({"providers": ["odd", "fine"]}, live=True)


async def everything(client: AsyncClient) -> Any:
    return await client.reconcile(all_owners=True)


def types(answer: list[Offer], provider: str) -> set[str]:
    return {one.instance_type for one in answer if one.provider == provider}


_MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=120)
_OFFER_FIELDS = st.sampled_from([item.name for item in fields(Offer)])
_NODE_FIELDS = st.sampled_from([item.name for item in fields(Node) if item.name != "id"])


@_MANY
@given(_OFFER_FIELDS, VALUES)
def test_a_wrong_offer_costs_its_plugin_one_line_and_no_other_offer(field: str, value: Any) -> None:
    wrong = broken(offer("odd", "spoilt"), field, value)
    answer, lines = asked(offers, wrong, wrong)
    assert types(answer, "fine") == {"right-1", "right-2"}
    assert types(answer, "odd") >= {"right-1", "right-2"}
    left_out = len([one for one in answer if one.provider == "odd"]) == 2
    assert len(lines) == left_out
    if left_out:
        assert lines[0].startswith("odd: 2 offers are left out, the first because ")
        assert f"{field} of " in lines[0]
        assert "; next: write " in lines[0]
        assert len(lines[0]) < 700
        assert lines[0].isprintable()


@_MANY
@given(_OFFER_FIELDS, VALUES)
def test_a_constructor_that_refuses_costs_its_plugin_one_line(field: str, value: Any) -> None:
    fine = {item.name: getattr(offer("odd"), item.name) for item in fields(Offer)}
    answer, lines = asked(offers, lambda: Offer(**fine | {field: value}))
    assert types(answer, "fine") == {"right-1", "right-2"}
    assert "right-1" in types(answer, "odd")
    assert len(lines) <= 1


@_MANY
@given(_NODE_FIELDS, VALUES)
def test_a_node_whose_id_can_be_used_is_never_hidden(field: str, value: Any) -> None:
    report, lines = asked(everything, broken(node("odd", "spoilt"), field, value))
    assert report.unasked == ()
    shown = {line.id for line in report.nodes if line.provider == "odd"}
    # What its provider says is gone is not billed.
    assert shown == {"right-1", "right-2"} | ({"spoilt"} if value is not NodeState.GONE else set())
    assert {line.id for line in report.nodes if line.provider == "fine"} == {"right-1", "right-2"}
    assert len(lines) <= 1
    assert all(f"{field} of node 'spoilt' is " in line and "; next: write " in line for line in lines)


@_MANY
@given(VALUES)
def test_a_node_whose_id_names_nothing_is_told(value: Any) -> None:
    report, lines = asked(everything, broken(node("odd"), "id", value))
    assert report.unasked == ()
    assert {line.id for line in report.nodes if line.provider == "odd"} >= {"right-1", "right-2"}
    assert len(lines) <= 1
    assert all("id of a node is " in line and "left out of what is listed; next: write a text" in line for line in lines)


@_MANY
@given(VALUES)
def test_what_is_no_offer_and_no_node_costs_one_line(value: Any) -> None:
    listed = [value] if not callable(value) else [lambda: value]
    answer, lines = asked(offers, *listed)
    assert types(answer, "odd") == types(answer, "fine") == {"right-1", "right-2"}
    assert len(lines) == 1
    report, lines = asked(everything, *listed)
    assert len(report.nodes) == 4
    assert len(lines) == 1


@pytest.mark.parametrize("field", [item.name for item in fields(Offer)])
def test_what_breaks_whatever_touches_it_is_wrong_in_every_field_of_an_offer(field: str) -> None:
    answer, lines = asked(offers, broken(offer("odd", "spoilt"), field, Impostor()))
    assert types(answer, "odd") == types(answer, "fine") == {"right-1", "right-2"}
    assert [f"{field} of " in line and "something of type Impostor" in line for line in lines] == [True]


@pytest.mark.parametrize("field", [item.name for item in fields(Node)])
def test_what_breaks_whatever_touches_it_is_wrong_in_every_field_of_a_node(field: str) -> None:
    report, lines = asked(everything, broken(node("odd", "spoilt"), field, Impostor()))
    assert len(report.nodes) == (5 if field != "id" else 4)
    assert [f"{field} of " in line and "something of type Impostor" in line for line in lines] == [True]


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("gpu", "L4", "gpu of offer 'spoilt' is 'L4' (str), which the contract does not allow; next: write Gpu.parse('L4')"),
        ("price", 0.8, """price of offer 'spoilt' is 0.8 (float), which the contract does not allow; next: write Money("0.8")"""),
        ("region", None, "region of offer 'spoilt' is None (NoneType), which the contract does not allow; next: write a text"),
        ("instance_type", 4, "instance_type of an offer is 4 (int), which the contract does not allow; next: write a text"),
        ("seen_at", datetime(2026, 1, 1), "next: write a datetime with its zone"),  # noqa: DTZ001
        ("availability", "soon", "next: write one of Availability.AVAILABLE, Availability.BUSY"),
        ("cpus", float("nan"), "next: write a finite number from 0"),
        ("cpus", 10**5000, "something of type int, which the contract does not allow; next: write a finite number from 0"),
        ("gpu_count", -1, "next: write a whole number from 0"),
        ("flags", ["cheap"], "next: write a tuple of texts"),
        ("provider", "fine", "provider of offer 'spoilt' is 'fine' (str), which the contract does not allow; next: write 'odd'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_line_names_plugin_field_value_and_fix(field: str, value: Any, line: str) -> None:
    _, lines = asked(offers, broken(offer("odd", "spoilt"), field, value))
    assert len(lines) == 1
    assert lines[0].startswith("odd: 1 offer is left out: ")
    assert line in lines[0]


def test_a_naive_since_does_not_hide_a_machine() -> None:
    report, lines = asked(everything, broken(node("odd", "spoilt"), "since", datetime(2026, 1, 1)))  # noqa: DTZ001
    (line,) = [line for line in report.nodes if line.id == "spoilt"]
    assert line.since is None
    assert line.price == Money("0.80")
    assert len(lines) == 1
    assert "since of node 'spoilt' is datetime.datetime(2026, 1, 1, 0, 0) (datetime)" in lines[0]


def test_a_method_that_never_yields_is_named() -> None:
    class Returning(Plugin):
        async def offers(self, resources: Any) -> Any:  # type: ignore[override]
            return [offer("odd")]

    async def ask() -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            providers: Any = {ODD: Returning("odd")}
            async with AsyncClient(state=folder, providers=providers, environment={"HOME": folder}) as client:
                await offers(client)
                return await client.warnings()

    (line,) = [line for line in asyncio.run(ask()) if line.startswith("odd")]
    assert "the answer of offers() is <coroutine" in line
    assert "next: make it an async generator" in line


@pytest.fixture
def able() -> Callable[[Any, Any], tuple[list[Diagnosis], Any]]:
    """What a client makes of the answers of diagnose() and account()."""
    spec = ProviderSpec("odd", title="Odd", factory="odd:create", capabilities={"account", "diagnose"})

    class Able(Plugin):
        lines: Any = ()
        name: Any = None

        async def diagnose(self) -> Any:
            return self.lines

        async def account(self) -> Any:
            return self.name

    def ask(lines: Any, name: Any) -> tuple[list[Diagnosis], Any]:
        async def story() -> tuple[list[Diagnosis], Any]:
            plugin: Any = Able("odd")
            plugin.lines, plugin.name = lines, name
            with tempfile.TemporaryDirectory() as folder:
                async with AsyncClient(state=folder, providers={spec: plugin}, environment={"HOME": folder}) as client:
                    diagnoses = await client.diagnose("odd")
                    try:
                        return diagnoses, await client._engine.account("odd")
                    except LeptonError as error:
                        return diagnoses, error

        return asyncio.run(story())

    return ask


@pytest.mark.parametrize("lines", [None, 5, "text", [None], [Diagnosis("a", 1, "b")], [Diagnosis(3, True, "b")], Trap, Impostor])  # type: ignore[arg-type]
def test_a_wrong_examination_is_a_line_that_says_so(able: Any, lines: Any) -> None:
    (line,), _ = able([lines()] if lines in (Trap, Impostor) else lines, None)
    assert (line.subject, line.ok) == ("provider odd", False)
    assert "diagnose()" in line.detail
    assert line.hint


@pytest.mark.parametrize("name", [5, "", "a\nb", b"a", Trap, Impostor])
def test_a_wrong_account_is_no_account(able: Any, name: Any) -> None:
    _, error = able([], name() if name in (Trap, Impostor) else name)
    assert isinstance(error, LeptonError)
    assert "the answer of account() is" in error.message
    assert "or None" in str(error.hint)
