"""One short command on a host, outside of any run."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import CommandResult


def _do(host: Any, script: str, data: bytes = b"", **more: float) -> CommandResult:
    result: CommandResult = host.do(host.executor.command(host.node, script, data, **more))
    return result


def test_a_command_is_answered_whole(host: Any) -> None:
    data = os.urandom(1 << 20)
    assert _do(host, "cat", data) == CommandResult(0, data, b"")
    said = _do(host, """printf '%s' "$(echo "it's" '$(no)')"; echo oh >&2; exit 3""")
    assert said == CommandResult(3, b"it's $(no)", b"oh\n")
    # One that does not read what it is sent still ends.
    assert _do(host, "exit 5", data).exit_code == 5


def test_a_signal_is_no_exit_code(host: Any) -> None:
    assert _do(host, "kill -9 $$").exit_code is None


def test_a_broken_connection_is_no_end(host: Any, server: Any, until: Any) -> None:
    begun = server.home / "begun"

    async def broken() -> None:
        asking = asyncio.ensure_future(host.executor.command(host.node, "echo >$HOME/begun; sleep 300"))
        await asyncio.to_thread(until, begun.exists)
        server.cut()
        await asking

    with pytest.raises(NodeUnreachable):
        host.do(broken())


def test_silence_has_an_end(host: Any) -> None:
    with pytest.raises(NodeUnreachable, match="did not answer within 1 seconds"):
        _do(host, "sleep 300", seconds=1.0)


def test_a_provider_is_given_a_shell(server: Any, tmp_path: Path) -> None:
    config = load_config(state=tmp_path / "state", cache=tmp_path / "cache", environ=dict(os.environ))
    registry = Registry(config, SystemClock())

    async def ask() -> CommandResult:
        provider = registry._context(registry._ready("provider", "byoc"))
        try:
            access = SSHAccess("127.0.0.1", getpass.getuser(), server.port, host_keys=(server.host_key,))
            return await provider.shell.run(access, "tr a-z A-Z", b"hello")
        finally:
            await registry.aclose()

    assert asyncio.run(ask()) == CommandResult(0, b"HELLO", b"")
