"""The checkpoint place of a job: what an attempt saves there, the next attempt goes on from."""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from lepton_sdk.errors import JobSpecError

__all__ = ["check_checkpoint", "checkpoint_of", "is_folder"]

_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/]+(/\S*)?", re.IGNORECASE)


def check_checkpoint(value: Any) -> str | None:
    """Check that a place is an absolute path of a folder or a URI, and return it.

    Raises:
        JobSpecError: it is neither.

    >>> check_checkpoint("s3://models/checkpoints")
    's3://models/checkpoints'
    """
    if value is None:
        return None
    text = str(value)
    is_path = text.startswith("/") and text.isprintable() and ":" not in text and ".." not in text.split("/")
    if not (is_path or _URI.fullmatch(text)) or not text.strip("/"):
        raise JobSpecError(
            f"checkpoint: {text!r} is neither an absolute folder nor a URI",
            hint="write /mnt/shared/checkpoints, on a file system that every node has, or s3://bucket/prefix",
        )
    return text.rstrip("/")


def checkpoint_of(place: str, run_id: str) -> str:
    """The run's own part of the place, the same for all its attempts and nodes."""
    return f"{place}/{run_id}"


def is_folder(place: str | None) -> TypeGuard[str]:
    """Return True if the place is a folder of the node."""
    return place is not None and place.startswith("/")
