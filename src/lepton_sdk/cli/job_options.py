"""Options that describe a job: from flags, a file, or a file that flags override, to one `Job`, with the same checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lepton_sdk._jobfile import load_job
from lepton_sdk.domain.job import Job
from lepton_sdk.errors import JobSpecError

__all__ = ["JobCommand", "job_from", "job_options", "resource_options", "resources_from"]

_RESOURCES = (
    "gpu",
    "gpu_memory",
    "cpus",
    "memory_gib",
    "disk_gib",
    "interconnect",
    "regions",
    "providers",
    "spot",
    "allow_flagged",
)
_LIMITS = ("duration", "hourly", "total", "idle", "keep")
_OPTIONS = (
    click.option("--name", help="Name of the job: lower-case letters, digits and dashes."),
    click.option("--workdir", help="Folder to copy for the run; the current one for a command given after --."),
    click.option("--no-workdir", is_flag=True, help="Start in an empty folder."),
    click.option("--nodes", type=click.IntRange(1), metavar="N", help="Number of machines, all or none."),
    click.option("--launcher", metavar="NAME", help="none (one start on each node), torchrun or mpi (one for each GPU)."),
    click.option("--image", help="Container image for setup and command; its other settings go into a job file."),
    click.option("--setup", help="Shell lines to run before the command."),
    click.option("--env", multiple=True, metavar="NAME=VALUE", help="Environment variable; NAME alone passes on your own."),
    click.option("--secret", "secrets", multiple=True, metavar="NAME", help="Variable to pass on without a trace."),
    click.option("--output", "outputs", multiple=True, metavar="PATTERN", help="Files to keep for lepton pull (results/, *.pt)."),
    click.option("--workload", metavar="KIND", help="training, inference or interactive."),
    click.option("--duration", metavar="TIME", help="Longest time that the job may run (6h, 90m)."),
    click.option("--hourly", metavar="PRICE", help="Highest price for one hour."),
    click.option("--total", metavar="PRICE", help="Highest cost of the run."),
    click.option("--idle", metavar="TIME", help="Longest time that the job may leave its GPUs idle (30m)."),
    click.option("--keep", metavar="TIME", help="How long a machine waits for its outputs to be fetched (1h)."),
    click.option(
        "--wait", metavar="TIME", is_flag=False, flag_value="30d", help="Wait for an offer that fits, at most this long (6h)."
    ),
    click.option("--retries", type=click.IntRange(0), metavar="N", help="Further attempts after a lost machine."),
)
_RESOURCE_OPTIONS = (
    click.option("--gpu", multiple=True, metavar="GPU:N", help="GPUs of a node (H100:8); repeat for alternatives."),
    click.option("--gpu-memory", metavar="GB", help="Nominal GB of one GPU: 80, 80+, 40-80."),
    click.option("--cpus", metavar="N", help="Minimum number of CPUs."),
    click.option("--memory", "memory_gib", metavar="GIB", help="Minimum memory."),
    click.option("--disk", "disk_gib", metavar="GIB", help="Minimum disk space."),
    click.option("--interconnect", metavar="NAME", help="For example InfiniBand."),
    click.option("--region", "regions", multiple=True, help="Only this region; repeat for more."),
    click.option("--provider", "providers", multiple=True, help="Only this provider; repeat for more."),
    click.option("--allow-flagged", is_flag=True, help="Allow offers whose price is in doubt."),
    click.option("--spot", type=click.Choice(["yes", "no", "any"]), help="Spot machines: only, never, or either."),
)


def _apply(options: tuple[Any, ...]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


resource_options = _apply(_RESOURCE_OPTIONS)
job_options = _apply(_RESOURCE_OPTIONS + _OPTIONS)


class JobCommand(click.Command):
    """A command whose words after ``--`` are the job's own command line."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["words"], args = args[at + 1 :], args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def resources_from(flags: dict[str, Any]) -> dict[str, Any]:
    """The keys of ``resources`` that the flags give."""
    given = {name: flags[name] for name in _RESOURCES if flags.get(name)}
    if "spot" in given:
        given["spot"] = {"yes": True, "no": False, "any": "any"}[given["spot"]]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def job_from(file: str | None, flags: dict[str, Any]) -> Job:
    """The job that a command line describes."""
    words: list[str] | None = click.get_current_context().meta.get("words")
    if file is None and words is None:
        raise JobSpecError("there is nothing to run", hint="give a job file, or a command after --")
    data: dict[str, Any] = dict(load_job(file).to_dict()) if file else {}
    if words is not None:
        data["command"] = words
        if not file and not flags.get("workdir") and not flags.get("no_workdir"):
            data["workdir"] = _here()
    for name in ("name", "image", "setup", "workload", "nodes", "launcher"):
        if flags.get(name):
            data[name] = flags[name]
    if flags.get("workdir"):
        data["workdir"] = str(Path(flags["workdir"]).absolute())
    if flags.get("no_workdir"):
        data.pop("workdir", None)
    data["resources"] = {**data.get("resources", {}), **resources_from(flags)}
    data["retry"] = _retry(data.get("retry", {}), flags)
    data["limits"] = {**data.get("limits", {}), **{n: flags[n] for n in _LIMITS if flags.get(n)}}
    data["env"] = {**data.get("env", {}), **dict(map(_variable, flags["env"]))}
    data["outputs"] = [*data.get("outputs", []), *flags["outputs"]]
    data["secrets"] = [*data.get("secrets", []), *flags["secrets"]]
    return Job.from_dict(data)


def _retry(rules: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    if flags.get("wait"):
        rules = {**rules, "no_capacity": {**rules.get("no_capacity", {}), "duration": flags["wait"]}}
    if flags.get("retries") is not None:
        rules = {**rules, "interruption": {**rules.get("interruption", {}), "count": flags["retries"]}}
    return rules


def _here() -> str:
    """The current folder, unless copying it would be a mistake."""
    here = Path.cwd()
    if here in (Path.home(), Path(here.anchor)):
        raise JobSpecError(
            f"workdir: {here} would be copied whole for the run",
            hint="change into the project's folder, name one with --workdir, or start in an empty one with --no-workdir",
        )
    return str(here)


def _variable(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if given:
        return name, value
    if name not in os.environ:
        raise JobSpecError(f"env: {name} is not set here", hint=f"write --env {name}=VALUE")
    return name, os.environ[name]
