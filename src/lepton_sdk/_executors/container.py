"""A job in a container, as two scripts for the node's shell: one brings the image, one runs it to its end.

The node's environment names the job's variables, so no value of one stands on a command line; a container engine takes them
from there by name.
"""

from __future__ import annotations

from shlex import quote

from attrs import evolve

from lepton_sdk._executors.environment import job_environment, mark_of
from lepton_sdk.domain.checkpoint import is_folder
from lepton_sdk.domain.container import Registry
from lepton_sdk.spi.executor import Execution

__all__ = ["contained", "entered"]

# What belongs to the node and not to the job; and the choice of GPUs, which inside are the only ones there.
_OUTSIDE = frozenset(("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TERM", "CUDA_VISIBLE_DEVICES"))

_ENGINE = """\
for engine in docker podman ''; do
  [ -z "$engine" ] || ! command -v "$engine" >/dev/null 2>&1 || ! "$engine" info >/dev/null 2>&1 || break
done
if [ -z "$engine" ]; then
  echo 'lepton: an image needs Docker or podman, and neither works for this user on this node' >&2
  exit 125
fi
"""
_PULL = """\
"$engine" image inspect {image} >/dev/null 2>&1 && exit 0
echo pulling {image} with "$engine" >&2
{login}"$engine" pull {image} >&2 || {{
  echo lepton: the image {image} cannot be pulled here >&2
  exit 125
}}
"""
# Credentials are for one pull: they lie in a folder of their own that goes with it.
_LOGIN = """\
DOCKER_CONFIG=$(mktemp -d) && export DOCKER_CONFIG || exit 125
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
REGISTRY_AUTH_FILE=$DOCKER_CONFIG/config.json
export REGISTRY_AUTH_FILE
printf %s "${password}" | "$engine" login --username {username} --password-stdin {server} >&2 || exit 125
"""
_RUN = """\
name={name}
set -- --rm --name "$name" --hostname {hostname} --volume "$PWD":{workdir} --workdir {workdir}
set -- "$@" --shm-size {shm}
case ${{NGPUS:-0}}$engine in
  0*) ;;
  *podman) for one in $(echo "${{CUDA_VISIBLE_DEVICES:-all}}" | tr , ' '); do set -- "$@" --device "nvidia.com/gpu=$one"; done ;;
  *)
    gpus=all
    [ -z "${{CUDA_VISIBLE_DEVICES:-}}" ] || gpus="\\"device=$CUDA_VISIBLE_DEVICES\\""
    set -- "$@" --gpus "$gpus"
    ;;
esac
ended() {{
  "$engine" stop --time 3 "$name" || "$engine" kill "$name"
}} >/dev/null 2>&1
trap ended TERM INT HUP
"$engine" run "$@" {options} --entrypoint /bin/sh {image} -c {inside} sh {setup} {command} &
child=$!
while :; do
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || break
done
"$engine" rm --force "$name" >/dev/null 2>&1
exit $code
"""
_HALF_OF_MEMORY = "$(awk '/^MemTotal/ {print int($2 / 2)}' /proc/meminfo)k"
_INSIDE = 'if [ -n "$1" ]; then /bin/sh -ec "$1" || exit; fi; exec /bin/sh -c "$2"'


_ENTER = """\
name={name}
if ! "$engine" container inspect "$name" >/dev/null 2>&1; then
  echo "lepton: the container of the run is not there; it comes with the image and goes with the job" >&2
  exit 1
fi
terminal=
[ ! -t 0 ] || terminal=--tty
exec "$engine" exec --interactive $terminal --workdir {workdir} "$name" /bin/sh -c {command}
"""
# What says where the engine is and how it works; its user may have set it for the job.
_ENGINES_OWN = ("DOCKER_", "CONTAINER")
_SHELL = "if command -v bash >/dev/null; then exec bash -l; fi; exec /bin/sh -l"


def entered(execution: Execution, command: str | None) -> str:
    """A script for the node's shell that opens a shell in the running container of an execution, or runs a command there."""
    job = execution.job
    own = [f"export {name}={quote(value)}\n" for name, value in job.env.items() if name.startswith(_ENGINES_OWN)]
    name, workdir = quote(f"lepton-{mark_of(execution)}"), quote(job.container.workdir)
    return "".join(own) + _ENGINE + _ENTER.format(name=name, workdir=workdir, command=quote(command or _SHELL))


def contained(execution: Execution) -> Execution:
    """The execution as its node's shell runs it; one without image stays as it is."""
    job = execution.job
    if job.image is None:
        return execution
    image, box = quote(job.image), job.container
    pull = _PULL.format(image=image, login=_login(box.registry, job.image) if box.registry else "")
    run = _RUN.format(
        name=quote(f"lepton-{mark_of(execution)}"),
        hostname=quote(f"{job.name}-{execution.rank}"),
        workdir=quote(box.workdir),
        shm=_HALF_OF_MEMORY if box.shm_size is None else f"{int(box.shm_size * 1024)}m",
        options=" ".join(_options(execution)),
        image=image,
        inside=quote(_INSIDE),
        setup=quote(job.setup or ""),
        command=quote(job.command),
    )
    place = f"mkdir -p {quote(job.checkpoint)} || exit\n" if is_folder(job.checkpoint) else ""
    return evolve(execution, job=evolve(job, setup=_ENGINE + pull, command=place + _ENGINE + run, image=None, container=None))


def _options(execution: Execution) -> list[str]:
    box = execution.job.container
    network = [f"--publish {port}" for port in box.ports] or ["--network host"]
    folders = dict(box.mounts)
    if is_folder(place := execution.job.checkpoint):
        folders.setdefault(place, place)
    mounts = [f"--volume {quote(f'{outside}:{inside}')}" for outside, inside in folders.items()]
    user = [f"--user {quote(box.user)}"] if box.user else []
    names = sorted(set(job_environment(execution)) - (_OUTSIDE - set(execution.job.env)))
    return [*network, *mounts, *user, *_hosts(execution), *(f"--env {name}" for name in names)]


def _hosts(execution: Execution) -> list[str]:
    """The names that a script for DGX Cloud Lepton makes of its job's name and rank, for all nodes of the job."""
    addresses = execution.environment.get("HOST_ADDRS", "")
    prefix, domain = execution.job.name, execution.environment.get("LEPTON_SUBDOMAIN", "")
    found = enumerate(addresses.split(",") if addresses and domain else ())
    return [f"--add-host {quote(f'{prefix}-{rank}.{domain}:{address}')}" for rank, address in found]


def _login(registry: Registry, image: str) -> str:
    first, slash, _ = image.partition("/")
    # As the engines do it: what has a dot or a port is a host.
    named = first if slash and ("." in first or ":" in first) else ""
    server = quote(registry.server or named)
    return _LOGIN.format(password=registry.password, username=quote(registry.username), server=server if server != "''" else "")
