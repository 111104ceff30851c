"""The Python API, read from the modules as they are imported: signatures, docstrings, values."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from types import ModuleType
from typing import Any, get_origin

from attrs import NOTHING, Factory, fields, has
from docstrings import arguments, markdown

__all__ = ["default_text", "module_page"]


def module_page(name: str) -> str:
    """Every public name of a module with what it is for."""
    module = import_module(name)
    return "\n\n".join(part for public in module.__all__ for part in _entry(f"{name}.{public}", getattr(module, public)))


def _entry(path: str, thing: Any) -> Iterator[str]:
    short = path.rpartition(".")[2]
    if isinstance(thing, ModuleType):
        return
    yield f"## {short}"
    if inspect.isclass(thing):
        yield from _class(path, thing)
    elif inspect.isfunction(thing):
        yield f"```python\n{path}{_signature(thing)}\n```"
        yield markdown(thing.__doc__)
    elif get_origin(thing) is not None or type(thing).__name__ == "UnionType":
        kinds = [getattr(kind, "__name__", str(kind)) for kind in getattr(thing, "__args__", ())]
        yield f"One of {', '.join(f'`{kind}`' for kind in kinds)}."
    else:
        yield f"`{thing}`" if isinstance(thing, str) else f"A value of type `{type(thing).__name__}`."


def _class(path: str, cls: type) -> Iterator[str]:
    if issubclass(cls, Enum):
        yield markdown(cls.__doc__)
        yield "\n".join(f"- `{path.rpartition('.')[2]}.{member.name}` = `{member.value!r}`" for member in cls)
    elif has(cls):
        yield markdown(cls.__doc__, without=("Args", "Attributes"))
        yield _fields(cls)
    else:
        if "__init__" in vars(cls) and not getattr(cls, "_is_protocol", False):
            yield f"```python\n{path}{_signature(cls)}\n```"
        yield markdown(cls.__doc__)
    for name, member in vars(cls).items():
        if not name.startswith("_"):
            yield from _member(path.rpartition(".")[2], name, member)


def _fields(cls: type) -> str:
    words = arguments(cls.__doc__)
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for item in fields(cls):
        kind = item.type if isinstance(item.type, str) else getattr(item.type, "__name__", "")
        rows.append(f"| `{item.name}` | `{_cell(kind)}` | {default_text(item.default)} | {_cell(words.get(item.name, ''))} |")
    return "\n".join(rows)


def default_text(default: Any) -> str:
    """A field's default as the table shows it."""
    if default is NOTHING:
        return "required"
    value = default.factory() if isinstance(default, Factory) else default  # type: ignore[arg-type]
    return "" if value is None or value in ((), {}, "", frozenset()) or _is_usual(value) else f"`{value}`"


def _is_usual(value: Any) -> bool:
    """Whether it is what its class makes of nothing."""
    needs = any(item.default is NOTHING for item in fields(type(value))) if has(type(value)) else True
    return not needs and bool(value == type(value)())


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _member(owner: str, name: str, member: Any) -> Iterator[str]:
    function = member.__func__ if isinstance(member, classmethod) else member.fget if isinstance(member, property) else member
    if not inspect.isfunction(function):
        return
    kind = "property " if isinstance(member, property) else "async " if _is_async(function) else ""
    signature = _result(function) if isinstance(member, property) else _signature(function)
    yield f"### {owner}.{name}"
    yield f"```python\n{kind}{name}{signature}\n```"
    yield markdown(function.__doc__)


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _result(function: Any) -> str:
    return f": {function.__annotations__.get('return', '')}"


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    shown = [item for item in signature.parameters.values() if item.name not in ("self", "cls")]
    text = str(signature.replace(parameters=shown)).replace("'", "")
    if len(text) < 90:
        return text
    inside, _, result = text[1:].rpartition(")")
    return "(\n" + "".join(f"    {part},\n" for part in _split(inside)) + ")" + result


def _split(text: str) -> Iterator[str]:
    """Arguments at their commas, but not at those inside brackets."""
    depth, begin = 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield text[begin:place].strip()
            begin = place + 1
