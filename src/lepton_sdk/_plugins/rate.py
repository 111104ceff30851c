"""Rate limits shared by all processes of this host that use one key, through a small locked file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lepton_sdk._clock import Clock

__all__ = ["FilePacer"]

# The lock is held for microseconds. A process that holds it for seconds is suspended, and must not block others for good.
_PATIENCE = 5.0
_LOOK_AGAIN = 0.01
# A slot that is more intervals away than this was written before the clock was set back.
_BELIEVED = 100


class FilePacer:
    """Hands out slots: each caller takes the next free slot under the lock and sleeps until it comes.

    Args:
        folder: where the files of all pacers lie; created on demand.
        provider: the provider whose rates these are.
        key: what the vendor counts by, usually the secret; only a hash of it is written.
        rates: bucket → seconds between two calls; ``""`` holds for every call.
        clock: time and sleep.
    """

    def __init__(self, folder: Path, provider: str, key: str, rates: Mapping[str, float], clock: Clock) -> None:
        self._rates = {bucket: float(seconds) for bucket, seconds in rates.items() if seconds > 0}
        self._clock = clock
        self._memory: dict[str, float] = {}
        self._path = folder / f"{provider}-{_hash(key)}.json" if self._rates else folder

    async def wait(self, bucket: str = "") -> None:
        """Return when the next call of ``bucket`` may leave."""
        buckets = [name for name in {"", bucket} if name in self._rates]
        if not buckets:
            return
        give_up = self._clock.monotonic() + _PATIENCE
        while True:
            try:
                with _locked(self._path) as file:
                    slot = self._take(buckets, file)
                    break
            except BlockingIOError:
                if self._clock.monotonic() < give_up:
                    await self._clock.sleep(_LOOK_AGAIN)
                    continue
            except OSError:
                pass  # a cache that cannot be written paces this process alone
            slot = self._take(buckets, None)
            break
        await self._clock.sleep(max(0.0, slot - self._now()))

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _take(self, buckets: list[str], file: int | None) -> float:
        """The first moment that all buckets allow. The slots are written to the file before it is used."""
        now = self._now()
        stored = self._memory if file is None else {**self._memory, **_load(file)}
        slot = now
        for name in buckets:
            free = stored.get(name, now)
            if free - now <= _BELIEVED * self._rates[name]:
                slot = max(slot, free)
        self._memory = {**stored, **{name: slot + self._rates[name] for name in buckets}}
        if file is not None:
            _store(file, self._memory)
        return slot


def _hash(key: str) -> str:
    from hashlib import sha256

    return sha256(b"lepton_sdk pace " + key.encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    import fcntl

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file
    finally:
        os.close(file)


def _load(file: int) -> dict[str, float]:
    try:
        data = json.loads(os.pread(file, 1 << 16, 0) or b"{}")
        return {str(name): float(value) for name, value in data.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _store(file: int, slots: Mapping[str, float]) -> None:
    raw = json.dumps(slots).encode()
    os.ftruncate(file, 0)
    os.pwrite(file, raw, 0)
