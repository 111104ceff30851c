"""The copy that lies ready on a node for the next run: who gets it, what it may hold, and what becomes of a half one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.executors.transports.ssh.trees import NAMES, copied, settled, tree

from lepton_sdk._executors.transports.ssh import sending
from lepton_sdk._executors.workdir.pack import pack
from lepton_sdk._executors.workdir.tree import Tree

CLIENT = """
import asyncio, os, signal, sys
from pathlib import Path
from lepton_sdk._clock import SystemClock
from lepton_sdk._executors.transports.ssh import sending
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.spi.executor import Execution, ExecutorContext

name, state, port, key, workdir, moment = sys.argv[1:]
run = Execution(name, 1, 1, 0, Job("true", workdir=Path(workdir)))
node = Node("ssh", "host", access=SSHAccess("127.0.0.1", port=int(port), host_keys=(key,), user=""))
executor = SSHExecutor(ExecutorContext(clock=SystemClock(), runs_dir=Path(state, "runs")))
whole = sending.pack

def dies(*words):
    for piece in whole(*words):
        if moment == "sending":
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece

sending.pack = dies

async def main():
    await sending.send_workdir(
        executor._remote(node), run, name + "/1-0", state=Path(state), progress=sending_progress()
    )
    os.kill(os.getpid(), signal.SIGKILL)

def sending_progress():
    from lepton_sdk._executors.transports.ssh.progress import Progress
    return Progress(lambda text: None, SystemClock(), "sending")

asyncio.run(main())
"""


@pytest.fixture
def bases(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each workdir that was sent, whether the run's tree was made of what lay ready."""
    used: list[bool] = []

    def noted(tree: Tree, missing: Any, base: Tree | None = None) -> Any:
        used.append(base is not None)
        return pack(tree, missing, base)

    monkeypatch.setattr(sending, "pack", noted)
    return used


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "sub/deep").mkdir(parents=True)
    for n in range(20):
        (folder / f"sub/file{n}").write_text(f"content {n}\n")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    (folder / "link").symlink_to("sub/file1")
    return folder


def ready(host: Any) -> list[Path]:
    """The spares that lie on the node, once nothing is being made any more."""
    host.until(lambda: settled(host))
    return sorted((host.runs.parent / "spares").iterdir())


def run(host: Any, project: Path, command: str = "true") -> dict[bytes, tuple[str, int, bytes]]:
    """What a run of its own got; it waits for all that is made for later runs."""
    execution = host.start(command, workdir=project)
    assert host.result(execution)[0].exit_code == 0
    ready(host)
    return tree(host.folder(execution) / "work")


def test_only_what_changed_is_made_anew(host: Any, project: Path, bases: list[bool], tmp_path: Path) -> None:
    assert run(host, project) == tree(project)
    (project / "sub/file1").write_text("changed\n")
    (project / "sub/file2").unlink()
    (project / "sub/file3").rename(project / "moved")
    (project / "sub/file4").chmod(0o700)
    (project / "sub").chmod(0o750)
    (project / "link").unlink()
    (project / "link").symlink_to("tool")
    (project / "sub/file5").unlink()
    (project / "sub/file5").symlink_to("file6")
    (project / "sub/deep").rmdir()
    (project / "new/empty").mkdir(parents=True)
    (project / "new/twin").write_text("twice\n")
    (project / "new/other").write_text("twice\n")
    (project / "-rf 'odd'\n$(id)").write_text("odd\n")
    assert run(host, project) == tree(project)
    (project / "-rf 'odd'\n$(id)").unlink()
    (project / "sub/file5").unlink()
    (project / "sub/file5").write_text("content 5\n")
    assert run(host, project) == tree(project)
    assert bases == [False, True, True]
    (project / "new/empty").rmdir()
    (project / "new/empty").write_text("a folder that became a file\n")
    assert run(host, project) == tree(project)
    assert run(host, project) == tree(project)
    assert bases == [False, True, True, False, True]


def test_neither_the_next_run_nor_what_lies_ready_sees_what_a_job_writes(host: Any, project: Path, bases: list[bool]) -> None:
    want = tree(project)
    spoil = 'find . -type f -exec sh -c \'echo spoiled >>"$1"; chmod 777 "$1"\' sh {} \\; ; rm link; mkdir more'
    for _ in range(3):
        execution = host.start(f"find . | sort; cat sub/*; {spoil}", workdir=project)
        status, output = host.result(execution)
        assert (status.exit_code, b"spoiled" in output, b"more" in output) == (0, False, False)
        (spare,) = ready(host)
        assert tree(spare / "tree") == tree(spare / "links") == want
    assert bases == [False, True, True]


