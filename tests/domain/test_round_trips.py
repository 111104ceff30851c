"""What is written reads back: every value of the domain through its text and its dict."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk.domain.access import CORE_KINDS, CustomAccess, LocalAccess, SSHAccess
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.ids import ID_LENGTH, is_id, new_id
from lepton_sdk.domain.job import Job, Limits, Workload
from lepton_sdk.domain.money import Money, parse_amount
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
from lepton_sdk.domain.quantity import Range, parse_duration, parse_quantity, show_duration
from lepton_sdk.domain.resources import GpuRequest, Resources
from lepton_sdk.errors import LeptonError, UsageError

amounts = st.decimals(0, 100_000_000, places=6)
money = st.builds(Money, amounts, st.sampled_from(["USD", "EUR"]))
times = st.integers(0, 30_000_000_000_000_000).map(lambda micro: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(0, 0, micro))
gpus = st.sampled_from(
    [Gpu("H100"), Gpu("H100", "SXM"), Gpu("A100", "PCIe", 40), Gpu("MI300X"), Gpu("RTX6000", architecture="Turing")]
)
names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(money)
def test_money(value: Money) -> None:
    assert Money(str(value), value.currency) == value
    assert "E" not in str(value)


@given(amounts, amounts)
def test_money_adds_and_orders_exactly(one: Decimal, two: Decimal) -> None:
    if one + two <= 100_000_000:
        assert (Money(one) + Money(two)).amount == one + two
    assert (Money(one) < Money(two)) == (one < two)


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_an_amount_is_finite_or_refused(value: object) -> None:
    try:
        amount = parse_amount(value)
    except UsageError:
        return
    assert amount.is_finite()


def test_currencies_are_never_mixed() -> None:
    with pytest.raises(UsageError):
        Money(1) + Money(1, "EUR")
    with pytest.raises(UsageError):
        assert Money(1) < Money(2, "EUR")


@given(st.integers(1, 366 * 86400))
def test_a_duration(seconds: int) -> None:
    assert parse_duration(seconds) == seconds
    assert parse_duration(f"{seconds}s") == seconds
    # Two units are shown; what is cut off is less than an hour.
    shown = parse_duration(show_duration(seconds))
    assert shown <= seconds < shown + 3600


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_a_duration_or_an_amount_is_refused_or_in_its_bounds(value: object) -> None:
    with suppress(UsageError):
        assert 1 <= parse_duration(value) <= 366 * 86400
    with suppress(UsageError):
        assert 0 < parse_quantity(value) <= 10_000_000


ranges = st.builds(
    lambda low, more: Range(low, None if more is None else low + more),
    st.integers(1, 999_999),
    st.none() | st.integers(0, 100),
).filter(lambda r: r.high is None or r.high <= 999_999)


@given(ranges, st.integers(0, 2_000_000))
def test_a_range(value: Range, number: int) -> None:
    assert Range.parse(str(value)) == value
    assert value.contains(number) == (value.low <= number <= (value.high or number))  # type: ignore[operator]


@given(times, st.binary(min_size=6, max_size=8), st.timedeltas(timedelta(milliseconds=1), timedelta(days=9)))
def test_ids_sort_by_time(now: datetime, entropy: bytes, later: timedelta) -> None:
    one = new_id(now, entropy)
    assert is_id(one)
    assert len(one) == ID_LENGTH
    assert one < new_id(now + later, bytes(8))


requests = st.builds(GpuRequest, gpus | st.none(), st.integers(1, 1024))


@given(requests)
def test_a_gpu_request(request: GpuRequest) -> None:
    assert GpuRequest.parse(str(request)) == request


amount_of = st.none() | st.floats(0.5, 10_000)
resources = st.builds(
    Resources,
    gpu=st.lists(requests, max_size=3, unique=True),
    cpus=amount_of,
    memory_gib=amount_of,
    disk_gib=amount_of,
    interconnect=st.none() | st.just("InfiniBand"),
    regions=st.lists(names, max_size=2),
    providers=st.lists(names, max_size=2),
    spot=st.sampled_from([True, False, None]),
) | st.builds(Resources, gpu_memory=ranges)


@given(resources)
def test_resources(value: Resources) -> None:
    assert Resources.parse(json.loads(json.dumps(value.to_dict()))) == value


def test_a_gpu_and_a_memory_size_that_it_never_has_contradict_each_other() -> None:
    with pytest.raises(LeptonError, match="contradict"):
        Resources(gpu="A100:8", gpu_memory="141+")
    with pytest.raises(LeptonError, match="contradict"):
        Resources(gpu="H100-80GB", gpu_memory=94)


limits = st.builds(
    Limits,
    duration=st.none() | st.integers(1, 366 * 86400),
    hourly=st.none() | amounts.map(Money),
    total=st.none() | amounts.map(Money),
)
variables = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True).filter(lambda name: not name.startswith("LEPTON_"))
jobs = st.builds(
    Job,
    command=texts.filter(str.strip),
    name=st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True),
    setup=st.none() | texts.filter(str.strip),
    workdir=st.none() | texts.filter(str.strip),
    resources=resources,
    nodes=st.integers(1, 10_000),
    env=st.dictionaries(variables, texts, max_size=3),
    workload=st.sampled_from(Workload),
    limits=limits,
)


@given(jobs)
def test_a_job(job: Job) -> None:
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert job.with_() == job


terms = st.sampled_from([Terms(kind) for kind in TermsKind if kind is not TermsKind.RESERVED]) | st.builds(
    Terms, st.just(TermsKind.RESERVED), st.none() | st.integers(1, 60)
)
offers = st.builds(
    Offer,
    provider=names,
    instance_type=texts,
    region=texts,
    gpu=st.none() | gpus,
    gpu_count=st.integers(0, 8),
    cpus=amount_of,
    memory_gib=amount_of,
    disk_gib=amount_of,
    interconnect=st.none() | texts,
    terms=terms,
    price=st.none() | money,
    price_source=texts,
    seen_at=st.none() | times,
    availability=st.sampled_from(Availability),
    available_count=st.none() | st.integers(0, 9),
    obstacle=texts,
    hint=texts,
    start_seconds=st.none() | st.integers(0, 9000),
    flags=st.lists(texts, max_size=2).map(tuple),
    reference=st.booleans(),
)


@given(offers)
def test_an_offer(offer: Offer) -> None:
    assert Offer.from_dict(json.loads(json.dumps(offer.to_dict()))) == offer


environments = st.dictionaries(variables, texts, max_size=2)
accesses = (
    st.builds(LocalAccess, environment=environments, host=texts)
    | st.builds(SSHAccess, host=texts, port=st.integers(1, 65535), host_keys=st.lists(texts, max_size=2).map(tuple))
    | st.builds(
        CustomAccess,
        kind=st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True).filter(lambda kind: kind not in CORE_KINDS),
        data=st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts, max_size=2), max_size=3),
        environment=environments,
        address=texts,
    )
)
nodes = st.builds(
    Node,
    provider=names,
    id=texts,
    token=st.none() | texts,
    owner=st.none() | texts,
    kind=st.sampled_from(["machine", "disk"]),
    state=st.sampled_from(NodeState),
    access=st.none() | accesses,
    price=st.none() | money,
    since=st.none() | times,
    detail=texts,
    provider_data=st.dictionaries(names, texts, max_size=2),
)


@given(nodes)
def test_a_node(node: Node) -> None:
    assert Node.from_dict(json.loads(json.dumps(node.to_dict()))) == node
