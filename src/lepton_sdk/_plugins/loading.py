"""Loads objects of plugins: whatever their code raises becomes one `PluginBroken`."""

from __future__ import annotations

from lepton_sdk.errors import PluginBroken
from lepton_sdk.spi.secret import redacted

__all__ = ["load_object", "said"]


def said(error: BaseException) -> str:
    """An exception as one line: ``ImportError: no module named acme``."""
    text = redacted(" ".join(str(error).split()))
    if isinstance(error, SystemExit):
        return f"it exited (SystemExit: {text or 0})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def load_object(target: str) -> object:
    """The object that ``"package.module:attribute"`` names.

    Raises:
        PluginBroken: importing it raised or exited, or the module has no such attribute. Ctrl-C passes.
    """
    from importlib import import_module

    module, _, path = target.partition(":")
    try:
        found: object = import_module(module)
        for part in filter(None, path.split(".")):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise PluginBroken(f"importing {target} failed: {said(error)}") from error
    return found
