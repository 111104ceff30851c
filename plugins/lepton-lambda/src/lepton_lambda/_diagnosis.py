"""What ``lepton doctor`` asks Lambda, free of charge."""

from __future__ import annotations

from lepton_lambda._api import LambdaApi
from lepton_lambda._listing import owner_of
from lepton_sdk.spi import Diagnosis, LeptonError

__all__ = ["diagnoses"]


async def diagnoses(api: LambdaApi) -> list[Diagnosis]:
    """The key, the right to see instances, and what the API does not tell."""
    try:
        keys = await api.ssh_keys()
    except LeptonError as error:
        return [Diagnosis("lambda key", False, error.message, error.hint or "")]
    ours = sum(key.name.startswith("lepton-") for key in keys)
    return [
        Diagnosis("lambda key", True, f"accepted; {len(keys)} SSH keys in the account, {ours} of them lepton's"),
        await _instances(api),
        Diagnosis("lambda quota", None, "the API does not tell quotas; a launch beyond one is refused and costs nothing"),
    ]


async def _instances(api: LambdaApi) -> Diagnosis:
    try:
        found = [instance for instance in await api.instances() if instance.status != "terminated"]
    except LeptonError as error:
        return Diagnosis("lambda instances", False, error.message, error.hint or "")
    ours = sum(owner_of(instance) is not None for instance in found)
    return Diagnosis("lambda instances", True, f"{len(found)} in the account, {ours} of them lepton's")
