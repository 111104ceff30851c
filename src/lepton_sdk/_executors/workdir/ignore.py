"""Which files a run does not need: ``.gitignore`` rules as git reads them, and ``.leptonignore`` above them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

__all__ = ["Rules", "chosen"]

_FILES = (".leptonignore", ".gitignore")
# Whether a path is meant.
_Means = Callable[[str], bool]
# One line of an ignore file: whether it ignores (or re-includes), and what it means.
_Line = tuple[bool, _Means]


class Rules:
    """The rules that hold in one folder: its own, then those of the folders above it.

    A rule file of a deeper folder wins over one above it, a later line over an earlier one, and any ``.leptonignore``
    over any ``.gitignore``. What git has in its index or in its global excludes plays no part: the same files are
    copied whether git is installed or not.
    """

    __slots__ = ("_levels",)

    def __init__(self, levels: dict[str, tuple[tuple[str, list[_Line]], ...]] | None = None) -> None:
        self._levels = levels or {}

    @classmethod
    def above(cls, root: str) -> Rules:
        """The ``.gitignore`` files of the folders above ``root``, up to the one that holds ``.git``."""
        folders = [Path(root), *Path(root).parents]
        top = next((n for n, folder in enumerate(folders) if (folder / ".git").exists()), 0)
        rules = cls()
        for folder in reversed(folders[1 : top + 1]):
            prefix = os.path.relpath(root, folder) + "/"
            rules = rules._with(".gitignore", folder / ".gitignore", prefix, strip="")
        return rules

    def enter(self, root: str, inner: str, names: Collection[str]) -> Rules:
        """The rules of the folder ``inner`` of ``root``, which holds ``names``."""
        rules = self
        for name in _FILES:
            if name in names:
                rules = rules._with(name, Path(root, inner, name), "", strip=f"{inner}/" if inner else "")
        return rules

    def _with(self, kind: str, file: Path, prefix: str, strip: str) -> Rules:
        lines = _read(file)
        if not lines:
            return self
        rules = [(ignores, _below(prefix, len(strip), means)) for ignores, means in lines]
        return Rules({**self._levels, kind: ((str(file), rules), *self._levels.get(kind, ()))})

    def ignore(self, path: str, folder: bool) -> bool:
        """Whether the rules leave out ``path``, which is inside a folder that they do not leave out."""
        if not self._levels:
            return False
        text = f"{path}/" if folder else path
        for kind in _FILES:
            for _, lines in self._levels.get(kind, ()):
                for ignores, means in reversed(lines):
                    if means(text):
                        return ignores
        return False


def chosen(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path inside the run's folder is meant; patterns as in ``.gitignore``: what they name is taken."""
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(patterns).match_file


def _read(file: Path) -> list[_Line]:
    # git does not follow a link here either: it could read any file of the host.
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return []
        text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError:
        return []
    return [line for raw in text.split("\n") if (line := _line(raw.removesuffix("\r")))]


def _line(raw: str) -> _Line | None:
    pattern = _pattern(raw)
    if pattern is None:
        return None
    ignores, means = pattern
    body = raw.rstrip().removeprefix("!")
    _, slash, last = body.removesuffix("/").rpartition("/")
    end = "/" if body.endswith("/") else ""
    if not slash:
        return ignores, _in_any_folder(means)
    if last == "**":
        below = _pattern(raw.rstrip().removesuffix("/"))
        return (ignores, _below_a_folder(below[1], end)) if below else None
    ending = _pattern(last + end)
    return (ignores, _at_one_place(means, ending[1])) if ending else None


def _in_any_folder(means: _Means) -> _Means:
    """A rule without a slash, such as ``*.log``: the last name has to fit, wherever it is."""
    return lambda text: means(_base(text))


def _below_a_folder(means: _Means, end: str) -> _Means:
    """A rule such as ``a/**``: all that is below the folder, and not the folder itself."""
    return lambda text: text.endswith(end) and means(text.removesuffix("/"))


def _at_one_place(means: _Means, ending: _Means) -> _Means:
    """A rule such as ``a/b/``: the path has to fit, and its last name as well.

    pathspec lets a rule for a folder hold for all below it. Here folders are judged one by one: otherwise "!a/b/" would bring
    back what "*" leaves out of it.
    """
    return lambda text: means(text) and ending(_base(text))


def _below(prefix: str, strip: int, means: _Means) -> _Means:
    """The rule of a file in another folder: paths are seen from there."""
    return lambda text: means(prefix + text[strip:])


def _pattern(raw: str) -> _Line | None:
    import pathspec

    try:
        pattern = next(iter(pathspec.GitIgnoreSpec.from_lines([raw]).patterns), None)
    except ValueError:
        # git passes over a line that it cannot read.
        return None
    if pattern is None or pattern.include is None:
        return None
    return pattern.include, lambda text: pattern.match_file(text) is not None


def _base(text: str) -> str:
    return text[text.rfind("/", 0, -1) + 1 :]
