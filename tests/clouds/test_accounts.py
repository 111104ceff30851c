"""A key that was rotated to another account: what it cannot see is missing, and neither released nor called gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_JOB = ("--name", "kept", "--", "sleep", "600")


@pytest.fixture
def held(cloud: Any, lepton: Any, kill: Any, wait_until: Any) -> list[str]:
    """What is open at the cloud after a client has died in the middle of a job."""
    client = lepton.begin("run", "--provider", cloud.name, "--gpu", cloud.gpu, *_JOB)
    wait_until(lambda: bool(lepton.runs()) and lepton.runs()[0]["state"] == "running", lambda: str(lepton.runs()))
    kill(client)
    found: list[str] = cloud.open()
    assert found
    return found


@pytest.fixture
def rotate(cloud: Any, lepton: Any, start: Callable[..., Any]) -> Callable[[], None]:
    """The same settings, with a key of another account."""

    def now() -> None:
        if cloud.name == "lambda":
            cloud.tell("/key", key="another-key", account="another")
            lepton.environment["LAMBDA_API_KEY"] = "another-key"
        else:
            other = start("crusoe", "--project", "00000000-0000-4000-8000-000000000002")
            lepton.environment |= other.environment

    return now


def test_a_key_of_another_account_ends_nothing(held: list[str], rotate: Any, cloud: Any, lepton: Any) -> None:
    right = dict(lepton.environment)
    rotate()
    said = " ".join(lepton("reconcile", code=None).split())
    assert "our machines are in account" in said
    assert "missing" in said
    assert f"give {cloud.name} the credentials of" in said
    said = lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "true", code=None)
    assert "our machines are in account" in " ".join(said.split())
    lepton("stop", "kept", code=None)
    assert cloud.open() == held
    assert sum(cloud.creates().values()) == 1
    # Nothing of it counts as gone, so the right key ends it.
    lepton.environment = right
    lepton("stop", "kept", code=None)
    lepton.settle(cloud)


def test_a_key_that_expires_ends_nothing(held: list[str], cloud: Any, lepton: Any) -> None:
    cloud.expire(expired=True)
    said = " ".join(lepton("reconcile", code=None).split())
    assert {"lambda": "LAMBDA_API_KEY", "crusoe": "CRUSOE_SECRET_KEY"}[cloud.name] in said
    assert "out of reach" in said
    lepton("stop", "kept", code=None)
    assert cloud.open() == held
    cloud.expire(expired=False)
    lepton("stop", "kept", code=None)
    lepton.settle(cloud)


def test_another_account_is_used_when_nothing_is_held_in_the_first(cloud: Any, lepton: Any, rotate: Any) -> None:
    lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "true")
    rotate()
    lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "true")
    assert cloud.open() == []
