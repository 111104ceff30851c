"""Reads YAML without its traps: no tags, no duplicate keys, ``no`` is a word, and every field knows its line."""

from __future__ import annotations

import re
from typing import Any

import yaml

from lepton_sdk.errors import JobSpecError

__all__ = ["parse_yaml"]

# A job has some dozens of values; a file whose aliases expand to more is an attack.
_MOST_VALUES = 10_000


class _Loader(yaml.SafeLoader):
    """The few plain types of YAML 1.2: YAML 1.1 reads ``no`` as false, ``22:22`` as 1342 and dates as objects."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first))


def parse_yaml(text: str, file: str) -> tuple[Any, dict[str, int]]:
    """The document's value, and the line of every field by its dotted name.

    Raises:
        JobSpecError: not YAML, several documents, a tab, a tag, a duplicate key; the message names file and line.
    """
    if (at := _tab_indent(text)) is not None:
        raise JobSpecError(f"{file}, line {at}: a tab indents the line", hint="indent with spaces")
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}, line {mark.line + 1}" if mark else file
        raise JobSpecError(f"{where}: {error.problem or error.context}", hint="mend the YAML at that place") from None
    except yaml.YAMLError as error:
        raise JobSpecError(f"{file}: {error}".splitlines()[0], hint="save the file as plain UTF-8 text") from None
    reader = _Reader(file)
    return (None if root is None else reader.value(root, "")), reader.lines


def _tab_indent(text: str) -> int | None:
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            return number
    return None


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[str, int] = {}
        self._left = _MOST_VALUES

    def value(self, node: yaml.Node, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise self._error(node, f"more than {_MOST_VALUES} values", "a job file is small; move data to the workdir")
        self.lines.setdefault(name, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            self._plain(node, "tag:yaml.org,2002:map")
            return self._mapping(node, name)
        if isinstance(node, yaml.SequenceNode):
            self._plain(node, "tag:yaml.org,2002:seq")
            return [self.value(item, f"{name}.{place}") for place, item in enumerate(node.value)]
        value = self._scalar(node)
        # A variable is text: 1.10 is not 1.1, and 0755 keeps its zero.
        return node.value if name.startswith("env.") and value is not None else value

    def _mapping(self, node: yaml.MappingNode, name: str) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self._error(key_node, f"{key!r} cannot be a key", "put the key in quotes")
            if key in data:
                raise self._error(key_node, f"the key {key!r} stands twice", "keep one of the two")
            dotted = f"{name}.{key}" if name else key
            self.lines[dotted] = key_node.start_mark.line + 1
            data[key] = self.value(value_node, dotted)
        return data

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        if getattr(node, "style", None) is not None or node.tag == "tag:yaml.org,2002:str":
            self._plain(node, "tag:yaml.org,2002:str")
            return text
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text)
            case "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan"))
        raise self._tagged(node)

    def _plain(self, node: yaml.Node, tag: str) -> None:
        if node.tag not in (tag, "!"):
            raise self._tagged(node)

    def _tagged(self, node: yaml.Node) -> JobSpecError:
        return self._error(node, f"the tag {node.tag!r} has no meaning here", "remove the tag")

    def _error(self, node: yaml.Node, message: str, hint: str) -> JobSpecError:
        return JobSpecError(f"{self.file}, line {node.start_mark.line + 1}: {message}", hint=hint)
