"""Values of the domain, whatever they may be: strategies for Hypothesis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from lepton_sdk.domain.access import CORE_KINDS, CustomAccess, LocalAccess, SSHAccess
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.job import Job, Limits, Workload
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
from lepton_sdk.domain.quantity import Range
from lepton_sdk.domain.resources import GpuRequest, Resources

amounts = st.decimals(0, 100_000_000, places=6)
money = st.builds(Money, amounts, st.sampled_from(["USD", "EUR"]))
times = st.integers(0, 30_000_000_000_000_000).map(lambda micro: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(0, 0, micro))
gpus = st.sampled_from(
    [Gpu("H100"), Gpu("H100", "SXM"), Gpu("A100", "PCIe", 40), Gpu("MI300X"), Gpu("RTX6000", architecture="Turing")]
)
names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ranges = st.builds(
    lambda low, more: Range(low, None if more is None else low + more),
    st.integers(1, 999_999),
    st.none() | st.integers(0, 100),
).filter(lambda r: r.high is None or r.high <= 999_999)
requests = st.builds(GpuRequest, gpus | st.none(), st.integers(1, 1024))
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
