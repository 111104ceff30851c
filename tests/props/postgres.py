"""A real PostgreSQL server for tests: Debian's, in a folder of its own, as a user without rights."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from lepton_sdk.spi.secret import Secret

# The word that must never be shown.
PASSWORD = "s3cr3t/w0rd@%x"
_QUOTED = "s3cr3t%2Fw0rd%40%25x"
# Not fsync: the journal refuses a server without it, and rightly so.
_SETTINGS = {"listen_addresses": "", "shared_buffers": "16MB", "autovacuum_naptime": "1s", "max_connections": "200"}


class Server:
    """A server that runs: databases come and go in it."""

    def __init__(self, folder: Path, binaries: Path, user: str | None) -> None:
        self.folder, self.data = folder, folder / "data"
        self._run = partial(subprocess.run, user=user, cwd=folder, check=True, capture_output=True, text=True)
        self._bin = binaries

    def start(self) -> None:
        """Start it and wait until it answers."""
        words = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        options = f"-k {self.folder} {words}"
        # Its output goes to a file: the server would hold a pipe open for ever.
        command = [
            str(self._bin / "pg_ctl"),
            "-D",
            str(self.data),
            "-w",
            "-t",
            "60",
            "-l",
            str(self.folder / "log"),
            "-o",
            options,
        ]
        self._run([*command, "start"], capture_output=False, stdout=subprocess.DEVNULL)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is what a power failure looks like to it."""
        self._run([str(self._bin / "pg_ctl"), "-D", str(self.data), "-m", mode, "-w", "stop"])

    def make(self) -> None:
        """Make the cluster and the role that owns what tests make."""
        (self.folder / "pw").write_text(PASSWORD)
        (self.folder / "pw").chmod(0o644)
        words = ["-D", str(self.data), "-U", "admin", "--pwfile", str(self.folder / "pw"), "--auth=scram-sha-256", "--no-sync"]
        self._run([str(self._bin / "initdb"), *words])

    def url(self, database: str, role: str = "app", password: str = _QUOTED) -> Secret:
        """The address of a database."""
        return Secret(f"postgresql://{role}:{password}@/{database}?host={self.folder}")

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run SQL as the administrator."""
        command = [
            str(self._bin / "psql"),
            "-h",
            str(self.folder),
            "-U",
            "admin",
            "-d",
            database,
            "-v",
            "ON_ERROR_STOP=1",
            "-Atqc",
        ]
        return str(self._run([*command, statement], env={**os.environ, "PGPASSWORD": PASSWORD}).stdout)

    @contextmanager
    def database(self) -> Iterator[str]:
        """An empty database of its own."""
        name = f"journal_{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name} OWNER app")
        try:
            yield name
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def serving() -> Iterator[Server]:
    """A server while the block lasts."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    user = None
    # initdb refuses root.
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user is not None:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        server = Server(folder, binaries, user)
        server.make()
        server.start()
        server.sql(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
