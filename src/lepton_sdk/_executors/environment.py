"""What setup and command see of the environment, and the mark that every process of an execution carries."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import Execution

__all__ = ["MARK", "PASSED", "PASSED_FAMILIES", "job_environment", "mark_of", "passed_on"]

# What setup and command get of their host's environment. Anything else is said in the job.
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "TERM"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
PASSED_FAMILIES = ("LC_", "PIP_", "UV_")

# The variable by which the keeper finds the processes of a run.
MARK = "LEPTON_RUN_MARK"


def mark_of(execution: Execution) -> str:
    """What every process of an execution carries in its environment, whichever follower started it."""
    return f"{execution.run_id}-{execution.attempt}-{execution.rank}"


def passed_on(ours: Mapping[str, str]) -> dict[str, str]:
    """What setup and command may see of a host's environment."""
    return {name: value for name, value in ours.items() if name in PASSED or name.startswith(PASSED_FAMILIES)}


def job_environment(execution: Execution) -> dict[str, str]:
    """The variables that are set for setup and command, beside the few that the keeper passes on from its host.

    Raises:
        JobSpecError: a value that no environment can hold.
    """
    # Without the first one Python keeps its output back for minutes when it writes to a pipe.
    layers = ({"PYTHONUNBUFFERED": "1"}, execution.environment, execution.job.env, execution.secrets, {MARK: mark_of(execution)})
    environment = {name: value for layer in layers for name, value in layer.items()}
    for name, value in environment.items():
        if "\0" in value:
            raise JobSpecError(f"{name}: a null character cannot be part of an environment variable")
    return environment
