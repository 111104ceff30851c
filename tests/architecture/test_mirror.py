"""The test of a file is found by the file's name: ``src/lepton_sdk/_a/b.py`` has ``tests/a/test_b.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

_SHORT = 40
_SIMULATED = "the simulation and its deliberate bugs play with nothing else: tests/simulation"
_ON_NODES = "executors are held by what a job goes through on a node: tests/executors/keeper, tests/executors/transports"
# Longer files without a test of their own name, and why. The list may only shrink.
_WITHOUT = {
    "_engine/doctor.py": "one command shows all of it: tests/cli/test_diagnose.py, tests/engine/calls/test_gate.py",
    "_engine/engine.py": "every test of the engine is made of one",
    "_engine/inventory/leftovers.py": "what turns up late is a story: test_recover.py and test_reconcile.py in tests/engine",
    "_engine/inventory/lost_journals.py": "a journal that is gone is a story: tests/journal/test_lost.py",
    "_engine/jobs.py": "what the client's methods do: tests/test_aio.py, tests/scenarios/test_one_run.py",
    "_engine/launch/mpi/daemon.py": "it runs on nodes: tests/executors/transports/ssh/mpi",
    "_engine/output/fetch.py": "files come from nodes: tests/executors/workdir/test_outputs.py",
    "_engine/output/keep.py": "files come from nodes: tests/executors/workdir/test_outputs.py",
    "_engine/output/shell.py": "it needs hosts behind SSH: tests/executors/transports/ssh",
    "_engine/runs/drive.py": "it chooses the next step: every scenario goes through it, tests/scenarios and tests/simulation",
    "_engine/runs/execute.py": "starts are held on nodes: tests/executors, tests/scenarios/test_one_run.py",
    "_engine/runs/observe.py": "how jobs end is held on nodes: tests/executors, tests/scenarios, tests/simulation",
    "_engine/runs/release.py": "every scenario ends in it; its troubles are in tests/simulation",
    "_executors/container.py": "words of containers: tests/executors/transports/ssh/containers/test_words.py",
    "_executors/environment.py": _ON_NODES,
    "_executors/keeper/orders.py": _ON_NODES,
    "_executors/keeper/talk.py": _ON_NODES,
    "_executors/transports/local/log.py": _ON_NODES,
    "_executors/transports/ssh/channel.py": _ON_NODES,
    "_executors/transports/ssh/executor.py": _ON_NODES,
    "_executors/transports/ssh/first_output.py": _ON_NODES,
    "_executors/transports/ssh/host.py": _ON_NODES,
    "_executors/transports/ssh/login.py": _ON_NODES,
    "_executors/transports/ssh/progress.py": _ON_NODES,
    "_executors/workdir/landing.py": "files are sent, fetched and kept whole or not at all: tests/executors/workdir",
    "_executors/workdir/pack.py": "files are sent, fetched and kept whole or not at all: tests/executors/workdir",
    "_executors/workdir/tree.py": "files are sent, fetched and kept whole or not at all: tests/executors/workdir",
    "_executors/workdir/unpacking.py": "files are sent, fetched and kept whole or not at all: tests/executors/workdir",
    "_executors/workdir/walk.py": "files are sent, fetched and kept whole or not at all: tests/executors/workdir",
    "_journal/stores/postgres_schema.py": "the same tables for a server: tests/journal runs on both",
    "_journal/opening.py": "it chooses between the two databases: tests/journal runs on both",
    "_lazy.py": "tests/architecture/test_import_cost.py holds that a name costs nothing before its use",
    "_names.py": "a list: tests/architecture/test_public_api.py holds it",
    "_plugins/remote_shell.py": "it needs hosts behind SSH: plugins/lepton-byoc/tests/test_fleet.py",
    "cli/ssh.py": "it needs hosts behind SSH: tests/executors/transports/ssh",
    "domain/_gpu_table.py": "it reads a table: tests/domain/test_gpu.py holds what comes of it",
    "errors.py": "classes with facts: tests/architecture/test_public_api.py and tests/docs hold the tree",
    "spi/_names.py": "a list: tests/architecture/test_public_api.py holds it",
    "spi/executor.py": "a protocol and the values of it: tests/executors holds what executors make of it",
    "spi/provider.py": "a protocol and the values of it: tests/spi/test_blocking.py and tests/gate hold them",
    "testing/fake.py": "every scenario rents of it",
    "testing/simcloud.py": _SIMULATED,
    "testing/simnodes.py": _SIMULATED,
    "testing/simprocess.py": _SIMULATED,
    "testing/simworld.py": _SIMULATED,
    "testing/virtual.py": _SIMULATED,
}


def _inside(source: Source) -> Path:
    return source.path.relative_to("src/lepton_sdk")


def _test_of(inside: Path) -> Path:
    """Where the test of a source file is; packages have none of their own."""
    *folders, name = (part.lstrip("_") for part in inside.parts)
    return Path("tests", *folders, f"test_{name}")


def _excused(inside: Path) -> str | None:
    return next((key for key in _WITHOUT if inside.is_relative_to(key)), None)


@pytest.fixture(scope="module")
def files(core: list[Source]) -> list[Path]:
    """The source files of more than a few lines."""
    long = [source for source in core if source.text.count("\n") > _SHORT and source.path.name != "__init__.py"]
    return [_inside(source) for source in long]


def test_every_file_has_its_test(files: list[Path], root: Path) -> None:
    lost = [f"{file}: {_test_of(file)}" for file in files if _excused(file) is None and not (root / _test_of(file)).exists()]
    assert lost == []


def test_nothing_is_excused_that_has_its_test_or_is_gone(files: list[Path], root: Path) -> None:
    needed = {_excused(file) for file in files if not (root / _test_of(file)).exists()}
    assert sorted(set(_WITHOUT) - needed) == []


def test_what_an_excuse_names_is_there(root: Path) -> None:
    named = {path for why in _WITHOUT.values() for path in re.findall(r"(?:tests|plugins)/[\w/.-]*\w", why)}
    assert [path for path in sorted(named) if not (root / path).exists()] == []


def test_every_test_in_a_folder_of_the_mirror_is_the_test_of_a_file(core: list[Source], root: Path) -> None:
    """Stories of several files are in ``tests/scenarios``; a test that stands in the mirror says which file it holds."""
    inside = [_inside(source) for source in core]
    tests = {_test_of(file) for file in inside}
    # The file behind a package's door, and the door of test help, are tested under the package's own name.
    tests |= {
        Path("tests", *(part.lstrip("_") for part in file.parts[:-1]), f"test_{file.parent.name.lstrip('_')}.py")
        for file in inside
    }
    folders = {test.parent for test in tests} - {Path("tests")}
    mirrored = [folder for folder in sorted(folders) if folder.parts[1] != "executors"]
    found = {path.relative_to(root) for folder in mirrored for path in (root / folder).glob("test_*.py")}
    assert sorted(str(test) for test in found - tests - _SEVERAL) == []


# What one file is held by twice, because one of the two needs a server or a process of its own.
_SEVERAL = {
    Path("tests/cli/test_stopping.py"),
    Path("tests/engine/calls/test_create_sdk.py"),
    Path("tests/engine/calls/test_secrets.py"),
    Path("tests/plugins/test_access.py"),
    Path("tests/spi/test_http_wire.py"),
    Path("tests/testing/doubles/test_examples.py"),
}
