"""Isolates commands that run under a double: the user's journal, keys and cache stay as they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["isolated_environment"]

_FOLDER = "LEPTON_SDK_DOUBLE"
_STATE = "state"


@contextmanager
def isolated_environment(environ: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """The variables that point commands under a double to a separate journal, cache and configuration folder.

    A double within a double shares the folders of the outer one. The user's settings are read through a link, so nothing is
    written beside them. The folders stay if they contain a journal: it may be the only record of a machine.

    >>> with isolated_environment({}) as variables:
    ...     sorted(variables)
    ['LEPTON_SDK_CACHE', 'LEPTON_SDK_CONFIG', 'LEPTON_SDK_DOUBLE', 'LEPTON_SDK_STATE']
    """
    variables = os.environ if environ is None else environ
    outer = variables.get(_FOLDER)
    folder = Path(outer or tempfile.mkdtemp(prefix="lepton-double-"))
    settings = folder / "config.toml"
    if not settings.exists():
        # An outer double that has ended may have removed the folders.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _link(settings, variables)
    try:
        yield {
            _FOLDER: str(folder),
            "LEPTON_SDK_STATE": str(folder / _STATE),
            "LEPTON_SDK_CACHE": str(folder / "cache"),
            "LEPTON_SDK_CONFIG": str(settings),
        }
    finally:
        if not outer and not (folder / _STATE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _link(settings: Path, variables: Mapping[str, str]) -> None:
    from lepton_sdk._config import load_config

    theirs = load_config(environ=variables).path
    if theirs.is_file():
        settings.symlink_to(theirs)
    else:
        settings.touch(mode=0o600)
