"""An executor of a stranger's own: machines are folders, and a shell in each runs one job. Imports nothing but lepton_sdk.spi."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path

from lepton_sdk.spi import ExecutionState, ExecutionStatus, NodeUnreachable

# The shell itself makes the folder, so that of two starts one is the first, whoever of the two lives to see it.
_PROGRAM = """
mkdir "$PLACE" 2>/dev/null || exit 0
cd "$PLACE" && echo $$ >pid.part && mv pid.part pid
sh -c "$COMMAND" >log 2>&1 </dev/null
echo $? >code.part && mv code.part code
"""


class Executor:
    def __init__(self, context):
        self._clock = context.clock

    async def start(self, node, execution):
        place = self._place(node, execution)
        place.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **execution.environment, **execution.job.env, **execution.secrets}
        shell = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
            ["sh", "-c", _PROGRAM],
            env={**environment, "PLACE": str(place), "COMMAND": execution.job.command},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(200):
            if (place / "pid").exists() or shell.poll() is not None:
                return
            await self._clock.sleep(0.02)
        raise NodeUnreachable("its shell does not begin")

    async def poll(self, node, execution):
        place = self._place(node, execution)
        if not place.exists():
            return ExecutionStatus(ExecutionState.ABSENT)
        if (place / "code").exists():
            return ExecutionStatus(ExecutionState.FINISHED, exit_code=int((place / "code").read_text()), reason="exit")
        if (place / "pid").exists() and not _lives(int((place / "pid").read_text())):
            # It may have ended between the two looks.
            ended = (place / "code").exists()
            return await self.poll(node, execution) if ended else ExecutionStatus(ExecutionState.LOST)
        return ExecutionStatus(ExecutionState.RUNNING)

    async def logs(self, node, execution, offset=0, *, follow=False):
        log = self._place(node, execution) / "log"
        while True:
            status = await self.poll(node, execution)
            chunk = log.read_bytes()[offset:] if log.exists() else b""
            if chunk:
                offset += len(chunk)
                yield chunk
            elif not follow or status.state not in (ExecutionState.SETUP, ExecutionState.RUNNING):
                return
            await self._clock.sleep(0.02)

    async def cancel(self, node, execution):
        place = self._place(node, execution)
        if (place / "pid").exists() and not (place / "code").exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int((place / "pid").read_text()), signal.SIGKILL)

    async def aclose(self):
        await asyncio.sleep(0)

    def _place(self, node, execution):
        return Path(node.access.data["folder"], f"{execution.run_id}-{execution.attempt}-{execution.rank}")


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Nobody may have taken note of its end.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
