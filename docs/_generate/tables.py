"""Tables that are the code's own: job keys, GPUs, errors, and the journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from api import default_text
from attrs import fields
from docstrings import arguments, summary

from lepton_sdk import errors
from lepton_sdk._journal.stores.sqlite_schema import MIGRATIONS, VERSION
from lepton_sdk.domain._gpu_table import table
from lepton_sdk.domain.container import Container, Registry
from lepton_sdk.domain.events import AnyEvent
from lepton_sdk.domain.job import Job, Limits
from lepton_sdk.domain.resources import Resources
from lepton_sdk.domain.retry import Retry, Rule
from lepton_sdk.domain.stage import STAGES, Stage
from lepton_sdk.spi.capabilities import EXECUTOR_CAPABILITIES, PROVIDER_CAPABILITIES, PROVIDER_FACTS, methods_of

__all__ = ["error_table", "event_table", "flag_table", "gpu_table", "job_table", "schema_text", "stage_table"]

_JOB = {cls.__name__: cls for cls in (Job, Container, Registry, Resources, Limits, Retry, Rule)}


def job_table(name: str) -> str:
    """The keys of one part of a job file, from the attrs class that reads it."""
    cls = _JOB[name]
    words = arguments(cls.__doc__)
    rows = [f"| `{item.name}` | {default_text(item.default).lower()} | {words[item.name]} |" for item in fields(cls)]
    rows = ["| key | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(rows)


def flag_table() -> str:
    """Every capability flag, with the methods that it stands for or the fact that it states."""
    rows = ["| of | flag | methods | meaning |", "|---|---|---|---|"]
    for owner, abilities in (("provider", PROVIDER_CAPABILITIES), ("executor", EXECUTOR_CAPABILITIES)):
        for flag, protocol in sorted(abilities.items()):
            names = ", ".join(f"`{name}`" for name in methods_of(protocol))
            meaning = summary(protocol.__doc__).partition(": ")[2]
            rows.append(f"| {owner} | `{flag}` | {names} | {meaning} |")
    rows += [f"| provider | `{flag}` | | {meaning} |" for flag, meaning in sorted(PROVIDER_FACTS.items())]
    return "\n".join(rows)


def gpu_table() -> str:
    """Every known model with the shapes that it is sold in."""
    rows = ["| model | form factor | nominal GB | architecture |", "|---|---|---|---|"]
    for model, shapes in table().shapes.items():
        for architecture, form, memory, _ in shapes:
            rows.append(f"| `{model}` | {form} | {memory} | {architecture} |")
    return "\n".join(rows)


def error_table() -> str:
    """The tree, each class with what the engine does next, what it blocks, and the command's exit code."""
    rows = ["| error | what happened | disposition | blocks | exit code |", "|---|---|---|---|---|"]
    for depth, cls in _tree(errors.LeptonError, 0):
        name = "&emsp;" * depth + f"`{cls.__name__}`"
        rows.append(f"| {name} | {summary(cls.__doc__)} | {cls.disposition} | {cls.scope} | {cls.exit_code} |")
    return "\n".join(rows)


def _tree(cls: type[errors.LeptonError], depth: int) -> Iterator[tuple[int, type[errors.LeptonError]]]:
    yield depth, cls
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def schema_text() -> str:
    """The tables as they are made."""
    steps = "\n".join(step.strip() for step in MIGRATIONS)
    return f"This is version {VERSION}.\n\n```sql\n{steps}\n```"


def stage_table() -> str:
    """Every legal step of a node."""
    rows = ["| from | to |", "|---|---|"]
    for stage in (None, *Stage):
        after = ", ".join(f"`{step}`" for step in Stage if step in STAGES[stage])
        rows.append(f"| {f'`{stage}`' if stage else '(nothing)'} | {after or '(the end)'} |")
    return "\n".join(rows)


def event_table() -> str:
    """Each kind of entry, with the class that reads it and what it means."""
    rows = ["| kind | class | what happened |", "|---|---|---|"]
    rows += [f"| `{cls.kind}` | `{cls.__name__}` | {summary(cls.__doc__)} |" for cls in get_args(AnyEvent)]
    return "\n".join(rows)
