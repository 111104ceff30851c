"""Short commands on hosts behind SSH, for providers, through the installed SSH executor."""

from __future__ import annotations

from collections.abc import Callable

from lepton_sdk._gate.executions import checked_command
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import PluginBroken
from lepton_sdk.spi.capabilities import Commanding
from lepton_sdk.spi.executor import CommandResult, Executor

__all__ = ["ExecutorShell"]


class ExecutorShell:
    """The ``shell`` of a provider's context.

    Args:
        make: makes the executor for hosts behind SSH; called once.
    """

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor: Executor | None = None

    async def run(self, access: SSHAccess, script: str, data: bytes = b"", *, seconds: float = 60.0) -> CommandResult:
        """Run a script of the host's POSIX shell to its end; ``data`` is its standard input."""
        executor = self._executor = self._executor or self._make()
        if not isinstance(executor, Commanding):
            text = f"the executor for hosts behind SSH, {type(executor).__name__}, runs no single commands"
            raise PluginBroken(text, hint="lepton plugins shows where it is from")
        try:
            answer = await executor.command(Node("", access.host, access=access), script, data, seconds=seconds)
        except ModuleNotFoundError as error:
            text = f"hosts behind SSH cannot be reached: {error.name} is not installed"
            raise PluginBroken(text, hint="pip install 'lepton-sdk[ssh]'") from error
        return checked_command(answer)

    async def aclose(self) -> None:
        """Close connections."""
        executor, self._executor = self._executor, None
        if executor is not None:
            await executor.aclose()
