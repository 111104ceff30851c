"""Reads job files: turns YAML and TOML into the mapping that `Job.from_dict` checks; every error has file and line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lepton_sdk.domain.job import Job
from lepton_sdk.errors import JobSpecError, LeptonError

__all__ = ["load_job"]

_LARGEST = 1024 * 1024


def load_job(path: str | os.PathLike[str]) -> Job:
    """A job from a YAML or TOML file; a relative ``workdir`` in it starts at the file's folder.

    Args:
        path: a file ending in ``.yaml``, ``.yml`` or ``.toml``, UTF-8, 1 MiB at most.

    Raises:
        JobSpecError: the file or a field in it is wrong; the message names the file and the line or field.
    """
    file = Path(path)
    text = _read(file)
    lines: dict[str, int] = {}
    if file.suffix == ".toml":
        data = _toml(text, file)
    elif file.suffix in {".yaml", ".yml"}:
        from lepton_sdk._jobfile.yaml import parse_yaml

        data, lines = parse_yaml(text, str(file))
    else:
        raise JobSpecError(f"{file}: the ending does not say what it is", hint="name it .yaml, .yml or .toml")
    if not isinstance(data, dict):
        raise JobSpecError(f"{file}: a job file is a mapping of keys and values", hint='begin with command: "…"')
    if isinstance(data.get("workdir"), str):
        data["workdir"] = str(file.parent.absolute() / data["workdir"])
    try:
        return Job.from_dict(data)
    except LeptonError as error:
        raise type(error)(f"{_place(file, lines, error.message)}: {error.message}", hint=error.hint) from None


def _place(file: Path, lines: dict[str, int], message: str) -> str:
    """The file, and the line of the field at the beginning of the message."""
    name = message.partition(":")[0].strip()
    while name and name not in lines:
        name = name.rpartition(".")[0]
    return f"{file}, line {lines[name]}" if name else str(file)


def _read(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > _LARGEST:
            raise JobSpecError(
                f"{file}: {size} bytes are too many for a job file (at most {_LARGEST})",
                hint="put data into the workdir and keep the job file to what describes the job",
            )
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise JobSpecError(f"{file}: byte {error.start} is not UTF-8", hint="save the file as UTF-8") from None
    except OSError as error:
        raise JobSpecError(f"{file}: cannot be read: {error.strerror}", hint="check the path, or give the job as flags") from None


def _toml(text: str, file: Path) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobSpecError(f"{file}: {error}", hint="mend the TOML at that place") from None
