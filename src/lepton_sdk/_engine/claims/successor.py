"""Start a follower process that goes on with runs and outlives this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from lepton_sdk._engine.engine import Engine

__all__ = ["leave_follower"]


def leave_follower(engine: Engine, run_ids: Sequence[str], secrets: Mapping[str, str]) -> int:
    """Start a follower process for these runs that outlives us; its process id.

    The secrets go through its standard input, so that no process list, file or environment contains them.
    """
    config, words = engine.config, [word for run_id in run_ids for word in ("--run", run_id)]
    # It must use the same places as this client, also those that were given as arguments.
    state = str(config.state_dir) if config.database is None else config.database.reveal()
    places = {"LEPTON_SDK_STATE": state, "LEPTON_SDK_CACHE": str(config.cache_dir)}
    if config.path.exists():
        places["LEPTON_SDK_CONFIG"] = str(config.path)
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = config.state_dir / "follower.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "lepton_sdk", "follow", *words, "--secrets-on-stdin"],
            stdin=subprocess.PIPE,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            env={**os.environ, **places},
            cwd="/",
        )
    finally:
        os.close(descriptor)
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps(dict(secrets)).encode())
    # It may outlive us. But if it ends before us, somebody must wait for it, or it stays in the process list as a zombie.
    threading.Thread(target=process.wait, name="lepton-follower", daemon=True).start()
    return process.pid
