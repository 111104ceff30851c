"""What users get wrong, by the command: the message names the value and the next step, and nothing is made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
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


@pytest.mark.parametrize("key", ["d3Jvbmc", "ZG91Ymxl"])
def test_a_key_that_is_wrong(key: str, cloud: Any, lepton: Any, refused: Any) -> None:
    lepton.environment[_SECRET[cloud.name]] = key
    said = refused()
    assert {"lambda": "invalid-api-key", "crusoe": "signature does not match"}[cloud.name] in said
    assert _SECRET[cloud.name] in said
    assert key not in said
    assert lepton("doctor", cloud.name, code=1).count("FAIL") == 1


def test_a_key_that_has_expired(cloud: Any, lepton: Any, refused: Any) -> None:
    cloud.expire(expired=True)
    said = refused()
    assert {"lambda": "invalid, expired, or deleted", "crusoe": "unknown access key"}[cloud.name] in said
    assert _SECRET[cloud.name] in said
    assert lepton("doctor", cloud.name, code=1).count("FAIL") == 1
    cloud.expire(expired=False)
    assert "FAIL" not in lepton("doctor", cloud.name)


@pytest.mark.parametrize("cut", [1, 5])
def test_a_key_that_was_cut_off(cut: int, cloud: Any, lepton: Any, refused: Any) -> None:
    key = lepton.environment[_SECRET[cloud.name]]
    lepton.environment[_SECRET[cloud.name]] = key[:-cut]
    said = refused()
    # What is still base64 is a key for all that can be seen here.
    crusoe = "it was cut off or mistyped" if (len(key) - cut) % 4 == 1 else "CRUSOE_SECRET_KEY"
    assert {"lambda": "invalid-api-key", "crusoe": crusoe}[cloud.name] in said
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
        cloud.tell("/settings", read_only=True)
        said = refused(code=69)
        assert "this key may only read" in said
        assert "give the key's user a role" in said
        assert "the key may create nothing" in " ".join(lepton("doctor", "crusoe", code=1).split())


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


@pytest.mark.parametrize("field", ["file_systems", "firewall_rulesets"])
def test_what_a_machine_is_launched_with_must_exist(field: str, start: Any, make_lepton: Any) -> None:
    cloud = start("lambda")
    lepton = make_lepton(cloud)
    lepton.environment[f"{_PROVIDERS}LAMBDA_{field.upper()}"] = "no-such-thing"
    said = " ".join(lepton("run", "--provider", "lambda", "--gpu", cloud.gpu, *_JOB, code=69).split())
    assert "does not exist" in said
    assert f"check providers.lambda.{field}" in said
    assert len(cloud.creates()) == 1
    assert cloud.open() == []


def test_a_file_system_of_another_region_leads_to_its_own(start: Any, make_lepton: Any) -> None:
    cloud = start("lambda")
    cloud.tell("/file-system", account="main", name="data", region="us-west-1")
    lepton = make_lepton(cloud)
    lepton.environment[f"{_PROVIDERS}LAMBDA_FILE_SYSTEMS"] = "data"
    run = ("run", "--provider", "lambda", "--gpu", cloud.gpu)
    said = " ".join(lepton(*run, "--region", "us-east-1", *_JOB, code=69).split())
    assert "take it out of providers.lambda.file_systems" in said
    assert cloud.dollars() == 0
    if SSHD:
        lepton(*run, *_JOB)
        bodies = [json.loads(one["request"]) for one in cloud.exchanges() if one["path"].endswith("/launch")]
        assert (bodies[-1]["region_name"], bodies[-1]["file_system_names"]) == ("us-west-1", ["data"])
    assert cloud.open() == []


def test_a_firewall_ruleset_of_another_region_is_named(start: Any, make_lepton: Any) -> None:
    cloud = start("lambda")
    cloud.tell("/ruleset", account="main", id="wall", region="us-west-1")
    lepton = make_lepton(cloud)
    lepton.environment[f"{_PROVIDERS}LAMBDA_FIREWALL_RULESETS"] = "wall"
    said = " ".join(lepton("run", "--provider", "lambda", "--gpu", cloud.gpu, "--region", "us-east-1", *_JOB, code=None).split())
    assert "not in the region" in said
    assert "firewall_rulesets" in said
    assert cloud.open() == []


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
