"""From a spec to its object: what a factory gets, and what it must give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]


def test_a_factory_gets_its_own_section_and_nothing_else(python: Python) -> None:
    code = """
provider = registry.provider("healthy")
context = provider.context
answer = [dict(context.config, token=repr(context.config["token"])), context.config["token"].reveal(), context.name,
          str(context.cache_dir), oct(context.cache_dir.stat().st_mode & 0o777),
          provider is registry.provider("healthy"), repr(context).count("k-1")]
"""
    config = '[providers.healthy]\nzone = "north"\n[providers.needs-key]\napi_key = "other"'
    section, token, name, folder, mode, same, leaks = python(code, config=config, HEALTHY_TOKEN="k-1")
    assert section == {"zone": "north", "token": "••••••"}
    assert (token, name, mode, same, leaks) == ("k-1", "healthy", "0o700", True, 0)
    assert folder.endswith("/.cache/lepton/providers/healthy")


def test_a_factory_that_exits_is_broken(python: Python) -> None:
    failure = python("answer = error(registry.provider, 'crasher')")
    assert failure["error"] == "PluginBroken"
    assert "it exited (SystemExit: 3)" in failure["message"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("liar", "liar: its spec declares 'diagnose' and Healthy lacks diagnose(): write the method or drop the flag"),
        ("boaster", "boaster: Boaster has account() and its spec does not declare 'account': add the flag or drop the method"),
    ],
)
def test_flags_and_methods_must_agree(python: Python, name: str, line: str) -> None:
    failure = python(f"answer = error(registry.provider, {name!r})")
    assert (failure["error"], failure["message"]) == ("PluginBroken", line)
    assert failure["next"] == "tell the author of lepton-liar"


def test_flags_and_methods_of_executors_must_agree(python: Python) -> None:
    code = """
from pathlib import Path
from lepton_sdk._plugins.factories import make_executor
from lepton_sdk.spi.executor import ExecutorContext
(spec,) = [status.spec for status in registry.statuses("executor") if status.name == "mute"]
answer = error(make_executor, spec, ExecutorContext(SystemClock(), Path("/nowhere")))
"""
    failure = python(code)
    assert failure["message"] == "mute: its spec declares 'fetch' and LoopBack lacks fetch(): write the method or drop the flag"
    assert failure["next"]


def test_what_a_factory_returns_must_be_a_provider(python: Python) -> None:
    failure = python("answer = error(registry.provider, 'needs-key')", NEEDS_KEY_API_KEY="k")
    assert "made object, which lacks offers, acquire" in failure["message"]


def test_the_http_client_has_limits_and_follows_nothing(python: Python) -> None:
    code = """
client = registry.provider("healthy").context.http(base_url="https://example.invalid")
answer = [client.timeout.connect, client.timeout.read, client.follow_redirects, client.headers["user-agent"]]
asyncio.run(client.aclose())
"""
    connect, read, follows, agent = python(code)
    assert 0 < connect <= read <= 60
    assert follows is False
    assert agent.startswith("lepton-sdk/")
