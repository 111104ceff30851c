"""What this host remembers of a workdir that was sent: its files need not be read again, nor be named to the same node."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from lepton_sdk._executors.workdir.tree import Tree

__all__ = ["KnownTrees"]

_VERSION = 1
_MOST = 64


class KnownTrees:
    """The last reading of one workdir for one node, in a file. It only saves work: without it everything is read and named.

    Args:
        folder: where such files lie; made when the first is written.
        workdir: the folder that is sent.
        node: the node's name.
    """

    def __init__(self, folder: Path, workdir: str | Path, node: str) -> None:
        self._folder = folder
        self._workdir = f"{_hashed(os.path.realpath(Path(workdir).expanduser()))}-"
        self._file = folder / f"{self._workdir}{_hashed(node)}.json"

    def recall(self) -> Tree | None:
        """The tree that was sent to this node last, or to any other; ``None`` when nothing is known that can be used."""
        for file in [self._file, *self._others()]:
            with suppress(OSError, ValueError, KeyError, TypeError):
                known = json.loads(file.read_bytes())
                if known["version"] == _VERSION:
                    return Tree(known["entries"], known["stamps"])
        return None

    def keep(self, tree: Tree) -> None:
        """Write a tree down, whole or not at all. A disk that is full keeps nothing and stops nobody."""
        text = json.dumps({"version": _VERSION, "entries": tree.entries, "stamps": tree.stamps}, separators=(",", ":"))
        fresh = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(text)
            fresh.replace(self._file)
            self._forget()
        except OSError:
            with suppress(OSError):
                fresh.unlink()

    def _others(self) -> list[Path]:
        return sorted((file for file in self._folder.glob(f"{self._workdir}*.json") if file != self._file), key=_written)[-1:]

    def _forget(self) -> None:
        for file in sorted(self._folder.iterdir(), key=_written)[:-_MOST]:
            file.unlink(missing_ok=True)


def _written(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_mtime
    return 0.0


def _hashed(text: str) -> str:
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:20]
