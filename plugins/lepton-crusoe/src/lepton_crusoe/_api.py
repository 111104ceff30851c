"""The calls of Crusoe's published API v1: signed, rate-limited, one attempt each; and what its refusals mean in our tree.

The published API declares ``{code, message}`` and the statuses 400, 401, 403 and 500. It does not declare words such as
``out_of_stock``: this module recognises them, and docs/providers/crusoe.md lists them among the assumptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from lepton_crusoe._models import (
    Capacity,
    Disk,
    InstanceType,
    Machine,
    Network,
    Operation,
    Partition,
    Quota,
    Role,
    items,
    required,
)
from lepton_sdk.spi import (
    AuthError,
    BlockScope,
    ConfigError,
    ContractViolation,
    LeptonError,
    NoCapacity,
    OfferGone,
    OutcomeUnknown,
    QuotaExceeded,
    Unavailable,
)

if TYPE_CHECKING:
    import httpx

    from lepton_sdk.spi.http import ApiClient

__all__ = ["KEY_HINT", "CrusoeApi", "failure", "refusal"]

T = TypeVar("T")
_ABSENT: Any = object()
# More pages than any project has machines: a list that never ends is a fault, and must not loop forever.
_MOST_PAGES = 1000


class CrusoeApi:
    """The calls that the provider needs, over one project.

    Args:
        project: id of the project; use `within` for machines of other projects.
    """

    def __init__(self, client: ApiClient, project: str) -> None:
        self._client = client
        self.project = project

    def within(self, project: str | None) -> CrusoeApi:
        """The same calls in the project in which something was created, whatever the configuration names now."""
        return self if project in (None, "", self.project) else CrusoeApi(self._client, project or "")

    async def project_id(self) -> str:
        """The project's id, as the vendor writes it."""
        found = await self._client.call("GET", f"/organizations/projects/{self.project}", missing=_ABSENT)
        if found is _ABSENT:
            raise self._unknown()
        return required(found, "id")

    async def roles(self) -> list[Role]:
        """The roles of the key's user in this project, from the project or from the organization."""
        found = await self._client.call("GET", "/users/identities")
        user = found.get("identity") if isinstance(found, dict) else None
        roles = [Role.read(item) for item in items(user, "role_bindings")]
        return [role for role in roles if role.scope == "org" or role.place == self.project]

    # --- the market ------------------------------------------------------------------------------------------------

    async def types(self) -> list[InstanceType]:
        """Every instance type that the project can see."""
        return [InstanceType.read(item) for item in items(await self._get("/compute/vms/types"))]

    async def capacities(self) -> list[Capacity]:
        """The number of available machines of each type in each location."""
        return [Capacity.read(item) for item in items(await self._client.call("GET", "/capacities"))]

    async def quotas(self) -> list[Quota]:
        """The project's quotas."""
        body = await self._get("/quotas")
        return [Quota.read(item) for item in items(body, "quotas")] if isinstance(body, dict) and body.get("quotas") else []

    # --- machines --------------------------------------------------------------------------------------------------

    async def create(self, request: Mapping[str, Any]) -> Operation:
        """Create one machine; the only call here that is billed by the hour."""
        return await self._operation("POST", "/compute/vms/instances", creates=True, json=request)

    async def machine(self, name: str) -> Machine | None:
        """One machine by its id; ``None`` if the vendor says that it does not exist."""
        body = await self._call("GET", f"/compute/vms/instances/{quote(name, safe='')}", missing=None)
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
        """Begin to delete a machine; ``None`` if it does not exist."""
        return await self._ending(f"/compute/vms/instances/{quote(name, safe='')}")

    async def operation(self, name: str) -> Operation | None:
        """The state of an operation on a machine; ``None`` if the vendor does not say (expired, another user's)."""
        try:
            body = await self._call("GET", f"/compute/vms/instances/operations/{quote(name, safe='')}", missing=None)
        except AuthError as error:
            # By the API: 403 for another user's operation, which says nothing about our key. A bad key is a 401.
            if "answered 403" in error.message:
                return None
            raise
        return None if body is None else Operation.read(body)

    # --- what machines need ----------------------------------------------------------------------------------------

    async def disks(self) -> list[Disk]:
        """All disks of the project."""
        return [Disk.read(item) for item in items(await self._get("/storage/disks"))]

    async def create_disk(self, name: str, location: str, gib: int) -> Operation:
        """Create a disk."""
        request = {"name": name, "location": location, "size": f"{gib}GiB", "type": "persistent-ssd"}
        return await self._operation("POST", "/storage/disks", creates=True, json=request)

    async def delete_disk(self, name: str) -> Operation | None:
        """Begin to delete a disk; ``None`` if it does not exist."""
        return await self._ending(f"/storage/disks/{quote(name, safe='')}")

    async def networks(self) -> list[Network]:
        """The InfiniBand networks that the project can see."""
        return [Network.read(item) for item in items(await self._get("/networking/ib-networks"))]

    async def partitions(self) -> list[Partition]:
        """All InfiniBand partitions of the project."""
        return [Partition.read(item) for item in items(await self._get("/networking/ib-partitions"))]

    async def create_partition(self, name: str, network: str) -> Partition:
        """Create a partition; it exists at once."""
        request = {"name": name, "ib_network_id": network}
        body = await self._get("/networking/ib-partitions", method="POST", creates=True, json=request)
        return _made(lambda: Partition.read(body))

    async def delete_partition(self, name: str) -> None:
        """Delete a partition; a missing one is success."""
        await self._call("DELETE", f"/networking/ib-partitions/{quote(name, safe='')}", missing=None)

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
            raise self._unknown()
        return body

    def _unknown(self) -> ConfigError:
        text = f"Crusoe knows no project {self.project!r}"
        return ConfigError(text, provider="crusoe", hint="check providers.crusoe.project_id; crusoe projects list shows the ids")

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        return await self._client.call(method, f"/projects/{self.project}{path}", **options)


