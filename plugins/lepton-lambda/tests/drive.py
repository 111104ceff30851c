"""A client in a process of its own, which may be killed: ``drive.py FOLDER WHAT [ROW]``.

Its environment says where the double is.
``run`` runs the job and dies by SIGKILL when ROW is written; ``output`` runs it and reads its output; ``wait`` is a fresh
client that waits for the run's end. Each says what became of the run, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_lambda.plugin import PROVIDER
from lepton_lambda.provider import LambdaCloud, create
from lepton_sdk import Client, Job
from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi import ProviderContext, Secret, Timings
from lepton_sdk.spi.http import make_client
from lepton_sdk.testing import SystemClock

# The vendor's own clockwork takes minutes; the double's does not.
QUICK = evolve(PROVIDER, timings=Timings(listing_lag=0.3, create_horizon=0.3, boot=30, poll=0.05), rates={})
_VARIABLE = "LEPTON_SDK_PROVIDERS_LAMBDA_"


class NoPacer:
    async def wait(self, bucket: str = "") -> None:
        return


def _provider(folder: Path) -> LambdaCloud:
    values: dict[str, Any] = {field.name: field.default for field in PROVIDER.config}
    values |= {
        "api_key": Secret(os.environ["LAMBDA_API_KEY"]),
        "base_url": os.environ[f"{_VARIABLE}BASE_URL"],
        "ssh_port": int(os.environ[f"{_VARIABLE}SSH_PORT"]),
        "ssh_user": os.environ[f"{_VARIABLE}SSH_USER"],
    }

    def http(**options: Any) -> Any:
        return make_client("lambda", **options)

    return create(ProviderContext("lambda", values, http, NoPacer(), SystemClock(), folder, folder, None))


def _log(client: Client, run: str) -> str | None:
    """The output; ``None`` when it went with the machine."""
    try:
        return b"".join(client.logs(run)).decode()
    except NodeUnreachable:
        return None


def main(folder: Path, what: str, row: str = "") -> None:
    def on_event(event: Any) -> None:
        if event.kind == row:
            os.kill(os.getpid(), signal.SIGKILL)

    with Client(state=folder / "state", cache=folder / "cache", providers={QUICK: _provider(folder / "keys")}) as client:
        if what in ("run", "output"):
            resources = {"gpu": "A10:1", "providers": ["lambda"]}
            client.run(Job("echo begun; sleep 0.2; echo ended", resources=resources, name="job"), on_event=on_event)
        run = client.wait("job")
        answer = {"state": str(run.state), "error": run.error, "attempts": run.attempts}
        if what == "output":
            answer["log"] = _log(client, run.id)
        print(json.dumps(answer | {"cost": str(run.cost(SystemClock().now()))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
