"""Which node holds which GPU of this host: one small file that all processes of this user share, with a lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lepton_byoc.observations import Cordon
from lepton_sdk.spi import LeptonError, Node, Unavailable

__all__ = ["Allocations"]


class Allocations:
    """The nodes that were allocated on this host since it booted.

    Reading needs no lock, because the file is replaced as a whole. Entries of an earlier boot are void: all their processes
    are dead. For the same reason nothing has to survive a power cut.

    Args:
        folder: where the file lies; a home may be shared by several hosts, so each has a file of its own.
        host: the name of this host.
        boot: a text that changes with every boot.
    """

    def __init__(self, folder: Path, host: str, boot: str) -> None:
        name = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in host)
        self.path = folder / f"allocations-{name}.json"
        self._lock = folder / f"allocations-{name}.lock"
        self._cordon = folder / f"cordon-{name}.json"
        self._boot = boot

    def nodes(self) -> list[Node]:
        """All nodes that are allocated now.

        Raises:
            Unavailable: the file cannot be read or is not what was written.
        """
        try:
            raw = self.path.read_text()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._failed(f"cannot be read: {error.strerror}") from error
        try:
            data = json.loads(raw)
            return [Node.from_dict(row) for row in data["nodes"]] if data["boot"] == self._boot else []
        except (ValueError, KeyError, TypeError, LeptonError) as error:
            raise self._failed(f"is damaged ({error})", "delete it when no run of yours is on this machine") from error

    def held(self) -> dict[str, str]:
        """GPU's UUID → id of the node that holds it."""
        return {uuid: node.id for node in self.nodes() for uuid in node.provider_data.get("gpus", "").split(",") if uuid}

    def cordon(self) -> Cordon | None:
        """The cordon that a client of this host's fleet has written here: no new work may come. ``None`` without one."""
        try:
            return Cordon(**json.loads(self._cordon.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, nodes: Sequence[Node]) -> None:
        """Replace the whole record; only under `lock`.

        Raises:
            Unavailable: the disk refuses the write; the record is unchanged.
        """
        draft = self.path.with_suffix(f".{os.getpid()}.new")
        text = json.dumps({"boot": self._boot, "nodes": [node.to_dict() for node in nodes]})
        try:
            with draft.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise self._failed(f"cannot be written: {error.strerror}", "free some disk, or check its rights") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the record.

        Raises:
            BlockingIOError: another process holds the lock now.
            Unavailable: the folder cannot be written.
        """
        try:
            self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(f"cannot be locked: {error.strerror}", "make its folder writable") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(file)

    def _failed(self, what: str, hint: str | None = None) -> Unavailable:
        return Unavailable(f"the record of this machine's GPUs, {self.path}, {what}", provider="byoc", hint=hint)
