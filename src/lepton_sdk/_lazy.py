"""Lazy names of a package: one list for type checkers and for Python.

The list is a module ``_names`` beside the package's ``__init__``: plain lines ``from module import Name as Name``. A type
checker imports it. Python never does: this module reads its import lines without running them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec

__all__ = ["Door"]


class Door:
    """The names of one package, each loaded from its module on first use.

    Args:
        package: the package's ``__name__``.
        modules: submodules that are names of the package as well.
        made: names whose values come from a function.
    """

    def __init__(self, package: str, modules: Iterable[str] = (), made: dict[str, Callable[[], object]] | None = None) -> None:
        self._package = package
        self._modules = frozenset(modules)
        self._made = made or {}
        self.homes = _homes(package)
        # Constants, classes, the rest: as ruff sorts ``__all__``.
        self.names = sorted(
            {*self.homes, *self._modules, *self._made}, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
        )

    def load(self, name: str) -> object:
        """The value of a name; the package's ``__getattr__``."""
        import sys

        if name in self.homes:
            value: object = getattr(import_module(self.homes[name]), name)
        elif name in self._modules:
            value = import_module(f"{self._package}.{name}")
        elif name in self._made:
            value = self._made[name]()
        else:
            raise AttributeError(f"module {self._package!r} has no attribute {name!r}")
        setattr(sys.modules[self._package], name, value)
        return value

    def listed(self) -> list[str]:
        """All names; the package's ``__dir__``."""
        return self.names


def _homes(package: str) -> dict[str, str]:
    """Name → module, for every import of the package's ``_names``."""
    homes: dict[str, str] = {}

    def note(module: str, _globals: object, _locals: object, names: tuple[str, ...] | None, _level: int) -> _Anything:
        homes.update(dict.fromkeys(names or (), module))
        return _Anything()

    spec = find_spec(f"{package}._names")
    assert spec is not None
    code = spec.loader.get_code(spec.name)  # type: ignore[union-attr] # every loader of files and of archives has it
    exec(code, {"__builtins__": {"__import__": note}})  # noqa: S102 - our own list, and nothing of it is imported
    return homes


class _Anything:
    """A stand-in for a module: it has every name."""

    def __getattr__(self, name: str) -> object:
        return name
