"""The table of GPUs as data (``gpus.txt``) and the reader of names that works on it. No model has code of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from lepton_sdk.errors import ResourcesError

__all__ = ["Facts", "Shape", "Table", "read", "table", "without_silent_words"]

# Model, form factor, nominal GB, architecture: the meaning of a sequence of words; None for a fact that it does not give.
Facts = tuple[str | None, str | None, int | None, str | None]
# Architecture, form factor, nominal GB, other sizes that sellers print for the same card.
Shape = tuple[str, str, int, tuple[int, ...]]

_FIELDS = ("model", "form factor", "memory", "architecture")
_SILENT: Facts = (None, None, None, None)
_SIZE_UNITS = frozenset({"gb", "g", "gib"})


class Table:
    """The parsed data file: shapes by model, and facts by sequence of words."""

    def __init__(self, text: str) -> None:
        self.shapes: dict[str, list[Shape]] = {}
        self.phrases: dict[tuple[str, ...], Facts] = {}
        sections = _sections(text)
        silent = [word.strip() for line in sections["silent"] for word in line.split(",")]
        prefixes = "|".join(word[1:] for word in silent if word.startswith("+"))
        self._word = re.compile(rf"{prefixes}|[^\W\d_]+|[0-9]+")
        for word in silent:
            self._add(word.removeprefix("+"), _SILENT)
        for line in sections["models"]:
            self._add_model(*(part.strip() for part in line.split("|")))
        for words, shape in _equations(sections["form factors"]):
            self._add(words, (None, shape, None, None))
        for words, architecture in _equations(sections["architectures"]):
            self._add(words, (None, None, None, architecture))
        for words, facts in _equations(sections["names"]):
            name, form, size, family = (None if part == "-" else part for part in facts.split(None, 3))
            self._add(words, (name, form, int(size) if size else None, family))
        self.longest = max(map(len, self.phrases))

    def _add(self, words: str, facts: Facts) -> None:
        self.phrases[self.words(words)] = facts

    def _add_model(self, model: str, architecture: str, shapes: str) -> None:
        rows = self.shapes.setdefault(model, [])
        for shape in shapes.split(";"):
            form, size, *others = shape.replace("(", " ").replace(")", " ").split()
            rows.append((architecture, form, int(size), tuple(map(int, others))))
        self._add(model, (model, None, None, None))

    def words(self, text: str) -> tuple[str, ...]:
        """The sequences of letters and of digits, in lower case; everything between them is ignored."""
        return tuple(self._word.findall(text.lower()))

    def architectures(self, model: str | None) -> tuple[str, ...]:
        """The architectures that GPUs of this model have; none for an unknown model."""
        return tuple(dict.fromkeys(shape[0] for shape in self.shapes.get(model or "", ())))

    def sizes(self, model: str) -> frozenset[int]:
        """The memory sizes that sellers print for this model."""
        return frozenset(size for shape in self.shapes.get(model, ()) for size in (shape[2], *shape[3]))


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            lines = sections[line[1:-1]] = []
        elif line and not line.startswith("#"):
            lines.append(line)
    return sections


def _equations(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        left, _, right = line.partition(" = ")
        for words in left.split(","):
            yield words, right


@cache
def table() -> Table:
    """The table, read on first use."""
    # Not pathlib: its import (urllib.parse and all) costs more than the whole table, on the way to every Job.
    with open(__file__.rpartition("/")[0] + "/gpus.txt", encoding="utf-8") as file:
        return Table(file.read())


@lru_cache(maxsize=4096)
def read(text: str) -> Facts:
    """The facts that ``text`` gives about a GPU.

    Raises:
        ResourcesError: no known model, an unknown word, or two words that contradict each other.
    """
    known = table()
    said: list[str | int | None] = [None, None, None, None]
    unknown: list[str] = []
    for words, facts in _phrases(known, known.words(text)):
        if facts is None:
            unknown.append(words)
        else:
            _note(text, said, facts)
    model = said[0]
    if not isinstance(model, str):
        raise _unknown_model(text, known)
    for word in unknown:
        # "A100-80" is short for "A100-80GB" when an A100 of that size exists.
        if not word.isdecimal() or (size := int(word[:6])) not in known.sizes(model):
            raise _unknown_word(text, word, model, known)
        _note(text, said, (None, None, size, None))
    _, form, memory, architecture = said
    return model, form, _nominal(known, model, memory), _architecture(known, text, model, architecture)  # type: ignore[return-value,arg-type]


def _note(text: str, said: list[str | int | None], facts: Facts) -> None:
    for place, fact in enumerate(facts):
        if fact is None:
            continue
        if said[place] not in (None, fact):
            raise _contradiction(text, _FIELDS[place], said[place], fact)
        said[place] = fact


def _phrases(known: Table, words: tuple[str, ...]) -> Iterator[tuple[str, Facts | None]]:
    """Split the words into known sequences, from left to right, the longest first; ``None`` for an unknown word."""
    at = 0
    while at < len(words):
        for length in range(min(known.longest, len(words) - at), 0, -1):
            facts = known.phrases.get(words[at : at + length])
            if facts is not None:
                break
        else:
            length, facts = _size(words[at : at + 2])
        yield "".join(words[at : at + length]), facts
        at += length


def _size(words: tuple[str, ...]) -> tuple[int, Facts | None]:
    if len(words) == 2 and words[0].isdecimal() and words[1] in _SIZE_UNITS and int(words[0][:6]) > 0:
        return 2, (None, None, int(words[0][:6]), None)
    return 1, None


def _nominal(known: Table, model: str, memory: int | None) -> int | None:
    """The nominal size for what a seller printed: a B200 of 192 GB is the card of 180 GB."""
    shapes = known.shapes[model]
    if memory is None or any(memory == shape[2] for shape in shapes):
        return memory
    return next((shape[2] for shape in shapes if memory in shape[3]), memory)


def _architecture(known: Table, text: str, model: str, said: str | None) -> str | None:
    choices = known.architectures(model)
    if said is None:
        return choices[0] if len(choices) == 1 else None
    # People also say "B300 Blackwell" for the Blackwell Ultra.
    for choice in choices:
        if choice == said or choice.startswith(f"{said} "):
            return choice
    raise _contradiction(text, "architecture", f"{model} ({' or '.join(choices)})", said)


def _contradiction(text: str, field: str, first: object, second: object) -> ResourcesError:
    return ResourcesError(f"{text!r}: the {field} is both {first} and {second}", hint="keep one of the two")


def _unknown_word(text: str, word: str, model: str, known: Table) -> ResourcesError:
    plain = {"".join(words): facts[1] or facts[3] for words, facts in known.phrases.items() if facts[0] is None}
    close = dict.fromkeys(fact for name in _closest(word, plain) if (fact := plain[name]))
    hint = f"did you mean {', '.join(close)}?" if close else f"write {model}, or in full as in A100-SXM-80GB"
    return ResourcesError(f"{text!r}: {word!r} is no form factor, memory size or architecture", hint=hint)


def _unknown_model(text: str, known: Table) -> ResourcesError:
    names = {model.lower(): model for model in known.shapes}
    spoken = "".join(known.words(text))
    close = [names[name] for name in _closest(spoken, names)]
    # For a longer text ("H10 SXM") the beginning is closer to a name than the whole text.
    close = close or [names[name] for name in _closest("".join(known.words(text)[:2]), names)]
    hint = f"did you mean {', '.join(close)}?" if close else "write a model such as H100, A100-80GB or L40S"
    return ResourcesError(f"{text!r} is not a known GPU", hint=hint)


def _closest(word: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(word.lower(), list(known), n=3, cutoff=0.5)


def without_silent_words(text: str) -> str:
    """A driver's name without makers and brands: the model id of a GPU that the table does not know."""
    known = table()
    return "".join(word for word in known.words(text) if known.phrases.get((word,)) != _SILENT).capitalize()
