"""What the platform tells a job about itself and its place."""

from __future__ import annotations

from lepton_sdk.domain.access import KubernetesAccess, LocalAccess, SSHAccess
from lepton_sdk.domain.retry import Cause
from lepton_sdk.domain.run import NodeRecord, Run

__all__ = ["describe"]

_PORT = "29500"


def describe(run: Run, node: NodeRecord) -> dict[str, str]:
    """Environment variables of one node: the ``LEPTON_*`` names of DGX Cloud Lepton, and the launchers' own.

    Source: docs.nvidia.com/dgx-cloud/lepton, predefined environment variables and job templates, read 2026-11.
    """
    offer = node.offer
    gpus = str(offer.gpu_count)
    variables = {
        "LEPTON_JOB_NAME": run.job.name,
        "LEPTON_JOB_TOTAL_WORKERS": str(run.job.nodes),
        "LEPTON_JOB_WORKER_INDEX": str(node.rank),
        "LEPTON_JOB_FAILURE_COUNT": str(len(run.failures(Cause.ERROR, Cause.INTERRUPTION))),
        "LEPTON_WORKER_ID": f"{run.id}-{node.rank}",
        "LEPTON_RESOURCE_ACCELERATOR_NUM": gpus,
        "LEPTON_RUN_ID": run.id,
        "LEPTON_PROVIDER": offer.provider,
        "NGPUS": gpus,
        "NNODES": str(run.job.nodes),
        "NODE_RANK": str(node.rank),
    }
    if offer.gpu:
        variables["LEPTON_RESOURCE_ACCELERATOR_TYPE"] = str(offer.gpu)
    if run.job.nodes == 1:
        variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _PORT}
    access = node.node.access if node.node else None
    if isinstance(access, LocalAccess | SSHAccess | KubernetesAccess):
        variables |= access.environment
    return variables
