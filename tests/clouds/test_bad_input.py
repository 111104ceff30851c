"""What users get wrong, by the command: the message names the value and the next step, and nothing is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

_SECRET = {"lambda": "LAMBDA_API_KEY", "crusoe": "CRUSOE_SECRET_KEY"}
_PROVIDERS = "LEPTON_SDK_PROVIDERS_"
_JOB = ("--", "true")


@pytest.fixture
def refused(cloud: Any, lepton: Any) -> Callable[..., str]:
    """Ask for a machine; what was said instead. Nothing may have been made."""

    def ask(*words: str, code: int | None = None) -> str:
        said: str = lepton("run", "--provider", cloud.name, *(words or ("--gpu", cloud.gpu)), *_JOB, code=code)
        assert cloud.open() == []
        assert cloud.dollars() == 0
        assert "Traceback" not in said
        return " ".join(said.split())

    return ask


# A key that has expired is answered as a wrong one: neither vendor's contract tells them apart.
@pytest.mark.parametrize("key", ["d3Jvbmc", "ZG91Ymxl"])
def test_a_key_that_is_wrong_or_expired(key: str, cloud: Any, lepton: Any, refused: Any) -> None:
    lepton.environment[_SECRET[cloud.name]] = key
    said = refused()
    assert {"lambda": "invalid-api-key", "crusoe": "signature does not match"}[cloud.name] in said
    assert _SECRET[cloud.name] in said
    assert key not in said
    assert lepton("doctor", cloud.name, code=1).count("FAIL") == 1


def test_a_key_that_was_cut_off(cloud: Any, lepton: Any, refused: Any) -> None:
    key = lepton.environment[_SECRET[cloud.name]]
    lepton.environment[_SECRET[cloud.name]] = key[:5]
    said = refused()
    assert {"lambda": "invalid-api-key", "crusoe": "it was cut off or mistyped"}[cloud.name] in said
    assert key not in said


def test_an_empty_key(cloud: Any, lepton: Any, refused: Any) -> None:
    lepton.environment[_SECRET[cloud.name]] = ""
    said = refused()
    assert _SECRET[cloud.name] in said


def test_a_key_without_the_right(cloud: Any, lepton: Any, refused: Any) -> None:
    if cloud.name == "lambda":
        cloud.tell("/key", key="double-key", account="main", trouble="global/account-inactive")
        assert "activate the account at https://cloud.lambda.ai" in refused()
    else:
        cloud.tell("/rules", read_only=True)
        said = refused(code=69)
        assert "this key may only read" in said
        assert "give the key's user a role" in said


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--gpu", "H900:1"), "H900"),
        (("--gpu", "GB300:8"), "GB300"),
        (("--region", "mars-1"), "mars-1"),
    ],
)
def test_what_nobody_sells(words: tuple[str, ...], text: str, cloud: Any, refused: Any) -> None:
    said = refused(*(words if "--gpu" in words else ("--gpu", cloud.gpu, *words)))
    assert text in said


def test_an_image_that_does_not_exist(cloud: Any, lepton: Any, refused: Any) -> None:
    lepton.environment[f"{_PROVIDERS}{cloud.name.upper()}_IMAGE"] = "no-such-image"
    said = refused(code=69)
    assert "image" in said
    assert len(cloud.creates()) == 1
    assert f"providers.{cloud.name}.image" in said


def test_a_project_that_does_not_exist(cloud: Any, lepton: Any, refused: Any) -> None:
    if cloud.name != "crusoe":
        pytest.skip("only Crusoe has projects")
    lepton.environment["CRUSOE_PROJECT_ID"] = "00000000-0000-4000-8000-00000000dead"
    said = refused()
    assert "00000000dead" in said
    assert "crusoe projects list" in said


def test_an_ssh_key_of_our_name_with_another_content(cloud: Any, lepton: Any, refused: Any) -> None:
    if cloud.name != "lambda":
        pytest.skip("only Lambda keeps SSH keys; Crusoe takes the key with each machine")
    lepton("run", "--provider", "lambda", "--gpu", cloud.gpu, *_JOB)
    before = cloud.dollars()
    lepton.environment["LEPTON_SDK_CACHE"] += "-of-another-host"
    said = " ".join(lepton("run", "--provider", "lambda", "--gpu", cloud.gpu, *_JOB, code=69).split())
    assert "that is not the one in" in said
    assert "delete lepton-" in said
    assert cloud.dollars() == before


@pytest.mark.parametrize("name", ["x" * 200, "Ünï cödé / слово", "--"])
def test_names_of_jobs_that_no_vendor_takes(name: str, cloud: Any, lepton: Any) -> None:
    """Refused by us with the rule, or made fit for the vendor; never the vendor's own refusal."""
    said = lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, f"--name={name}", *_JOB, code=None)
    assert "Traceback" not in said
    if cloud.creates():
        assert lepton.runs()[0]["state"] == "succeeded", said
    else:
        assert "name" in said
    assert cloud.open() == []
