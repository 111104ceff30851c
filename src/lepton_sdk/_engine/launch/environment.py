"""The environment variables that tell a job about its run, its node and the other nodes."""

from __future__ import annotations

from hashlib import sha256
from zlib import crc32

from lepton_sdk.domain.checkpoint import checkpoint_of
from lepton_sdk.domain.job import Launcher
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import Run

__all__ = ["describe"]

# The first port is torchrun's default. Two jobs on one host should not use the same port.
_FIRST_PORT, _PORTS = 29500, 1000
# Where containers get host names, a node is called ``job-0.lepton``.
_DOMAIN = "lepton"


def describe(run: Run, node: NodeRecord) -> dict[str, str]:
    """Environment variables of one node: the ``LEPTON_*`` names of DGX Cloud Lepton, and the launchers' own.

    ``WORLD_SIZE`` and ``RANK`` count nodes, as in DGX Cloud Lepton's own templates; a launcher such as torchrun sets them
    again for each of its processes.

    Source: docs.nvidia.com/dgx-cloud/lepton, predefined environment variables and job templates, read 2026-11.
    """
    offer = node.offer
    gpus, nodes, rank = str(offer.gpu_count), str(run.job.nodes), str(node.rank)
    variables = {
        "LEPTON_JOB_NAME": run.job.name,
        "LEPTON_JOB_SERVICE_PREFIX": run.job.name,
        "LEPTON_JOB_WORKER_PREFIX": run.job.name,
        "LEPTON_JOB_WORKER_HOSTNAME_PREFIX": run.job.name,
        "LEPTON_JOB_TOTAL_WORKERS": nodes,
        "LEPTON_JOB_WORKER_INDEX": rank,
        "LEPTON_JOB_FAILURE_COUNT": str(len(run.failures(Cause.ERROR, Cause.INTERRUPTION))),
        "LEPTON_SUBDOMAIN": _DOMAIN,
        "LEPTON_WORKER_ID": f"{run.id}-{node.rank}",
        "LEPTON_RESOURCE_ACCELERATOR_NUM": gpus,
        "LEPTON_RESOURCE_ACCELERATOR_TYPE": str(offer.gpu or ""),
        "LEPTON_RUN_ID": run.id,
        "LEPTON_PROVIDER": offer.provider,
        "NGPUS": gpus,
        "NNODES": nodes,
        "NODE_RANK": rank,
        "WORLD_SIZE": nodes,
        "RANK": rank,
    }
    if run.job.checkpoint is not None:
        variables["LEPTON_CHECKPOINT"] = checkpoint_of(run.job.checkpoint, run.id)
    if run.job.nodes == 1 or node.node is not None:
        # If the provider submits the job itself, only the provider knows where the nodes will be.
        variables |= _addresses(run, node)
    if run.job.launcher is Launcher.MPI:
        variables["LEPTON_MPI_KEY"] = _key(run)
    access = node.node.access if node.node else None
    return variables | dict(access.environment) if access is not None else variables


def _addresses(run: Run, node: NodeRecord) -> dict[str, str]:
    hosts = ["127.0.0.1"] if run.job.nodes == 1 else [_address(member) for member in run.members]
    return {
        "MASTER_ADDR": hosts[0],
        "MASTER_IP": hosts[0],
        "MASTER_PORT": str(_FIRST_PORT + crc32(run.id.encode()) % _PORTS),
        "THIS_ADDR": hosts[min(node.rank, len(hosts) - 1)],
        "HOST_ADDRS": ",".join(hosts),
        "HOST_IPS": ",".join(hosts),
    }


def _key(run: Run) -> str:
    """A secret that only the nodes of this attempt know, the same for every follower: 45 random bits of each token."""
    return sha256(" ".join(member.token for member in run.members).encode()).hexdigest()


def _address(member: NodeRecord) -> str:
    """The address at which the other nodes of a run reach this one."""
    access = member.node.access if member.node else None
    return (access.address if access is not None else "") or "127.0.0.1"
