"""Config: what the user set, from all sources, before any plugin is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.keeping import Keeping
from lepton_sdk.spi.secret import Secret

__all__ = ["Config"]


@frozen
class Config:
    """The settings of one process. Sections of providers are raw here: only their plugins know what is secret in them.

    Attributes:
        path: the config file, whether it exists or not.
        state_dir: where the files of runs live, and the journal unless it is in a database.
        database: the address of a PostgreSQL database that holds the journal; it may hold a password. ``None`` for a file.
        cache_dir: what can be made again.
        providers: the tables under ``[providers]`` as the file has them.
        prefer: plugin name → the distribution that it shall come from.
        disabled: plugin names that are switched off.
        allowed: plugin or distribution names that alone may load; ``None`` for all, empty for none.
        strict: a faulty plugin is an error, not a warning.
        caps: what all machines and runs of this journal together may cost.
        keeping: what may be spent on log and outputs before a machine is given back.
        exposed: the file can be read by other users of this host.
        environ: the variables that were read.
        origins: setting → ``"argument"``, ``"env NAME"``, ``"file PATH"`` or ``"default"``.
    """

    path: Path
    state_dir: Path
    cache_dir: Path
    database: Secret | None = None
    providers: Mapping[str, Mapping[str, object]] = field(factory=dict, repr=False)
    prefer: Mapping[str, str] = field(factory=dict)
    disabled: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None
    strict: bool = False
    caps: Caps = field(factory=Caps)
    keeping: Keeping = field(factory=Keeping)
    exposed: bool = False
    environ: Mapping[str, str] = field(factory=dict, repr=False)
    origins: Mapping[str, str] = field(factory=dict)
