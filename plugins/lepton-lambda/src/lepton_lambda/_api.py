"""The calls of Lambda Cloud API 1.10.0 that this plugin makes: one attempt each, at the documented pace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lepton_lambda._models import Instance, SshKey, Stock, take
from lepton_sdk.spi import ContractViolation, OutcomeUnknown, Pacer

if TYPE_CHECKING:
    from lepton_sdk.spi.http import ApiClient

__all__ = ["LambdaApi"]


class LambdaApi:
    """One account, seen through one key.

    Args:
        client: speaks to ``base_url``, authorised.
        pacer: shared by all processes that use the key.
    """

    def __init__(self, client: ApiClient, pacer: Pacer) -> None:
        self._client = client
        self._pacer = pacer

    async def _call(self, method: str, path: str, *, bucket: str = "", **options: Any) -> Any:
        await self._pacer.wait(bucket)
        return await self._client.call(method, path, **options)

    async def instance_types(self) -> dict[str, Stock]:
        """Every type by its name, with the regions that have capacity now."""
        data = take(await self._call("GET", "/instance-types"), "data", dict)
        return {name: Stock.read(item) for name, item in data.items()}

    async def instances(self) -> list[Instance]:
        """Every machine of the account; one page holds all."""
        return [Instance.read(item) for item in take(await self._call("GET", "/instances"), "data", list)]

    async def instance(self, name: str) -> Instance | None:
        """One machine; ``None`` when the account has none of this id."""
        body = await self._call("GET", f"/instances/{name}", missing=None)
        return None if body is None else Instance.read(take(body, "data", dict))

    async def launch(self, request: Mapping[str, Any]) -> str:
        """Make one machine.

        Returns:
            Its id.

        Raises:
            OutcomeUnknown: the answer did not come, or names no machine.
        """
        body = await self._call("POST", "/instance-operations/launch", bucket="launch", creates=True, json=request)
        try:
            ids = take(take(body, "data", dict), "instance_ids", list)
        except ContractViolation as error:
            raise OutcomeUnknown(
                f"the launch was answered with what cannot be read: {error.message}", provider="lambda"
            ) from error
        if len(ids) != 1 or not isinstance(ids[0], str) or not ids[0]:
            raise OutcomeUnknown(f"the launch of one machine was answered with the ids {ids!r}", provider="lambda")
        return ids[0]

    async def terminate(self, name: str) -> Instance | None:
        """End a machine; ``None`` when the account has none of this id."""
        # Ending twice does no harm, so a lost answer is not an unknown outcome: `reads` makes it an error to try again.
        body = await self._call("POST", "/instance-operations/terminate", reads=True, missing=None, json={"instance_ids": [name]})
        ended = [] if body is None else take(take(body, "data", dict), "terminated_instances", list)
        return next((Instance.read(item) for item in ended if take(item, "id", str) == name), None)

    async def ssh_keys(self) -> list[SshKey]:
        """Every registered key."""
        return [SshKey.read(item) for item in take(await self._call("GET", "/ssh-keys"), "data", list)]

    async def add_ssh_key(self, name: str, public_key: str) -> SshKey:
        """Register a key; keys are free of charge."""
        request = {"name": name, "public_key": public_key}
        # Nothing billable can come of it, so a lost answer may be asked again after a look at the list.
        body = await self._call("POST", "/ssh-keys", reads=True, json=request)
        return SshKey.read(take(body, "data", dict))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