def test_job_that_writes_while_the_next_copy_is_made(host: Any, project: Path) -> None:
    for n in range(2000):
        (project / f"sub/many{n}").write_text(f"{n}\n")
    want = tree(project)
    for _ in range(2):
        # It writes from its first moment on, into every file, until the copy is there.
        execution = host.start("while :; do for f in sub/many*; do echo spoiled >>$f; done; done", workdir=project)
        (spare,) = ready(host)
        host.cancel(execution)
        assert tree(spare / "tree") == tree(spare / "links") == want
    contents = {path.read_bytes() for path in (host.runs.parent / "blobs").iterdir()}
    assert contents == {entry[2] for entry in want.values() if entry[0] == "file"}


def test_two_runs_at_once_share_nothing(host: Any, project: Path, bases: list[bool]) -> None:
    run(host, project)
    (project / "sub/file0").write_text("changed\n")
    command = "cat sub/file0; echo $LEPTON_RUN_MARK >sub/file0; sleep 0.3; cat sub/file0"
    both = [host.execution(command, workdir=project) for _ in range(2)]
    host.begun.extend(both)

    async def at_once() -> None:
        await asyncio.gather(*(host.executor.start(host.node, one) for one in both))

    host.do(at_once())
    for one in both:
        status, output = host.result(one)
        assert (status.exit_code, output) == (0, f"changed\n{one.run_id}-1-0\n".encode())
    # One took what lay ready; the other came too late, or was told so before it had sent anything.
    assert sorted(bases) in ([False, False, True], [False, False, True, True])
    assert run(host, project) == tree(project)


