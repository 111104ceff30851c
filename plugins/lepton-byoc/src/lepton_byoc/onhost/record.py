"""The record of allocated GPUs and of the cordon on this host: one small file with a lock, for all clients of one user.

``lepton`` on the host itself uses the same file, so that a local and a remote client never allocate one GPU twice.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["Record", "Refused"]

_PATIENCE, _LOOK_AGAIN = 15.0, 0.02


class Refused(Exception):
    """The request is refused; the first argument is the reason in a word, the second in a sentence."""


class Record:
    """The file of one host.

    Args:
        folder: where it lies.
        name: the host's name; several hosts may share a home.
        boot: a text that changes with every boot: earlier allocations are void, because all their processes are dead.
    """

    def __init__(self, folder: Path, name: str, boot: str) -> None:
        self.path = folder / f"allocations-{name}.json"
        self._lock = folder / f"allocations-{name}.lock"
        self._cordon = folder / f"cordon-{name}.json"
        self._boot = boot

    def nodes(self) -> list[Any]:
        """The allocations, each as the JSON of a node."""
        try:
            data = json.loads(self.path.read_text())
            return list(data["nodes"]) if data["boot"] == self._boot else []
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused("damaged", f"{self.path} cannot be read ({error}); delete it when no run is on the host") from None

    def take(self, node: dict[str, Any], eligible: list[str], count: int) -> dict[str, Any]:
        """Allocate ``count`` of the eligible GPUs, the first free ones; one token gets one node."""
        with self._alone():
            nodes = self.nodes()
            for held in nodes:
                if held["token"] == node["token"]:
                    return dict(held)
            taken = {uuid for held in nodes for uuid in held["provider_data"].get("gpus", "").split(",")}
            free = [uuid for uuid in eligible if uuid not in taken]
            if len(free) < count:
                raise Refused("no-capacity", f"{count} wanted, {len(free)} of {len(eligible)} are free")
            given = _with_gpus(node, free[:count])
            self._write(self.path, {"boot": self._boot, "nodes": [*nodes, given]})
            return given

    def give_back(self, name: str) -> None:
        """Free the GPUs of a node, if it has any."""
        with self._alone():
            nodes = self.nodes()
            rest = [held for held in nodes if held["id"] != name]
            if len(rest) < len(nodes):
                self._write(self.path, {"boot": self._boot, "nodes": rest})

    def cordon(self) -> Any:
        """The cordon: reason, by whom, since when; ``None`` if new work may come."""
        try:
            data = json.loads(self._cordon.read_text())
            return {"reason": str(data["reason"]), "by": str(data.get("by", "")), "since": float(data.get("since", 0))}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def set_cordon(self, reason: Any, by: Any) -> None:
        """Keep new work away for a reason; ``None`` allows it again. It survives a reboot."""
        with self._alone():
            if reason is None:
                self._cordon.unlink(missing_ok=True)
            else:
                self._write(self._cordon, {"reason": reason, "by": by, "since": time.time()})

    @staticmethod
    def _write(path: Path, data: Any) -> None:
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with draft.open("w") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise Refused("disk", f"{path} cannot be written: {error.strerror}") from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(str(self._lock), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refused("disk", f"{self._lock} cannot be locked: {error.strerror}") from None
        try:
            end = time.monotonic() + _PATIENCE
            while not _locked(file):
                if time.monotonic() > end:
                    raise Refused("busy", f"another process has held {self._lock} for {_PATIENCE:.0f} seconds")
                time.sleep(_LOOK_AGAIN)
            yield
        finally:
            os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _with_gpus(node: dict[str, Any], uuids: list[str]) -> dict[str, Any]:
    names = ",".join(uuids)
    # "void" tells NVIDIA's container runtime to inject nothing.
    environment = {"CUDA_VISIBLE_DEVICES": names, "NVIDIA_VISIBLE_DEVICES": names or "void"}
    access = {**node["access"], "environment": environment}
    return {**node, "access": access, "provider_data": {**node["provider_data"], "gpus": names}}
