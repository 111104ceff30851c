"""How an image runs: what is said reads back, and what cannot be is refused where it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lepton_sdk.domain.container import Container, Registry, check_image
from lepton_sdk.errors import JobSpecError

_WHOLE: dict[str, Any] = {
    "shm_size": 16,
    "ports": ["9000:8888", "22"],
    "mounts": {"/data": "/data:ro"},
    "user": "1000:1000",
    "workdir": "/code",
    "registry": {"username": "me", "password": "TOKEN", "server": "registry.example:5000"},
}


def test_what_is_said_reads_back_and_what_is_not_said_is_not_written() -> None:
    whole = Container.parse(_WHOLE)
    assert Container.parse(json.loads(json.dumps(whole.to_dict()))) == whole
    assert whole.registry == Registry("me", "TOKEN", "registry.example:5000")
    assert Container().to_dict() == {}
    assert Container.parse(None) == Container()
    assert Container.parse(whole) is whole


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("port", 1, "container.port: unknown key"),
        ("ports", "0", "'0' is no port"),
        ("ports", ["70000:1"], "'70000:1' is no port"),
        ("mounts", {"data": "/data"}, "'data' is no absolute path"),
        ("mounts", {"/a/../b": "/c"}, "no absolute path"),
        ("mounts", {"/a": "/b:c"}, "without a colon"),
        ("user", "a b", "'a b' is no user"),
        ("workdir", "code", "container.workdir"),
        ("shm_size", "much", "container.shm_size"),
        ("registry", {"username": "me"}, "container.registry.password: missing"),
        ("registry", {"username": "me", "password": "the value itself"}, "it is no name of a secret"),
        ("registry", {"username": "me", "password": "T", "server": "a b"}, "'a b' is no host"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(key: str, value: Any, words: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        Container.parse({key: value})
    assert words in str(caught.value)


def test_a_refusal_never_shows_what_may_be_a_password() -> None:
    with pytest.raises(JobSpecError) as caught:
        Container.parse({"registry": {"username": "me", "password": "hunter2 is it"}})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("image", ["", "a b", "-x", 3, "a\nb"])
def test_what_cannot_name_an_image_is_refused(image: Any) -> None:
    with pytest.raises(JobSpecError, match="cannot name an image"):
        check_image(image)
    assert check_image(None) is None
