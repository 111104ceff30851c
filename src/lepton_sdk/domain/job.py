"""Job: what to run, on what, within which limits. A value; it never changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import evolve, field, fields_dict, frozen

from lepton_sdk.domain.checkpoint import check_checkpoint
from lepton_sdk.domain.container import Container, check_image
from lepton_sdk.domain.fields import keys_of, nearest
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.quantity import parse_duration
from lepton_sdk.domain.resources import Resources
from lepton_sdk.domain.retry import Retry
from lepton_sdk.domain.words import is_variable
from lepton_sdk.errors import JobSpecError, UsageError

__all__ = ["Job", "Launcher", "Limits", "Workload"]

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,34}[a-z0-9])?")
# Variables that the platform sets itself: a job that replaced one would mislead its own launcher.
_OURS = re.compile(r"LEPTON_.*")
# Linux refuses an argument or variable longer than 128 KiB (MAX_ARG_STRLEN, execve(2)).
_LONGEST = 128 * 1024 - 1
_MOST_NODES = 10_000
_MOST_FAILURES = 100


class Workload(StrEnum):
    """The kind of work of a job. It guides the router and sets no limit."""

    TRAINING = "training"
    INFERENCE = "inference"
    INTERACTIVE = "interactive"


class Launcher(StrEnum):
    """What starts the command on the nodes of a job: our own start alone, torchrun on each node, or one mpirun."""

    NONE = "none"
    TORCHRUN = "torchrun"
    MPI = "mpi"


def _fail(name: str, message: str, hint: str = "") -> JobSpecError:
    return JobSpecError(f"{name}: {message}", hint=hint or None)


def _money(name: str, value: Any) -> Money | None:
    if value is None:
        return None
    try:
        amount = Money.parse(value)
    except UsageError as error:
        raise _fail(f"limits.{name}", error.message, error.hint or "") from None
    if amount.amount < 0:
        raise _fail(f"limits.{name}", f"{str(amount)!r} is negative", "write an amount above 0")
    return amount


def _hourly(value: Any) -> Money | None:
    return _money("hourly", value)


def _total(value: Any) -> Money | None:
    return _money("total", value)


def _seconds(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except UsageError as error:
        raise _fail(f"limits.{name}", error.message, error.hint or "") from None


def _duration(value: Any) -> int | None:
    return _seconds("duration", value)


def _idle(value: Any) -> int | None:
    return _seconds("idle", value)


def _keep(value: Any) -> int | None:
    return _seconds("keep", value)


@frozen
class Limits:
    """What a run may cost, in money and time. A limit that is not set does not apply.

    Args:
        duration: the longest time that the job may run, ``"6h"`` or seconds; enforced on the node itself.
        hourly: the highest price of all nodes together for one hour; dearer offers are not taken.
        total: the highest cost of the run, with all attempts and the time to boot; what is left of it when the job begins,
            divided by the hourly price, shortens ``duration``.
        idle: the longest time that the job may leave every GPU without work; not enforced if the node cannot tell.
        keep: how long a rented machine with a watchdog is kept after the job has ended if nobody fetches its output; an hour
            by default.
    """

    duration: int | None = field(default=None, converter=_duration)
    hourly: Money | None = field(default=None, converter=_hourly)
    total: Money | None = field(default=None, converter=_total)
    idle: int | None = field(default=None, converter=_idle)
    keep: int | None = field(default=None, converter=_keep)

    @classmethod
    def parse(cls, value: Any) -> Limits:
        """Read Limits from themselves, a mapping or ``None``."""
        if isinstance(value, Limits):
            return value
        return cls(**keys_of(cls, "limits", {} if value is None else value))

    def to_dict(self) -> dict[str, object]:
        """Only the limits that are set, as plain JSON values."""
        values = {name: getattr(self, name) for name in fields_dict(type(self))}
        return {k: str(v) if isinstance(v, Money) else v for k, v in values.items() if v is not None}


def _command(value: Any) -> str:
    if isinstance(value, list | tuple):
        import shlex

        if not all(isinstance(part, str) for part in value):
            raise _fail("command", f"{value!r} holds something else than text")
        value = shlex.join(value)
    if not isinstance(value, str) or not value.strip():
        raise _fail("command", "the command is empty", 'write what to run, for example command: "python train.py"')
    return _script("command", value)


def _script(name: str, value: str) -> str:
    if "\0" in value:
        raise _fail(name, "a null character cannot be part of a command")
    if len(value.encode()) > _LONGEST:
        raise _fail(name, f"longer than {_LONGEST} bytes", "put it into a file of the workdir and call that")
    return value


def _setup(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str):
        raise _fail("setup", f"{value!r} is not text")
    return _script("setup", value)


def _env(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _fail("env", f"{value!r} is not a mapping of names and values")
    env: dict[str, str] = {}
    for name, text in value.items():
        _variable("env", name)
        # A float may give another text than the one that was written (1.10).
        if isinstance(text, bool) or not isinstance(text, str | int):
            raise _fail(f"env.{name}", f"{text!r} is not text", "put the value in quotes")
        env[name] = _script(f"env.{name}", str(text))
    return env


def _variable(where: str, name: object) -> str:
    if not isinstance(name, str) or not is_variable(name):
        raise _fail(where, f"{name!r} cannot name an environment variable", "use letters, digits and underscores")
    if _OURS.fullmatch(name):
        raise _fail(where, f"{name} is set by the platform", "choose a name that does not begin with LEPTON_")
    return name


def _secrets(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        raise _fail("secrets", f"{value!r} is not a list of names")
    if len(set(map(str, names))) != len(names):
        raise _fail("secrets", "one name stands twice")
    return tuple(_variable("secrets", name) for name in names)


def _outputs(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple):
        raise _fail("outputs", f"{value!r} is not a list of patterns")
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern.strip() or "\n" in pattern:
            raise _fail("outputs", f"{pattern!r} is not a pattern", 'write paths as in .gitignore, such as "results/" or "*.pt"')
        if ".." in pattern.split("/"):
            raise _fail("outputs", f"{pattern!r} leaves the run's folder", "write it as seen from the workdir")
    return tuple(patterns)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise _fail(
            "name",
            f"{value!r} cannot name a job",
            "use 1 to 36 lower-case letters, digits and dashes, a letter first and no dash last",
        )
    return value


def _nodes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_NODES:
        raise _fail("nodes", f"{value!r} is not a whole number from 1 to {_MOST_NODES}")
    return value


def _failures(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_FAILURES:
        raise _fail("max_failure_retry", f"{value!r} is not a whole number from 0 to {_MOST_FAILURES}")
    return value


def _workload(value: Any) -> Workload:
    try:
        return Workload(value)
    except ValueError:
        raise _fail("workload", f"{value!r} is not a workload", nearest(str(value), list(Workload))) from None


def _launcher(value: Any) -> Launcher:
    try:
        return Launcher(value)
    except ValueError:
        raise _fail("launcher", f"{value!r} is not a launcher", nearest(str(value), list(Launcher))) from None


def _is_one_program(command: str) -> bool:
    import shlex

    try:
        words = list(shlex.shlex(command, posix=False, punctuation_chars=True))
    except ValueError:
        return False
    return "\n" not in command.strip() and not any(set(word) <= set("();<>|&") for word in words)


def _workdir(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    if not text.strip() or "\0" in text:
        raise _fail("workdir", f"{text!r} is not a folder")
    return text


def _container(value: Any) -> Container:
    return Container.parse(value)


def _resources(value: Any) -> Resources:
    return Resources.parse(value)


def _limits(value: Any) -> Limits:
    return Limits.parse(value)


def _retry(value: Any) -> Retry:
    return Retry.parse(value)


@frozen
class Job:
    """What to run: a command, its files, and what one node needs.

    The same fields and the same checks serve Python, YAML, TOML and plain dicts.

    Args:
        command: one shell command line, or a list of words that are quoted for you.
        name: 1 to 36 lower-case letters, digits and dashes.
        setup: shell lines that run before the command, in the run's own copy of the workdir.
        image: the container image that setup and command run in; without one they run on the node itself.
        container: how the image runs; see `Container`.
        workdir: the folder whose content is copied for the run; without one the run begins in an empty folder.
        resources: what one node needs; ``"H100:8"`` is short for ``Resources(gpu="H100:8")``.
        nodes: how many nodes; all of them are taken or none, and one that fails ends the attempt for all.
        launcher: ``none`` runs the command once on each node; ``torchrun`` and ``mpi`` (Open MPI's mpirun) start it once for
            each GPU of each node.
        max_failure_retry: how often the command is started again on one node after it failed there, while the other nodes go
            on; only without a launcher that binds the nodes together. ``retry`` is for all nodes together.
        env: environment variables of setup and command.
        secrets: names of variables whose values come from the submitting environment and are never stored.
        outputs: which files are copied here before a machine is given back, as patterns of ``.gitignore`` (what they match is
            copied): ``["results/", "*.pt"]``. Fetch them with ``lepton pull``.
        checkpoint: a folder that every node has, or a URI; ``LEPTON_CHECKPOINT`` is the run's own place in it, the same for
            every attempt and node.
        workload: ``training``, ``inference`` or ``interactive``; guides the router.
        limits: what the run may cost.
        retry: after which causes another attempt follows, and how often; none by default.

    Raises:
        JobSpecError: a field is not valid; the message names the field, the value and the fix.

    >>> Job("python train.py", resources="H100:8", limits={"duration": "6h"}).limits.duration
    21600
    """

    command: str = field(converter=_command)
    name: str = field(default="job", converter=_name)
    setup: str | None = field(default=None, converter=_setup)
    image: str | None = field(default=None, converter=check_image)
    container: Container = field(factory=Container, converter=_container)
    workdir: str | None = field(default=None, converter=_workdir)
    resources: Resources = field(factory=Resources, converter=_resources)
    nodes: int = field(default=1, converter=_nodes)
    launcher: Launcher = field(default=Launcher.NONE, converter=_launcher)
    max_failure_retry: int = field(default=0, converter=_failures)
    env: Mapping[str, str] = field(factory=dict, converter=_env, hash=False)
    secrets: tuple[str, ...] = field(default=(), converter=_secrets)
    outputs: tuple[str, ...] = field(default=(), converter=_outputs)
    checkpoint: str | None = field(default=None, converter=check_checkpoint)
    workload: Workload = field(default=Workload.TRAINING, converter=_workload)
    limits: Limits = field(factory=Limits, converter=_limits)
    retry: Retry = field(factory=Retry, converter=_retry)

    def __attrs_post_init__(self) -> None:
        both = sorted(set(self.env) & set(self.secrets))
        if both:
            raise _fail("secrets", f"{both[0]} stands under env as well", "keep it in one of the two")
        if self.launcher is Launcher.TORCHRUN and not _is_one_program(self.command):
            raise _fail(
                "command", "torchrun starts one program, and this is more than one", "put what comes before it under setup"
            )
        if self.max_failure_retry and self.launcher is not Launcher.NONE:
            text = f"launcher {self.launcher} binds the nodes together, so that one of them cannot begin again by itself"
            raise _fail("max_failure_retry", text, "count attempts of all nodes under retry.error")
        if self.image is None and self.container != Container():
            raise _fail("container", "there is no image to run", "name one under image")
        registry = self.container.registry
        if registry is not None and registry.password not in self.secrets:
            raise _fail(
                "container.registry.password", f"{registry.password} is none of the job's secrets", "list it under secrets"
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """A job from the keys of a job file. Unknown keys are refused; the error names the nearest known ones."""
        values = keys_of(cls, "", data)
        if "command" not in values:
            raise _fail("command", "missing", 'write what to run, for example command: "python train.py"')
        return cls(**values)

    def to_dict(self) -> dict[str, object]:
        """The job as plain JSON values, without fields at their defaults; `from_dict` reads it back."""
        data: dict[str, object] = {"command": self.command, "name": self.name}
        for name in ("setup", "image", "workdir", "checkpoint"):
            if getattr(self, name) is not None:
                data[name] = getattr(self, name)
        if container := self.container.to_dict():
            data["container"] = container
        if resources := self.resources.to_dict():
            data["resources"] = resources
        if self.nodes != 1:
            data["nodes"] = self.nodes
        if self.launcher is not Launcher.NONE:
            data["launcher"] = str(self.launcher)
        if self.max_failure_retry:
            data["max_failure_retry"] = self.max_failure_retry
        if self.env:
            data["env"] = dict(self.env)
        if self.secrets:
            data["secrets"] = list(self.secrets)
        if self.outputs:
            data["outputs"] = list(self.outputs)
        data["workload"] = str(self.workload)
        if limits := self.limits.to_dict():
            data["limits"] = limits
        if retry := self.retry.to_dict():
            data["retry"] = retry
        return data

    def with_(self, **changes: Any) -> Job:
        """A copy with some fields replaced, checked like a new job."""
        return evolve(self, **changes)
