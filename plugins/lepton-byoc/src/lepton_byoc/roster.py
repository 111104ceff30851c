"""The list of the fleet's hosts: from the configuration, and from a file beside it that ``lepton byoc`` writes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, fields_dict, frozen

from lepton_sdk.spi import ConfigError, ProviderContext, SSHAccess, UsageError

__all__ = ["FleetHost", "Roster", "parse_target"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TARGET = re.compile(
    r"(?:(?P<user>\w[\w.-]*)@)?(?P<address>\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[A-Za-z0-9][\w.-]*)(?::(?P<port>\d{1,5}))?"
)
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@frozen
class FleetHost:
    """One host of the user's own.

    Attributes:
        name: its name here; also its address if none is given.
        address: a host name, an address, or a ``Host`` of the user's SSH settings.
        user, port, identity, proxy_jump: as in SSH; empty leaves the choice to the user's SSH settings.
        private_address: its address for the other hosts of a job; empty for the address that SSH connects to.
        host_keys: its allowed public keys; without any, known_hosts decides.
        group: its name under ``regions`` of a job.
        labels: for ``lepton byoc list --label``.
        price_per_hour: the price of an hour of the whole host, in US dollars.
        gpus: how many GPUs it must have to be healthy; 0 if not specified.
        quiet_hours: ``"22:00-06:30"``, UTC: no new work then; running jobs continue.
    """

    name: str
    address: str = ""
    user: str = ""
    port: int = 0
    identity: str = ""
    proxy_jump: str = ""
    private_address: str = ""
    host_keys: tuple[str, ...] = field(default=(), converter=tuple)
    group: str = "fleet"
    labels: tuple[str, ...] = field(default=(), converter=tuple)
    price_per_hour: float = 0.0
    gpus: int = 0
    quiet_hours: tuple[str, ...] = field(default=(), converter=tuple)

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str) -> FleetHost:
        """Read one table.

        Raises:
            ConfigError: an unknown key, or a value of the wrong type or out of range; the message begins with ``where``.
        """
        kinds: dict[str, tuple[type, ...]] = {"port": (int,), "gpus": (int,), "price_per_hour": (int, float)}
        kinds |= dict.fromkeys(("host_keys", "labels", "quiet_hours"), (list, tuple))
        for key, value in table.items():
            if key not in fields_dict(cls):
                raise ConfigError(f"{where}.{key}: unknown key", hint=f"known are {', '.join(fields_dict(cls))}")
            if not isinstance(value, kinds.get(key, (str,))) or isinstance(value, bool):
                raise ConfigError(f"{where}.{key}: {value!r} is {type(value).__name__}", hint="see the provider's page")
        if not _NAME.fullmatch(str(table.get("name", ""))):
            raise ConfigError(f"{where}.name: {table.get('name')!r} cannot name a host", hint="use letters, digits, dots, dashes")
        return cls(**table)._checked(where)

    def _checked(self, where: str) -> FleetHost:
        if self.price_per_hour < 0:
            raise ConfigError(f"{where}.price_per_hour: {self.price_per_hour!r} is negative", hint="write 0 or more")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"{where}.port: {self.port!r} is no port", hint="leave it out for 22")
        if bad := [text for text in self.quiet_hours if not _HOURS.fullmatch(str(text))]:
            raise ConfigError(f"{where}.quiet_hours: {bad[0]!r} is no span of hours", hint='write "22:00-06:30", in UTC')
        if not _NAME.fullmatch(self.group):
            raise ConfigError(f"{where}.group: {self.group!r} cannot name a group", hint="use letters, digits, dots, dashes")
        return evolve(self, price_per_hour=float(self.price_per_hour))

    @property
    def access(self) -> SSHAccess:
        """Its SSH access."""
        identity = os.path.expanduser(self.identity) or None  # noqa: PTH111 - text in a record, not a path of ours
        return SSHAccess(
            self.address or self.name,
            user=self.user,
            port=self.port,
            host_keys=self.host_keys,
            proxy_jump=self.proxy_jump or None,
            identity=identity,
            private_address=self.private_address,
            own=True,
        )

    def is_quiet(self, now: datetime) -> bool:
        """Whether no new work may come at this time (UTC)."""
        return self._span_end(now) is not None

    def quiet_until(self, now: datetime) -> datetime | None:
        """When the current quiet hours end (UTC); adjacent spans count as one; ``None`` if they never end."""
        end = now
        while (later := self._span_end(end)) is not None:
            if later - now >= timedelta(days=1):
                return None
            end = later
        return end

    def _span_end(self, now: datetime) -> datetime | None:
        """The end of a span that contains ``now``."""
        minute = now.hour * 60 + now.minute
        for text in self.quiet_hours:
            one, two, three, four = map(int, re.split("[:-]", text))
            begin, end = one * 60 + two, three * 60 + four
            if begin <= minute < end or (begin > end and not end <= minute < begin):
                left = (end - minute) % (24 * 60)
                return now.replace(second=0, microsecond=0) + timedelta(minutes=left)
        return None

    def to_table(self) -> dict[str, object]:
        """The values that differ from the defaults, as a file has them."""
        plain = FleetHost(self.name)
        values = asdict(self)
        return {key: value for key, value in values.items() if key == "name" or value != getattr(plain, key)}


def parse_target(text: str) -> FleetHost:
    """A host from ``[user@]address[:port]``; its name is the address.

    Raises:
        UsageError: the text is not an address.
    """
    match = _TARGET.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no host", hint="write [USER@]ADDRESS[:PORT], IPv6 in brackets ([fe80::1%eth0])")
    address = match["address"].strip("[]")
    name = re.sub(r"[^A-Za-z0-9._-]", "-", address).lstrip("-._")[:63]
    table = {"name": name, "user": match["user"] or "", "port": int(match["port"] or 0)}
    return FleetHost.parse(table | ({"address": address} if address != name else {}), text)


class Roster:
    """All hosts: those of ``[[providers.byoc.hosts]]``, then those that ``lepton byoc add`` wrote."""

    def __init__(self, context: ProviderContext) -> None:
        self.path = context.config_dir / "byoc.toml"
        self.settings = Path(os.environ.get("LEPTON_SDK_CONFIG") or context.config_dir / "config.toml")
        given = context.config.get("hosts") or []
        assert isinstance(given, Sequence)
        self._given = [FleetHost.parse(table, f"providers.{context.name}.hosts") for table in given]

    def hosts(self) -> list[FleetHost]:
        """Every host.

        Raises:
            ConfigError: the file is wrong, or two hosts have one name.
        """
        hosts = [*self._given, *self.added()]
        names = [host.name for host in hosts]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"the host {twice[0]} is listed twice", hint=f"give one of them another name, see {self.path}")
        return hosts

    def host(self, name: str) -> FleetHost:
        """The host of this name.

        Raises:
            UsageError: there is none.
        """
        hosts = {host.name: host for host in self.hosts()}
        if name not in hosts:
            raise UsageError(f"no host of the fleet is called {name!r}", hint=f"there are {', '.join(hosts) or 'none'}")
        return hosts[name]

    def added(self) -> list[FleetHost]:
        """The hosts of the file."""
        import tomllib

        try:
            tables = tomllib.loads(self.path.read_text()).get("hosts", [])
            return [FleetHost.parse(table, f"{self.path}: hosts") for table in tables]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self.path} cannot be used: {error}", hint="mend it or delete it") from error

    def stanza(self, name: str) -> str:
        """The configuration's lines about a host, with their numbers; empty if they cannot be identified."""
        try:
            lines = self.settings.read_text().splitlines()
        except (OSError, ValueError):
            return ""
        heads = [number for number, line in enumerate(lines) if line.lstrip().startswith("[")] + [len(lines)]
        for begin, end in pairwise(heads):
            if _names_host("\n".join(lines[begin:end]), name):
                while not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#"):
                    # Comments before the next table belong to that table.
                    end -= 1
                return "\n".join(f"  {number + 1}: {lines[number]}" for number in range(begin, end))
        return ""

    def write(self, hosts: Sequence[FleetHost]) -> None:
        """Replace all hosts in the file, readable for its owner only.

        Raises:
            UsageError: the folder cannot be written.
        """
        lines = ["# Kept by `lepton byoc add` and `remove`; hosts of your own writing belong into config.toml."]
        for host in hosts:
            lines += ["", "[[hosts]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in _plain(host))]
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}", hint="make its folder writable") from error


def _names_host(text: str, name: str) -> bool:
    """Whether a part of the configuration is the table of a host of this name."""
    import tomllib

    try:
        hosts = tomllib.loads(text)["providers"]["byoc"]["hosts"]
        return [host["name"] for host in hosts] == [name]
    except (ValueError, KeyError, TypeError):
        return False


def _plain(host: FleetHost) -> list[tuple[str, object]]:
    return [(key, list(value) if isinstance(value, tuple) else value) for key, value in host.to_table().items()]
