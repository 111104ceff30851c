"""A double in a process of its own, controlled from a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

__all__ = ["DoubleProcess", "setting_variable"]

_PATIENCE = 60.0


def setting_variable(provider: str, setting: str) -> str:
    """The environment variable of a provider's setting.

    >>> setting_variable("my-cloud", "base_url")
    'LEPTON_SDK_PROVIDERS_MY_CLOUD_BASE_URL'
    """
    return f"LEPTON_SDK_PROVIDERS_{provider}_{setting}".upper().replace("-", "_")


class DoubleProcess:
    """``lepton NAME double`` in a process of its own: it runs until it is closed.

    Args:
        name: the word after ``lepton``, which is the provider's name.
        options: more arguments for the command.
        folder: its working folder.
        environment: its variables; by default ours.

    Attributes:
        url: the base URL of its API.
        environment: variables that point the installed plugin to it.
        place: variables that point commands to a separate journal, cache and configuration of the double.
        control: the base URL of its control port.

    Raises:
        RuntimeError: it ended before it listened; its own output says why.

    ```python
    with DoubleProcess("closet", "--boot", "0") as double:
        double.tell("/fault", kind="reset-after", match="POST .*/machines$")
        subprocess.run(["lepton", "run", "--", "true"], env=os.environ | double.environment | double.place)
        assert double.open() == []
    ```
    """

    def __init__(
        self, name: str, *options: str, folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", "lepton_sdk", name, "double", "--port", "0", "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)  # noqa: S603
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.process.stdout.close()
            raise RuntimeError(f"lepton {name} double ended with {code} before it listened")
        said = json.loads(line)
        self.environment: dict[str, str] = said["environment"]
        self.place: dict[str, str] = said["place"]
        self.control: str = said["control"]
        self.url = self.environment[setting_variable(name, "base_url")]

    def ask(self, path: str) -> Any:
        """Read a view of the control port.

        Raises:
            ValueError: there is no such view.
        """
        return self._control("GET", path)

    def tell(self, path: str, /, **fields: Any) -> None:
        """Call a lever of the control port.

        Raises:
            ValueError: there is no such lever, or it takes other fields; the text says which.
        """
        self._control("POST", path, fields)

    def open(self) -> list[str]:
        """Ids of the things that are billed now, sorted."""
        found: list[str] = self.ask("/bill")["open"]
        return found

    def exchanges(self) -> list[dict[str, Any]]:
        """Every request and its result; see `DoubleServer.exchanges`."""
        found: list[dict[str, Any]] = self.ask("/exchanges")
        return found

    def close(self) -> None:
        """End the process and its machines."""
        self.process.terminate()
        self.process.communicate(timeout=_PATIENCE)

    def __enter__(self) -> DoubleProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _control(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        line = HTTPConnection(urlsplit(self.control).netloc, timeout=_PATIENCE)
        try:
            line.request(method, path, json.dumps(fields) if fields is not None else None)
            answer = line.getresponse()
            said = json.loads(answer.read())
        finally:
            line.close()
        if answer.status != 200:
            raise ValueError(f"{method} {path}: {answer.status}: {said['error']}")
        return said
