"""What arrives on a node equals what a local copy gives, and what is there already is not sent again."""

# Names that are no text stay bytes here.

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.executors.transports.ssh.trees import NAMES, copied, make, settled, tree

from lepton_sdk._executors.transports.ssh import sending
from lepton_sdk._executors.workdir.copy import copy_workdir, remove_tree
from lepton_sdk._executors.workdir.pack import pack
from lepton_sdk._executors.workdir.tree import Tree, read_tree
from lepton_sdk.errors import JobSpecError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many contents went over the connection, for each workdir that was sent."""
    counts: list[int] = []

    def counted(tree: Tree, missing: Any, base: Tree | None = None) -> Any:
        counts.append(len(missing))
        return pack(tree, missing, base)

    monkeypatch.setattr(sending, "pack", counted)
    return counts


def arrived(host: Any, project: Path) -> dict[bytes, tuple[str, int, bytes]]:
    run = host.start("true", workdir=project)
    status, _ = host.result(run)
    assert status.exit_code == 0
    host.until(lambda: settled(host))
    return tree(host.folder(run) / "work")


def test_links_modes_empty_files_and_empty_folders_survive(host: Any, project: Path, tmp_path: Path) -> None:
    (project / "bin/empty").mkdir(parents=True)
    (project / "bin/tool").write_text("#!/bin/sh\n")
    (project / "bin/tool").chmod(0o750)
    (project / "same").write_text("#!/bin/sh\n")
    (project / "nothing").touch(0o600)
    (project / "tool").symlink_to("bin/tool")
    (project / "bin/up").symlink_to("../bin")
    (project / "dangling").symlink_to("not/there")
    (project / "closed").mkdir()
    (project / "closed/file").write_text("x")
    (project / "closed").chmod(0o555)
    (project / os.fsdecode(b"caf\xe9\n ' $(id)")).write_text("odd")
    (project / ("long" * 50)).mkdir()
    (project / ("long" * 50) / ("name" * 50)).write_text("long")
    copy_workdir(project, tmp_path / "copy")
    assert arrived(host, project) == tree(tmp_path / "copy") == tree(project)
    assert list((host.runs.parent / "in").iterdir()) == []


def test_ignored_files_are_not_sent(host: Any, project: Path) -> None:
    (project / ".gitignore").write_text("*.pyc\n")
    (project / ".leptonignore").write_text("data/\n")
    (project / "data").mkdir()
    (project / "data/big").write_text("x")
    (project / "a.pyc").write_text("x")
    (project / "a.py").write_text("x")
    assert set(arrived(host, project)) == {b".gitignore", b".leptonignore", b"a.py"}


def test_what_is_there_is_not_sent_again(host: Any, project: Path, sent: list[int]) -> None:
    for n in range(300):
        (project / f"file{n}").write_text(f"content {n}")
    (project / "twin").write_text("content 7")
    first = arrived(host, project)
    assert sent == [300]
    (project / "file5").write_text("changed")
    (project / "file6").unlink()
    second = arrived(host, project)
    assert sent == [300, 1]
    assert set(first) - set(second) == {b"file6"}
    assert second[b"file5"][2] == b"changed"
    (project / "renamed").mkdir()
    (project / "file8").rename(project / "renamed/file8")
    assert arrived(host, project)[b"renamed/file8"][2] == b"content 8"
    assert sent == [300, 1, 0]


def test_a_job_that_alters_its_files_alters_no_other_runs(host: Any, project: Path, sent: list[int]) -> None:
    (project / "data").write_text("as given\n")
    for _ in range(2):
        run = host.start("cat data; echo spoiled >> data; chmod 777 data", workdir=project)
        assert host.result(run)[1] == b"as given\n"
        host.until(lambda: settled(host))
    assert sent == [1, 0]
    assert (project / "data").read_text() == "as given\n"


def test_a_second_start_sends_nothing(host: Any, project: Path, sent: list[int]) -> None:
    (project / "data").write_text("x")
    run = host.start("cat data", workdir=project)
    (project / "data").write_text("y")
    host.start(run)
    assert sent == [1]
    assert host.result(run)[1] == b"x"


def test_large_file_arrives_whole(host: Any, project: Path) -> None:
    data = os.urandom((5 << 20) + 17)
    (project / "data").write_bytes(data)
    assert arrived(host, project)[b"data"][2] == data


def test_file_times_survive_the_first_sending(host: Any, project: Path) -> None:
    (project / "data").write_text("x")
    os.utime(project / "data", (1_000_000_007, 1_000_000_007))
    run = host.start("true", workdir=project)
    host.result(run)
    assert (host.folder(run) / "work/data").stat().st_mtime == 1_000_000_007


def test_blob_that_a_power_cut_emptied_is_sent_again(host: Any, project: Path, sent: list[int]) -> None:
    (project / "data").write_text("x")
    arrived(host, project)
    (blob,) = (host.runs.parent / "blobs").iterdir()
    blob.write_text("")
    (spare,) = (host.runs.parent / "spares").iterdir()
    (spare / "whole").write_text("the-boot-before\n")
    assert arrived(host, project)[b"data"][2] == b"x"
    assert sent == [1, 1]


def test_file_that_changes_while_it_is_sent_is_read_again(host: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "log").write_text("1")
    writes = iter("23456")

    def growing(tree: Tree, missing: Any, base: Tree | None = None) -> Any:
        # Between the reading and the sending, as a process that logs into its workdir does.
        if (text := next(writes, "")) in grows:
            with (project / "log").open("a") as file:
                file.write(text)
        return pack(tree, missing, base)

    monkeypatch.setattr(sending, "pack", growing)
    grows = "2"
    assert arrived(host, project)[b"log"][2] == b"12"
    grows = "3456"
    (project / "log").write_text("another")
    with pytest.raises(JobSpecError, match="log' changed each time"):
        arrived(host, project)
    host.until(lambda: list((host.runs.parent / "in").iterdir()) == [])


def test_missing_workdir_is_refused_before_a_connection(make_host: Any, server: Any, tmp_path: Path) -> None:
    host = make_host(server)
    with pytest.raises(JobSpecError, match="nowhere"):
        host.start("true", workdir=tmp_path / "nowhere")
    assert host.executor._remote(host.node)._connections == []


def test_no_room_for_the_workdir_says_so(make_host: Any, server: Any, small_disk: Path, project: Path) -> None:
    host = make_host(server, base=str(small_disk / "base"))
    (project / "data").write_bytes(os.urandom(3_000_000))
    with pytest.raises(JobSpecError, match="No space left on device"):
        host.start("true", workdir=project)
    (project / "data").write_bytes(b"small")
    assert arrived(host, project)[b"data"][2] == b"small"


def test_connection_that_breaks_while_sending_leaves_no_half_file(
    host: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data").write_bytes(os.urandom(40 << 20))
    blobs = host.runs.parent / "blobs"

    def cut_once_it_flows(tree: Tree, missing: Any, base: Tree | None = None) -> Any:
        for count, piece in enumerate(pack(tree, missing, base)):
            if count == 20:
                host.server.cut()
            yield piece

    from lepton_sdk.errors import NodeUnreachable

    with monkeypatch.context() as patch:
        patch.setattr(sending, "pack", cut_once_it_flows)
        with pytest.raises(NodeUnreachable):
            host.start("true", workdir=project)
    assert list(blobs.iterdir()) == []
    assert arrived(host, project)[b"data"][2] == (project / "data").read_bytes()


MODES = st.sampled_from([0o600, 0o644, 0o755, 0o400, 0o777])
FILES = st.tuples(MODES, st.sampled_from([b"", b"x", b"same"]) | st.binary(max_size=2000))
TREES = st.recursive(
    FILES,
    lambda inner: st.tuples(st.sampled_from([0o700, 0o755, 0o555]), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.dictionaries(NAMES, TREES, max_size=5))
def test_any_tree_arrives_as_a_local_copy_would_be(host: Any, tmp_path: Path, entries: dict[bytes, Any]) -> None:
    source, copy = tmp_path / "any", tmp_path / "any-copy"
    try:
        make(os.fsencode(source), entries)
        copy_workdir(source, copy)
        assert arrived(host, source) == tree(copy)
    finally:
        remove_tree(source)
        remove_tree(copy)


def contents(entries: dict[bytes, Any]) -> set[tuple[int, bytes]]:
    """What has to be on the node for a tree: each content with each mode, empty files apart."""
    found: set[tuple[int, bytes]] = set()
    for mode, inner in entries.values():
        if isinstance(inner, dict):
            found |= contents(inner)
        elif inner:
            found.add((mode, inner))
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.dictionaries(NAMES, TREES, max_size=5), min_size=2, max_size=3))
def test_of_any_versions_of_a_tree_only_new_contents_travel(
    host: Any, tmp_path: Path, sent: list[int], known: set[tuple[int, bytes]], versions: list[dict[bytes, Any]]
) -> None:
    for version in versions:
        with copied(tmp_path, version) as (source, copy):
            assert arrived(host, source) == tree(copy)
            assert sent[-1] == len(contents(version) - known)
            known |= contents(version)


@pytest.fixture
def known() -> set[tuple[int, bytes]]:
    """What the node was ever sent, over all examples of one test."""
    return set()


def test_size_beyond_octal_is_written_as_tar_reads_it() -> None:
    import tarfile

    from lepton_sdk._executors.workdir.tar import FILE, entry

    info = tarfile.TarInfo.frombuf(entry(b"big", FILE, 0o644, size=20 << 30, mtime=5), "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.mtime) == ("big", 20 << 30, 0o644, 5)


def test_reading_a_tree_that_shrinks_is_noticed(project: Path) -> None:
    from lepton_sdk._executors.workdir.tree import Changed

    (project / "data").write_bytes(b"x" * 100)
    found = read_tree(project)
    (project / "data").write_bytes(b"x")
    with pytest.raises(Changed):
        list(pack(found, set(found.contents)))
