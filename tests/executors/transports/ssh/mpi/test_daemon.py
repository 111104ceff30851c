"""What stands in the place of ssh between the nodes of an MPI job, by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from lepton_sdk._engine.launch.mpi import daemon


def test_the_waiting_node_runs_what_comes_from_its_run_and_nothing_else(tmp_path: Path, until: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"PATH": os.environ["PATH"], "MASTER_PORT": str(port - 1), "NODE_RANK": "1", "HOST_ADDRS": "127.0.0.1,127.0.0.1"}
    argv = [sys.executable, daemon.__file__]
    call = [*argv, "lepton-rank-1", "touch", f"{tmp_path}/ran;", "exit", "7"]
    with subprocess.Popen(argv, env=place | {"LEPTON_MPI_KEY": "right"}, cwd=tmp_path) as waiting:
        # Noise, silence, and somebody with another key.
        until(lambda: _says(port, b"\0\xff\n"))
        until(lambda: _says(port, b"{}\n"))
        stranger = subprocess.run(call, env=place | {"LEPTON_MPI_KEY": "wrong"}, check=False, capture_output=True)
        assert stranger.returncode == 1
        assert not (tmp_path / "ran").exists()
        assert subprocess.run(call, env=place | {"LEPTON_MPI_KEY": "right"}, check=False).returncode == 7
        assert waiting.wait(60) == 7
    assert (tmp_path / "ran").exists()


def _says(port: int, data: bytes) -> bool:
    """Whether the other side hung up on what it was told."""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as one:
            one.sendall(data)
            while one.recv(100):
                pass
            return True
    except ConnectionResetError:
        return True
    except ConnectionRefusedError:
        return False


def test_the_first_rank_that_failed_here_tells_the_code(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"PATH": os.environ["PATH"], "MASTER_PORT": str(port - 1), "NODE_RANK": "1", "HOST_ADDRS": "x,127.0.0.1"}
    place["LEPTON_MPI_KEY"] = "key"
    argv = [sys.executable, daemon.__file__]
    with subprocess.Popen(argv, env=place, cwd=tmp_path) as waiting:
        script = f": >{tmp_path}/.lepton-mpi-code.5; sleep 0.05; : >{tmp_path}/.lepton-mpi-code.4; kill -TERM $$"
        done = subprocess.run([*argv, "lepton-rank-1", script], env=place, check=False)
        assert done.returncode == 128 + signal.SIGTERM
        assert waiting.wait(60) == 5