def test_a_spare_that_another_run_takes_first_is_done_without(
    host: Any, project: Path, bases: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(host, project)
    (spare,) = ready(host)
    real = sending._send

    async def late(*words: Any) -> bool:
        # Between the node's word that it is there and the call that takes it.
        if spare.exists():
            spare.rename(spare.with_name(".taken"))
        return await real(*words)

    monkeypatch.setattr(sending, "_send", late)
    execution = host.start("true", workdir=project)
    host.result(execution)
    assert tree(host.folder(execution) / "work") == tree(project)
    assert bases == [False, True, False]


def test_a_spare_that_is_being_made_is_waited_for_while_its_maker_lives(
    host: Any, project: Path, bases: list[bool], tmp_path: Path
) -> None:
    run(host, project)
    (spare,) = ready(host)
    spare.rename(tmp_path / "spare")
    maker = subprocess.Popen(["sleep", "600"])
    # The 22nd word of what the kernel says of a process is when it began.
    born = Path(f"/proc/{maker.pid}/stat").read_text().rpartition(")")[2].split()[19]
    marker = spare.with_name(".being-made") / f"making.{spare.name}.{maker.pid}.{born}"
    marker.parent.mkdir()
    marker.touch()
    execution = host.execution("true", workdir=project)
    host.begun.append(execution)

    async def finish() -> None:
        await asyncio.to_thread(host.until, lambda: list((host.runs.parent / "in").iterdir()))
        (tmp_path / "spare").rename(spare)
        marker.unlink()

    async def both() -> None:
        await asyncio.gather(host.executor.start(host.node, execution), finish())

    host.do(both())
    marker.parent.rmdir()
    assert bases == [False, True]
    (spare,) = ready(host)
    maker.kill()
    maker.wait()
    spare.rename(tmp_path / "spare")
    marker.parent.mkdir()
    marker.touch()
    # Nobody will ever finish this one.
    host.start("true", workdir=project)
    assert bases == [False, True, False]
    marker.unlink()
    marker.parent.rmdir()


@pytest.mark.parametrize("spoil", ["content", "mode", "more", "less", "boot", "half"])
def test_a_spare_that_is_not_as_it_was_left_is_not_used(host: Any, project: Path, bases: list[bool], spoil: str) -> None:
    run(host, project)
    (spare,) = ready(host)
    match spoil:
        case "content":
            status = (spare / "tree/tool").stat()
            (spare / "tree/tool").write_text("#!/bin/id\n")
            # Its time and size as before.
            os.utime(spare / "tree/tool", ns=(status.st_atime_ns, status.st_mtime_ns))
        case "mode":
            (spare / "tree/tool").chmod(0o700)
            (spare / "tree/tool").chmod(0o755)
        case "more":
            (spare / "tree/sub/more").touch()
        case "less":
            (spare / "links/link").unlink()
        case "boot":
            # A power cut may have emptied files of it.
            (spare / "whole").write_text("another-boot\n")
        case "half":
            (spare / "whole").unlink()
    assert run(host, project) == tree(project)
    assert run(host, project) == tree(project)
    # It is replaced by a good one, although it bears the same name.
    assert bases == [False, False, True]


@pytest.mark.parametrize("moment", ["sending", "sent"])
def test_client_that_is_killed_in_the_middle_leaves_the_node_in_order(
    host: Any, project: Path, bases: list[bool], moment: str
) -> None:
    run(host, project)
    (project / "tool").write_text("#!/bin/changed\n")
    words = [f"killed{host.token}", str(host.state), str(host.server.port), host.server.host_key, str(project), moment]
    done = subprocess.run([sys.executable, "-c", CLIENT, *words], capture_output=True, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    ready(host)
    assert run(host, project) == tree(project)
    assert run(host, project) == tree(project)
    assert bases[-1]


def test_maker_that_is_killed_leaves_nothing_that_counts(host: Any, project: Path, bases: list[bool]) -> None:
    for n in range(3000):
        (project / f"sub/many{n}").write_text(f"{n}\n")
    execution = host.start("true", workdir=project)
    host.result(execution)
    spares = host.runs.parent / "spares"

    def makers() -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if str((path / "cwd").readlink()).startswith(f"{spares.resolve()}/."):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def killed() -> bool:
        for pid in makers():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return not makers()

    host.until(lambda: makers() or list(spares.glob("[!.]*")))
    host.until(killed)
    assert run_without_waiting(host, project) == tree(project)


def run_without_waiting(host: Any, project: Path) -> dict[bytes, tuple[str, int, bytes]]:
    execution = host.start("true", workdir=project)
    host.result(execution)
    return tree(host.folder(execution) / "work")


def test_what_is_large_is_kept_before_its_run_begins(
    host: Any, project: Path, bases: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_LARGE", 1000)
    (project / "large").write_bytes(os.urandom(5000))
    (project / "large").chmod(0o640)
    (project / "twin").write_bytes((project / "large").read_bytes())
    execution = host.start("echo spoiled >>large; echo spoiled >>twin", workdir=project)
    blobs = {path.read_bytes() for path in (host.runs.parent / "blobs").iterdir()}
    assert (project / "large").read_bytes() in blobs
    host.result(execution)
    assert run(host, project) == run(host, project) == tree(project)
    assert bases == [False, True, True]


def test_without_room_for_a_second_copy_none_is_made(make_host: Any, server: Any, small_disk: Path, tmp_path: Path) -> None:
    host = make_host(server, base=str(small_disk / "base"))
    host.reach(host_keys=(server.host_key,))
    project = tmp_path / "large"
    project.mkdir()
    (project / "data").write_bytes(os.urandom(300_000))
    for _ in range(2):
        assert run_without_waiting(host, project) == tree(project)
        assert ready(host) == []
        subprocess.run(["rm", "-rf", str(host.runs)], check=True)


def test_at_most_three_lie_ready_and_none_for_long(host: Any, tmp_path: Path) -> None:
    spares = host.runs.parent / "spares"
    for n in range(5):
        folder = tmp_path / f"project{n}"
        folder.mkdir()
        (folder / "file").write_text(f"{n}")
        run(host, folder)
    assert len(ready(host)) == 3
    old, half = ready(host)[0], spares / ".half"
    half.mkdir()
    for path in (old, half):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    (tmp_path / "project0/file").write_text("again")
    run(host, tmp_path / "project0")
    assert not old.exists()
    host.until(lambda: not half.exists())


def test_nothing_of_it_is_for_others(host: Any, project: Path) -> None:
    run(host, project)
    (spare,) = ready(host)
    for path in (spare, spare.parent, host.runs.parent / "blobs", host.runs.parent):
        assert path.stat().st_mode & 0o777 == 0o700


FILES = st.tuples(st.sampled_from([0o600, 0o644, 0o755]), st.sampled_from([b"", b"x", b"same"]) | st.binary(max_size=300))
TREES = st.recursive(
    FILES,
    lambda inner: st.tuples(st.sampled_from([0o700, 0o755]), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
SHORT = st.sampled_from([b"a", b"b", b"-c", b"d e"])
CLOSE = st.recursive(FILES, lambda inner: st.tuples(st.just(0o755), st.dictionaries(SHORT, inner, max_size=4)), max_leaves=10)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.dictionaries(SHORT | NAMES, CLOSE | TREES, max_size=5), min_size=2, max_size=4))
def test_any_version_follows_any_other(host: Any, tmp_path: Path, versions: list[dict[bytes, Any]]) -> None:
    for version in versions:
        with copied(tmp_path, version) as (source, copy):
            assert run(host, source) == tree(copy)
            for spare in ready(host):
                assert tree(spare / "tree") == tree(spare / "links")
