"""Calls observers safely: one that raises is switched off for the rest of the process and never breaks a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from lepton_sdk._plugins.loading import said
from lepton_sdk.errors import PluginBroken

if TYPE_CHECKING:
    import pluggy

__all__ = ["new_manager", "register"]

_MARK = "lepton_sdk_impl"


def new_manager() -> pluggy.PluginManager:
    """A pluggy manager that knows our hooks."""
    from pluggy import PluginManager

    from lepton_sdk.spi import hookspecs

    manager = PluginManager("lepton_sdk")
    manager.add_hookspecs(hookspecs)
    return manager


def register(manager: pluggy.PluginManager, name: str, observer: object, shut_out: Callable[[str], None]) -> None:
    """Add an observer's hooks, each wrapped so that its errors do not spread.

    Args:
        shut_out: called once with the first error of a hook; none of the observer's hooks is called again.

    Raises:
        PluginBroken: it has none of our hooks, or one that pluggy refuses.
    """
    known = vars(manager.hook)
    guarded: dict[str, Any] = {}
    fallen: list[str] = []
    for attribute in dir(observer):
        method = getattr(observer, attribute, None)
        options = getattr(method, _MARK, None)
        if options is None or not callable(method):
            continue
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginBroken(f"{attribute} wraps the hooks of others", hint="write a plain @hookimpl")
        if (options.get("specname") or attribute) not in known:
            raise PluginBroken(f"{attribute} is no hook of lepton_sdk", hint=f"there are {', '.join(sorted(known))}")
        guarded[attribute] = _guard(method, options, fallen, shut_out)
    if not guarded:
        raise PluginBroken("it has no hook", hint="mark its methods with @lepton_sdk.spi.hookspecs.hookimpl")
    try:
        manager.register(type(name, (), {key: staticmethod(value) for key, value in guarded.items()}), name=name)
    except Exception as error:
        raise PluginBroken(f"pluggy refuses it: {said(error)}") from error


def _guard(
    method: Callable[..., object], options: object, fallen: list[str], shut_out: Callable[[str], None]
) -> Callable[..., object]:
    @wraps(method)
    def call(*args: object) -> object:
        if fallen:
            return None
        try:
            return method(*args)
        except (Exception, SystemExit) as error:
            fallen.append(said(error))
            shut_out(f"{getattr(method, '__name__', 'a hook')} raised {fallen[0]}")
            return None

    setattr(call, _MARK, options)
    return call
