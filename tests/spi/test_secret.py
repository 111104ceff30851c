"""Secrets: shown and written nowhere."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk.spi import Secret


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="•")))
def test_a_secret_never_shows(text: str) -> None:
    secret = Secret(text)
    shown = {repr(secret), str(secret), f"{secret}", f"{secret:>80}", "%s" % secret, str([secret]), str({"k": secret})}  # noqa: UP031
    assert shown == {"••••••", "[••••••]", "{'k': ••••••}"}
    assert secret.reveal() == text
    assert secret == Secret(text)


def test_a_secret_is_not_written_out() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret("k"))
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="reveal"):
            write(Secret("k"))
