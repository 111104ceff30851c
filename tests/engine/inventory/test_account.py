"""What a provider says holds for the account that our machines are in, and for no other one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from members import engine_over, planned, stand

from lepton_sdk._engine.inventory.account import assure, note_account, settle_account
from lepton_sdk.errors import AuthError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def test_the_first_account_is_noted_and_another_one_is_taken_once_nothing_is_held(tmp_path: Path) -> None:
    with engine_over(tmp_path, FakeProvider(tmp_path, account="first")) as engine:
        planned(engine)
        asyncio.run(settle_account(engine, "fake"))
        assert engine.journal.account("fake") == "first"
    with engine_over(tmp_path, FakeProvider(tmp_path, account="second")) as engine:
        asyncio.run(settle_account(engine, "fake"))
        assert engine.journal.account("fake") == "second"


def test_while_something_is_held_no_other_account_says_anything(tmp_path: Path) -> None:
    with engine_over(tmp_path, FakeProvider(tmp_path, account="first")) as engine:
        stand(engine)
        asyncio.run(note_account(engine, "fake"))
        asyncio.run(assure(engine, "fake"))
    with engine_over(tmp_path, FakeProvider(tmp_path, account="second")) as engine:
        for question in (assure, settle_account):
            with pytest.raises(AuthError, match="open account second, and our machines are in account first") as caught:
                asyncio.run(question(engine, "fake"))
            assert "give fake the credentials of first again" in (caught.value.hint or "")
        assert engine.journal.account("fake") == "first"


def test_a_provider_that_cannot_tell_is_believed(tmp_path: Path) -> None:
    with engine_over(tmp_path, spec=evolve(FAKE_SPEC, capabilities={"local"})) as engine:
        stand(engine)
        asyncio.run(note_account(engine, "fake"))
        asyncio.run(assure(engine, "fake"))
        assert engine.journal.account("fake") is None


def test_an_account_that_cannot_be_told_any_more_is_not_ours(tmp_path: Path) -> None:
    class Silent(FakeProvider):
        async def account(self) -> str | None:  # type: ignore[override]
            return None

    with engine_over(tmp_path, FakeProvider(tmp_path, account="first")) as engine:
        stand(engine)
        asyncio.run(note_account(engine, "fake"))
    with engine_over(tmp_path, Silent(tmp_path)) as engine, pytest.raises(AuthError, match="an account without our mark"):
        asyncio.run(assure(engine, "fake"))