def _made(read: Callable[[], T]) -> T:
    """The answer to a create call; an unreadable one leaves open what was created.

    Raises:
        OutcomeUnknown: it cannot be read.
    """
    try:
        return read()
    except ContractViolation as error:
        raise OutcomeUnknown(error.message, provider="crusoe") from error


# --- refusals ---------------------------------------------------------------------------------------------------------

KEY_HINT = (
    "put a valid pair into CRUSOE_ACCESS_KEY_ID and CRUSOE_SECRET_KEY "
    "(or providers.crusoe.access_key_id and .secret_key, or ~/.crusoe/config)"
)
_RIGHTS_HINT = (
    "give the key's user a role in the project of providers.crusoe.project_id that may do this, or name another project"
)
_SKEW_SECONDS = 30.0

_Meaning = tuple[type[LeptonError], BlockScope, str]
# Words in the vendor's code or text, the most specific first.
_WORDS: tuple[tuple[tuple[str, ...], _Meaning], ...] = (
    (("out_of_stock", "out of stock", "insufficient capacity", "no capacity"), (NoCapacity, BlockScope.OFFER, "")),
    (("quota",), (QuotaExceeded, BlockScope.INSTANCE_TYPE, "ask Crusoe for more, or give back what runs: lepton nodes")),
    (("image",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.image; crusoe compute images list shows the names")),
    (("project",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.project_id; crusoe projects list shows the ids")),
    (("partition",), (ConfigError, BlockScope.PROVIDER, "check providers.crusoe.ib_partition")),
    (("location", "type"), (OfferGone, BlockScope.OFFER, "plan again with lepton route --live")),
)
_STRANGE: _Meaning = (ContractViolation, BlockScope.PROVIDER, "report it with this text")


def refusal(response: httpx.Response, body: Any) -> LeptonError | None:
    """The error for a reply; ``None`` leaves it to the general table of statuses."""
    code, message = _said(body)
    status = response.status_code
    if status == 401:
        return _error(AuthError, response, body, _key_hint(response))
    if status == 403:
        return _error(AuthError, response, body, _RIGHTS_HINT)
    if status == 404 and not code:
        # Only the vendor's own "not found" counts as absence: a proxy's page must not make machines disappear.
        return _error(Unavailable, response, body, "is providers.crusoe.base_url right, and no proxy in between?")
    if status == 400 and code:
        kind, scope, hint = _meaning(f"{code} {message}")
        error = _error(kind, response, body, hint)
        error.scope = scope
        return error
    return None


def failure(code: str, message: str, operation: str) -> LeptonError:
    """The error for a failed operation."""
    kind, scope, hint = _meaning(f"{code} {message}")
    kind, scope = (Unavailable, BlockScope.OFFER) if kind is ContractViolation else (kind, scope)
    error = kind(
        f"the operation failed: {message or 'no reason given'} [{code}]", provider="crusoe", request=operation, hint=hint or None
    )
    error.scope = scope
    return error


def _meaning(text: str) -> _Meaning:
    low = text.lower()
    return next((meaning for words, meaning in _WORDS if any(word in low for word in words)), _STRANGE)


def _said(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict):
        return "", ""
    return str(body.get("code") or body.get("reason") or ""), str(body.get("message") or "")


def _error(kind: type[LeptonError], response: httpx.Response, body: Any, hint: str) -> LeptonError:
    code, message = _said(body)
    what = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
    text = f"{what}: {message or 'no reason given'}" + (f" [{code}]" if code else "")
    request = body.get("error_id") if isinstance(body, dict) else None
    request = request or response.headers.get("x-request-id")
    return kind(text, provider="crusoe", request=str(request) if request else None, hint=hint or None)


def _key_hint(response: httpx.Response) -> str:
    """A wrong clock makes a good key fail; every reply carries the vendor's clock."""
    try:
        theirs = parsedate_to_datetime(response.headers.get("date", ""))
        ours = datetime.fromisoformat(response.request.headers.get("x-crusoe-timestamp", ""))
        skew = (ours - theirs.astimezone(UTC)).total_seconds()
    except (TypeError, ValueError):
        return KEY_HINT
    if abs(skew) < _SKEW_SECONDS:
        return KEY_HINT
    way = "ahead" if skew > 0 else "behind"
    return f"this host's clock is {abs(skew):.0f} seconds {way}, and requests are signed with it: set it right"
