"""The key pair that plugins keep for their machines."""

from __future__ import annotations

import asyncio
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lepton_sdk.errors import BlockScope
from lepton_sdk.spi import ConfigError, KeyPair


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return KeyPair("acme", tmp_path / "ssh", "owner1")


def test_a_pair_is_made_once_and_is_ours_alone(pair: KeyPair) -> None:
    assert pair.identity is None
    first, second = asyncio.run(pair.public()), asyncio.run(KeyPair("acme", pair.folder, "owner1").public())
    assert first == second
    assert first.startswith("ssh-ed25519 ")
    assert pair.identity == str(pair.private)
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.folder.stat().st_mode) == 0o700


def test_many_at_once_agree_on_one(pair: KeyPair) -> None:
    with ThreadPoolExecutor(8) as threads:
        halves = set(threads.map(lambda _: asyncio.run(pair.public()), range(16)))
    assert len(halves) == 1
    assert [file.name for file in pair.folder.iterdir()] == ["lepton-owner1"]


def test_a_public_file_of_another_key_is_not_believed(pair: KeyPair) -> None:
    first = asyncio.run(pair.public())
    pair.private.with_suffix(".pub").write_text("ssh-ed25519 AAAA somebody else's\n")
    assert asyncio.run(pair.public()) == first


def test_comments_do_not_make_another_key() -> None:
    assert KeyPair.same("ssh-ed25519 AAAA me@here", "ssh-ed25519 AAAA")
    assert not KeyPair.same("ssh-ed25519 AAAA me", "ssh-ed25519 BBBB me")


@pytest.fixture
def broken(pair: KeyPair, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> KeyPair:
    """A pair that cannot be had, for one reason or another."""
    if request.param == "damaged":
        pair.folder.mkdir()
        pair.private.write_text("no key\n")
        pair.private.chmod(0o600)
    elif request.param == "no folder":
        pair.folder.parent.joinpath("ssh").write_text("a file where the folder should be")
    else:
        monkeypatch.setenv("PATH", "/nonexistent")
    return pair


@pytest.mark.parametrize(
    ("broken", "text"),
    [("damaged", "ssh-keygen failed"), ("no folder", "cannot be kept"), ("no ssh-keygen", "ssh-keygen was not found")],
    indirect=["broken"],
)
def test_what_stands_in_the_way_is_named_and_the_provider_is_left_out(broken: KeyPair, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        asyncio.run(broken.public())
    assert (caught.value.provider, caught.value.scope) == ("acme", BlockScope.PROVIDER)
    assert caught.value.hint


def test_the_private_half_opens_what_the_public_half_signs(pair: KeyPair, tmp_path: Path) -> None:
    public = tmp_path / "asked.pub"
    public.write_text(asyncio.run(pair.public()))
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(public)], capture_output=True, text=True, check=True).stdout
    again = subprocess.run(["ssh-keygen", "-l", "-f", str(pair.private)], capture_output=True, text=True, check=True).stdout
    assert shown.split()[1] == again.split()[1]
