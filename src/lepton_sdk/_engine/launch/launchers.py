"""The command that a job's launcher makes of the job's own command, and the files and variables that exist when it runs.

The node's shell fills in the variables, so the same command serves every rank, and a script may read the same names.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from shlex import quote

from lepton_sdk.domain.checkpoint import is_folder
from lepton_sdk.domain.job import Job, Launcher

__all__ = ["launched"]

# One line for each node, in the format of mpirun and deepspeed.
_HOSTFILE = (
    'HOSTFILE=$PWD/.lepton-hosts; export HOSTFILE; echo "$HOST_ADDRS" | tr , "\\n" | '
    'while read -r host; do echo "$host slots=$((NGPUS > 0 ? NGPUS : 1))"; done >"$HOSTFILE"\n'
)
_CHECKPOINT = 'mkdir -p "$LEPTON_CHECKPOINT" || exit\n'
# With underscores: PyTorch before 2.0 does not know the names with dashes, and newer versions accept both.
_TORCHRUN = (
    'exec torchrun --nnodes "$NNODES" --node_rank "$NODE_RANK" --nproc_per_node "$((NGPUS > 0 ? NGPUS : 1))" '
    '--master_addr "$MASTER_ADDR" --master_port "$MASTER_PORT" '
)
_PYTHON = re.compile(r"(?:\S*/)?python[\d.]*\s+")


def launched(job: Job) -> Job:
    """The job with the command that its launcher makes of the job's own command."""
    before = _CHECKPOINT if is_folder(job.checkpoint) else ""
    if job.nodes > 1 or job.launcher is not Launcher.NONE:
        before += _HOSTFILE
    if not before:
        return job
    command = job.command
    if job.launcher is not Launcher.NONE:
        command = _torchrun(command) if job.launcher is Launcher.TORCHRUN else _mpirun(command)
    return job.with_(command=before + command, launcher=Launcher.NONE)


def _torchrun(command: str) -> str:
    """torchrun starts Python itself, once for each GPU. A command that is no Python script is started as it is."""
    script = _PYTHON.sub("", command, count=1) if _PYTHON.match(command) else command
    is_python = script != command or script.startswith("-m ") or script.split(maxsplit=1)[0].endswith(".py")
    return _TORCHRUN + ("" if is_python else "--no_python ") + script


def _mpirun(command: str) -> str:
    start, daemon = _mpi_parts()
    return f"LEPTON_MPI_COMMAND={quote(command)}\nprintf %s {quote(daemon)} >.lepton-mpi.py\n{start}"


@cache
def _mpi_parts() -> tuple[str, str]:
    folder = Path(__file__).with_name("mpi")
    return (folder / "start.sh").read_text(encoding="utf-8"), (folder / "daemon.py").read_text(encoding="utf-8")
