"""One session per promise. ``nox`` runs all but the last two; ``sh scripts/test.sh`` runs the same in the ready .venv."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "types", "architecture", "tests", "docs", "build"]
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).parent
REQUIREMENTS = "requirements/dev.txt"


def distributions() -> list[Path]:
    """The folders that become a distribution each; core first."""
    return [ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]


def prepare(session: nox.Session) -> None:
    """Bring in the pinned tools and, editable, all our distributions; with ``--no-venv`` the caller has done it."""
    if session.venv_backend == "none":
        return
    session.install("--require-hashes", "-r", REQUIREMENTS)
    editable = [word for folder in distributions() for word in ("-e", str(folder))]
    session.install("--no-deps", "--no-build-isolation", *editable)


@nox.session
def lint(session: nox.Session) -> None:
    """The style rules hold, and each changelog fragment can be published."""
    prepare(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("towncrier", "build", "--draft", "--version", "0", silent=True)


@nox.session
def types(session: nox.Session) -> None:
    """Types are complete and consistent, and say the same to users."""
    prepare(session)
    session.run("mypy")
    session.run("pytest", "-q", "tests/typing", *session.posargs)


@nox.session
def architecture(session: nox.Session) -> None:
    """Layers, doors, sizes and import costs are as designed."""
    prepare(session)
    session.run("pytest", "-q", "tests/architecture", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Everything does what it says."""
    prepare(session)
    others = ("--ignore=tests/architecture", "--ignore=tests/typing")
    # Most of what is slow waits for real processes, servers and hosts.
    workers = f"--numprocesses={2 * (os.cpu_count() or 1)}"
    try:
        session.run("pytest", "-q", workers, *others, *session.posargs)
    except nox.command.CommandFailed:
        # Hundreds of real processes share a small machine, and some time-out is always the first to give. What failed is asked
        # once more, alone; a test that fails twice has failed, and both reports stand above.
        session.warn("once more, one after the other: what failed beside the others")
        session.run("pytest", "-q", "--last-failed", "--last-failed-no-failures=none", *others, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation builds without a warning."""
    prepare(session)
    # Not nox's own folder for the session: where there is no environment yet, nox would take that folder for one.
    with TemporaryDirectory() as site:
        session.run("mkdocs", "build", "--strict", "--site-dir", site)


@nox.session
def build(session: nox.Session) -> None:
    """Wheels made from the source distributions work where there is no checkout. ``nox -s build -- FOLDER`` keeps them there."""
    prepare(session)
    with TemporaryDirectory() as place:
        dist = Path(session.posargs[0] if session.posargs else f"{place}/dist").absolute()
        for old in dist.glob("lepton_*"):
            old.unlink()
        for folder in distributions():
            session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), str(folder), silent=True)
        try_out(session, Path(place, "venv"), sorted(map(str, dist.glob("lepton_*.whl"))))


def try_out(session: nox.Session, venv: Path, wheels: list[str]) -> None:
    """Install the wheels into a new environment, beside nothing but the pinned requirements, and use them there."""
    python = str(venv / "bin" / "python")
    session.run("python", "-m", "venv", str(venv))
    install = (python, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    session.run(*install, "--require-hashes", "-r", "requirements/run.txt", external=True)
    session.run(*install, "--no-deps", "--no-index", *wheels, external=True)
    session.run(python, "-I", "scripts/smoke.py", external=True, env={"PYTHONPATH": None})


@nox.session
def nightly(session: nox.Session) -> None:
    """A hundred thousand schedules of the simulation end well. ``nox -s nightly -- 5000`` plays as many."""
    prepare(session)
    many = session.posargs[0] if session.posargs else "100000"
    places = {"LEPTON_SDK_SCHEDULES": many, "LEPTON_SDK_EXAMPLES": "20"}
    files = ("tests/simulation/test_schedules.py", "tests/simulation/test_nonsense.py")
    session.run("pytest", "-q", "--numprocesses=auto", *files, env=places)


@nox.session
def bench(session: nox.Session) -> None:
    """The figures that the project claims, measured here."""
    prepare(session)
    for script in sorted(Path("bench").glob("*.py")):
        session.run("python", str(script), *session.posargs)
