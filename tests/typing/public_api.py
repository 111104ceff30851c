"""What users write, for the type checker alone; nobody runs this file.

A line that must not type carries ``type: ignore[code]``, and an ignore that is not needed is itself an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import assert_type

from lepton_sdk import (
    AsyncClient,
    Client,
    Gpu,
    GpuRequest,
    Job,
    LeptonError,
    Limits,
    Money,
    Node,
    Offer,
    Plan,
    Resources,
    Run,
    RunState,
    Workload,
    load_job,
)
from lepton_sdk.errors import JobFailed
from lepton_sdk.spi import ConfigField, Launch, Provider, ProviderContext, ProviderSpec
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def jobs() -> None:
    """A job takes the short spellings, and shows the checked values."""
    job = Job(
        "python train.py",
        resources="H100:8",
        limits={"duration": "6h", "hourly": "40"},
        env={"SEED": "7"},
        secrets=["TOKEN"],
        workload="training",
    )
    Job(["python", "train.py"], resources=["H100:8", "H200:8"], limits=Limits(duration=60))
    Job("true", resources=Resources(gpu=["H100:8"], gpu_memory="80+", cpus=4), workdir=Path())
    Job("true", resources={"gpu": "any:2"}, workload=Workload.INTERACTIVE)
    assert_type(job.command, str)
    assert_type(job.resources, Resources)
    assert_type(job.resources.gpu, tuple[GpuRequest, ...])
    assert_type(job.limits.hourly, Money | None)
    assert_type(job.workload, Workload)
    assert_type(Job.from_dict({"command": "true"}), Job)
    assert_type(load_job(Path("job.yaml")), Job)
    assert_type(job.with_(nodes=2), Job)


def wrong_jobs(job: Job) -> None:
    """Misspelt, missing and changed fields are told before anything runs."""
    Job()  # type: ignore[call-arg]
    Job("true", resource="H100:8")  # type: ignore[call-arg]
    job.command = "false"  # type: ignore[misc]
    job.resources.cpus = 8  # type: ignore[misc]
    job.duration  # type: ignore[attr-defined]  # noqa: B018
    job.limits.hourly + 1  # type: ignore[operator]
    Gpu.parse(100)  # type: ignore[arg-type]
    Money("1") + 1  # type: ignore[operator]


def questions(client: Client, job: Job) -> None:
    """Questions answer with values, not with loose mappings."""
    assert_type(client.offers("H100:8"), list[Offer])
    plan = client.route(job)
    assert_type(plan, Plan)
    assert_type(client.runs(all=True, limit=5), list[Run])
    assert_type(client.get("x").state, RunState)
    client.route("job.yaml", live=True)
    client.route({"command": "true"})
    client.route(Path("job.yaml"))


def actions(client: Client, job: Job) -> None:
    """Actions give runs, and take callbacks of the right shape."""
    assert_type(client.submit(job), Run)
    assert_type(client.run(job, on_output=lambda chunk: print(chunk.decode())), Run)
    assert_type(client.wait("x", check=True).exit_code, int | None)
    assert_type(client.logs("x", follow=True), Iterator[bytes])
    with client as same:
        assert_type(same, Client)


def wrong_calls(client: Client, job: Job) -> None:
    """What is told to those who call the client wrongly."""
    client.route(8)  # type: ignore[arg-type]
    client.route(job, True)  # type: ignore[call-arg]
    client.runs(limit="5")  # type: ignore[arg-type]
    client.run(job, on_output=lambda chunk: chunk + "\n")  # type: ignore[operator]
    client.logs("x").decode()  # type: ignore[attr-defined]
    client.aclose()  # type: ignore[attr-defined]


async def asynchronously(client: AsyncClient, job: Job) -> None:
    """The asynchronous face has the same types behind await."""
    assert_type(await client.run(job), Run)
    assert_type(await client.offers(), list[Offer])
    assert_type(client.logs("x"), AsyncIterator[bytes])
    async for chunk in client.logs("x", follow=True):
        assert_type(chunk, bytes)
    async with client as same:
        assert_type(same, AsyncClient)
    client.route(job)  # type: ignore[unused-coroutine]
    (await client.route(job)).nonsense  # type: ignore[attr-defined]  # noqa: B018


def errors() -> None:
    """One tree, and each error says how to go on."""
    try:
        raise JobFailed("it failed", hint="lepton logs x")
    except LeptonError as error:
        assert_type(error.hint, str | None)
        assert_type(error.exit_code, int)


class Cloud:
    """A stranger's provider: the contract is a protocol, there is nothing to inherit from."""

    def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        raise NotImplementedError

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        raise NotImplementedError

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        raise NotImplementedError

    async def inspect(self, node: Node) -> Node:
        raise NotImplementedError

    async def release(self, node: Node) -> Node:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


class HalfACloud:
    """One that has forgotten how to give machines back."""

    async def inspect(self, node: Node) -> Node:
        raise NotImplementedError


def providers(context: ProviderContext, folder: Path) -> None:
    """Providers are checked against the contract where they are handed over."""
    cloud: Provider = Cloud()
    spec = ProviderSpec(
        "my-cloud", title="My cloud", factory="my_cloud.provider:create", config=(ConfigField("key", secret=True),)
    )
    Client(providers={spec: cloud, FAKE_SPEC: FakeProvider(folder)})
    Client(providers={spec: HalfACloud()})  # type: ignore[dict-item]
    Client(providers={"my-cloud": cloud})  # type: ignore[dict-item]
    ProviderSpec("my-cloud", factory=Cloud)  # type: ignore[call-arg, arg-type]
    context.journal  # type: ignore[attr-defined]  # noqa: B018
