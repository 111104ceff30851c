"""Wire calls of Crusoe's published API v1: one attempt each, signed, at our pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lepton_crusoe._models import Capacity, Disk, InstanceType, Machine, Network, Operation, Partition, Quota, items
from lepton_sdk.spi import AuthError, ConfigError, ContractViolation, OutcomeUnknown, Pacer

if TYPE_CHECKING:
    from lepton_sdk.spi.http import ApiClient

__all__ = ["CrusoeApi"]

T = TypeVar("T")
_ABSENT: Any = object()
# More pages than any project has machines; a list that never ends is a fault, and a fault must end.
_MOST_PAGES = 1000


class CrusoeApi:
    """The calls that the provider needs, over one project.

    Args:
        project: id of the project; other projects' machines are reached by `within`.
    """

    def __init__(self, client: ApiClient, pacer: Pacer, project: str) -> None:
        self._client = client
        self._pacer = pacer
        self.project = project

    def within(self, project: str | None) -> CrusoeApi:
        """The same calls over the project in which something was made, whatever the configuration names now."""
        return self if project in (None, "", self.project) else CrusoeApi(self._client, self._pacer, project or "")

    # --- the market ------------------------------------------------------------------------------------------------

    async def types(self) -> list[InstanceType]:
        """Every type that the project can see."""
        return [InstanceType.read(item) for item in items(await self._get("/compute/vms/types"))]

    async def capacities(self) -> list[Capacity]:
        """What can be had now, counted, for each type and location."""
        await self._pacer.wait()
        return [Capacity.read(item) for item in items(await self._client.call("GET", "/capacities"))]

    async def quotas(self) -> list[Quota]:
        """What the project may take."""
        body = await self._get("/quotas")
        return [Quota.read(item) for item in items(body, "quotas")] if isinstance(body, dict) and body.get("quotas") else []

    # --- machines --------------------------------------------------------------------------------------------------

    async def create(self, request: Mapping[str, Any]) -> Operation:
        """Make one machine; the only call here that is billed by the hour."""
        return await self._operation("POST", "/compute/vms/instances", creates=True, json=request)

    async def machine(self, name: str) -> Machine | None:
        """One machine by its id; ``None`` when the vendor says that there is none."""
        body = await self._call("GET", f"/compute/vms/instances/{name}", missing=None)
        return None if body is None else Machine.read(body)

    async def machines(self, **filters: str) -> list[Machine]:
        """All machines of the project, page by page.

        Args:
            filters: of the contract (``ids=``, ``names=``).
        """
        found: dict[str, Machine] = {}
        token, seen = "", set[str]()
        for _ in range(_MOST_PAGES):
            params = {"limit": "100", **filters} | ({"next_token": token} if token else {})
            body = await self._get("/compute/vms/instances", params=params)
            found |= {machine.id: machine for machine in map(Machine.read, items(body))}
            token = str(body.get("next_page_token") or "")
            if not token:
                return list(found.values())
            if token in seen:
                break
            seen.add(token)
        raise ContractViolation(f"the list of machines does not end (page token {token!r})", provider="crusoe")

    async def delete_machine(self, name: str) -> Operation | None:
        """Begin to end a machine; ``None`` when there is none."""
        return await self._ending(f"/compute/vms/instances/{name}")

    async def operation(self, name: str) -> Operation | None:
        """How an operation on a machine stands; ``None`` when the vendor will not say (expired, another user's)."""
        try:
            body = await self._call("GET", f"/compute/vms/instances/operations/{name}", missing=None)
        except AuthError as error:
            # Declared so: another user's operation is forbidden, which says nothing of our key. A bad key is a 401.
            if "answered 403" in error.message:
                return None
            raise
        return None if body is None else Operation.read(body)

    # --- what machines need ----------------------------------------------------------------------------------------

    async def disks(self) -> list[Disk]:
        """All disks of the project."""
        return [Disk.read(item) for item in items(await self._get("/storage/disks"))]

    async def create_disk(self, name: str, location: str, gib: int) -> Operation:
        """Make a disk."""
        request = {"name": name, "location": location, "size": f"{gib}GiB", "type": "persistent-ssd"}
        return await self._operation("POST", "/storage/disks", creates=True, json=request)

    async def delete_disk(self, name: str) -> Operation | None:
        """Begin to delete a disk; ``None`` when there is none."""
        return await self._ending(f"/storage/disks/{name}")

    async def networks(self) -> list[Network]:
        """The InfiniBand networks that the project can see."""
        return [Network.read(item) for item in items(await self._get("/networking/ib-networks"))]

    async def partitions(self) -> list[Partition]:
        """All InfiniBand partitions of the project."""
        return [Partition.read(item) for item in items(await self._get("/networking/ib-partitions"))]

    async def create_partition(self, name: str, network: str) -> Partition:
        """Make a partition; it is there at once."""
        request = {"name": name, "ib_network_id": network}
        body = await self._get("/networking/ib-partitions", method="POST", creates=True, json=request)
        return _made(lambda: Partition.read(body))

    async def delete_partition(self, name: str) -> None:
        """Delete a partition; none is success."""
        await self._call("DELETE", f"/networking/ib-partitions/{name}", missing=None)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # --- the wire --------------------------------------------------------------------------------------------------

    async def _operation(self, method: str, path: str, **options: Any) -> Operation:
        body = await self._get(path, method=method, **options)
        return _made(lambda: Operation.read(body.get("operation") if isinstance(body, dict) else None))

    async def _ending(self, path: str) -> Operation | None:
        body = await self._call("DELETE", path, missing=None)
        return None if body is None else Operation.read(body.get("operation") if isinstance(body, dict) else None)

    async def _get(self, path: str, *, method: str = "GET", **options: Any) -> Any:
        body = await self._call(method, path, missing=_ABSENT, **options)
        if body is _ABSENT:
            raise ConfigError(
                f"Crusoe knows no project {self.project!r}",
                provider="crusoe",
                hint="check providers.crusoe.project_id; crusoe projects list shows the ids",
            )
        return body

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        await self._pacer.wait()
        return await self._client.call(method, f"/projects/{self.project}{path}", **options)


def _made(read: Callable[[], T]) -> T:
    """What the answer to a create says; one that cannot be read leaves open what was made.

    Raises:
        OutcomeUnknown: it cannot be read.
    """
    try:
        return read()
    except ContractViolation as error:
        raise OutcomeUnknown(error.message, provider="crusoe") from error
