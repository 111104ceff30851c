"""What a plugin declares before any of its code is needed: records without behaviour, nothing heavier than attrs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from attrs import field, frozen

from lepton_sdk.errors import PluginBroken

__all__ = [
    "CommandSpec",
    "ConfigField",
    "ExecutorSpec",
    "ObserverSpec",
    "PluginSpec",
    "PowerOff",
    "ProviderSpec",
    "Timings",
    "WatchdogWay",
]

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _name(value: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise PluginBroken(f"{value!r} cannot name a plugin", hint="use 1 to 32 lower-case letters, digits and dashes")
    return value


def _target(value: str) -> str:
    if not isinstance(value, str) or not _TARGET.fullmatch(value):
        raise PluginBroken(f"{value!r} is not an import string", hint='write "package.module:callable"')
    return value


def _optional_target(value: str) -> str:
    return _target(value) if value else ""


def _words(values: Iterable[str]) -> frozenset[str]:
    if isinstance(values, str):
        raise PluginBroken(f"capabilities is {values!r}, a text", hint=f'write a set: {{"{values}"}}')
    return frozenset(values)


@frozen
class ConfigField:
    """One key of a provider's section in the configuration.

    Core builds the typed section, the error text, the docs table and the redaction from this one list.

    Args:
        name: the key in ``[providers.NAME]``.
        type: ``"str"``, ``"int"``, ``"float"``, ``"bool"``, ``"list"``, or ``"tables"``: a list of tables,
            ``[[providers.NAME.KEY]]``, whose keys the provider itself checks.
        required: without it the plugin is *unconfigured*.
        secret: the value is shown as dots everywhere; the factory gets it as a `Secret`.
        env: the vendor's own variable, read when the file says nothing.
        help: one sentence for the docs and for error messages.
    """

    name: str
    type: str = "str"
    required: bool = False
    secret: bool = False
    env: str | None = None
    help: str = ""
    default: object = field(default=None, hash=False)


class PowerOff(StrEnum):
    """What happens to the bill when a machine powers itself off."""

    ENDS = "ends"
    KEEPS = "keeps"
    RESTARTS = "restarts"
    UNKNOWN = "unknown"


class WatchdogWay(StrEnum):
    """How a machine that ``acquire`` created gets its watchdog, which powers it off when nobody releases it.

    ``startup``: ``acquire`` hands ``launch.startup_script`` to the vendor, who runs it as the superuser at boot. ``login``:
    core installs it over SSH, as the superuser or by ``sudo`` without a password. ``none``: never, as on a machine that
    existed before and in a pod.
    """

    NONE = "none"
    STARTUP = "startup"
    LOGIN = "login"


@frozen
class Timings:
    """The vendor's delays and time limits that safety depends on; all in seconds.

    Attributes:
        listing_lag: how long a new machine may be missing from listings.
        create_horizon: how long a create call whose answer was lost may still take effect.
        boot: from acquire to a reachable node, at most.
        boot_by_type: the same for instance types that need longer.
        billing_increment: the bill is rounded up to this.
        poll: the shortest useful time between two polls of the same thing.
        idempotency: how long the vendor keeps the token of a create call as an idempotency key, so that the same call creates
            nothing twice; 0 where it does not. `acquire` must pass the token to the vendor as that key.
    """

    listing_lag: float = 60
    create_horizon: float = 600
    boot: float = 900
    boot_by_type: Mapping[str, float] = field(factory=dict, hash=False)
    billing_increment: float = 60
    poll: float = 5
    idempotency: float = 0


@frozen
class ProviderSpec:
    """What a provider plugin declares. The entry point names this record; listing plugins imports nothing else.

    Args:
        name: must equal the entry point's name.
        title: for people.
        homepage: the vendor's or the plugin's page.
        factory: ``"package.module:callable"``; called with a `ProviderContext` on first use, returns a `Provider`.
        capabilities: flags of `lepton_sdk.spi.capabilities`: an ability of the object's methods, or a fact. Unknown ones are
            ignored.
        access: the kinds of access of its nodes, such as ``{"ssh"}``. If no executor for one of them is installed, or several
            are, the provider is not used for new work. Empty if it cannot say.
        config: the keys of its section.
        stored: import string of a light function that reads what the vendor's own tool has stored on this host:
            ``stored(home)`` returns the file and key → text. It fills keys that nothing else sets. It fills secrets only
            together, when none of them is set elsewhere, because two halves of different keys are no key.
        power_off: what power-off does to the bill.
        watchdog: how its machines get a watchdog.
        timings: see `Timings`.
        name_pattern: what the vendor accepts as a name, a regular expression.
        rates: seconds between two calls of a bucket, shared by all processes of this host that use one key. The bucket
            ``""`` holds for every call; a named one (``{"": 1.0, "launch": 12.0}``) holds in addition.

    >>> ProviderSpec("acme", title="Acme Cloud", factory="lepton_acme.provider:create").capabilities
    frozenset()
    """

    name: str = field(converter=_name)
    title: str = field(kw_only=True)
    factory: str = field(kw_only=True, converter=_target)
    homepage: str = field(default="", kw_only=True)
    capabilities: frozenset[str] = field(default=frozenset(), converter=_words, kw_only=True)
    access: frozenset[str] = field(default=frozenset(), converter=_words, kw_only=True)
    config: tuple[ConfigField, ...] = field(default=(), kw_only=True)
    stored: str = field(default="", kw_only=True, converter=_optional_target)
    power_off: PowerOff = field(default=PowerOff.UNKNOWN, converter=PowerOff, kw_only=True)
    watchdog: WatchdogWay = field(default=WatchdogWay.NONE, converter=WatchdogWay, kw_only=True)
    timings: Timings = field(factory=Timings, kw_only=True)
    name_pattern: str = field(default=r"[a-z][a-z0-9-]{0,62}", kw_only=True)
    rates: Mapping[str, float] = field(factory=dict, kw_only=True, hash=False)

    @property
    def launch_gap(self) -> float:
        """Seconds between two create calls; 0 where one call creates several machines."""
        if "multi_node" in self.capabilities:
            return 0.0
        return float(max(self.rates.get("launch", 0.0), self.rates.get("", 0.0)))

    @property
    def submits_job(self) -> bool:
        """Whether its ``acquire`` submits the job itself, so that the launch carries it."""
        return bool({"submits_job", "starts_alone"} & self.capabilities)

    @property
    def starts_alone(self) -> bool:
        """Whether a submitted job may begin before ``start``: a late submit then executes."""
        return "starts_alone" in self.capabilities

    @property
    def releases_groups(self) -> bool:
        """Whether the nodes of an attempt are released together."""
        return "release_group" in self.capabilities

    @property
    def watched(self) -> bool:
        """Whether its machines get a watchdog. None where power-off would only hide what happened there."""
        return self.watchdog is not WatchdogWay.NONE and self.power_off in (PowerOff.ENDS, PowerOff.UNKNOWN)


@frozen
class ExecutorSpec:
    """What an executor plugin declares: its kind of Access, and its factory.

    Args:
        capabilities: flags of `lepton_sdk.spi.capabilities`, for the abilities of its methods; unknown ones are ignored.
    """

    name: str = field(converter=_name)
    access: str = field(kw_only=True)
    factory: str = field(kw_only=True, converter=_target)
    title: str = field(default="", kw_only=True)
    capabilities: frozenset[str] = field(default=frozenset(), converter=_words, kw_only=True)


@frozen
class CommandSpec:
    """A command that a plugin adds to ``lepton``: its name and help are listed without an import.

    Args:
        name: the word after ``lepton``.
        help: one line.
        factory: ``"package.module:callable"``; returns a click command. Called without arguments, or with a
            `ProviderContext` of ``provider``.
        provider: the name of the provider whose section, folders and shell the command uses; ``""`` for none. The command
            closes its shell.
    """

    name: str = field(converter=_name)
    help: str = field(kw_only=True)
    factory: str = field(kw_only=True, converter=_target)
    provider: str = field(default="", kw_only=True)


@frozen
class ObserverSpec:
    """An object with pluggy hooks (`lepton_sdk.spi.hookspecs`), made by calling its factory without arguments."""

    name: str = field(converter=_name)
    factory: str = field(kw_only=True, converter=_target)
    title: str = field(default="", kw_only=True)


PluginSpec = ProviderSpec | ExecutorSpec | ObserverSpec | CommandSpec
