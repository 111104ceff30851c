"""The copy that a run gets: what is in it, what is not, and what is refused."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk._executors.workdir.copy import copy_workdir, remove_tree
from lepton_sdk._executors.workdir.walk import check_workdir
from lepton_sdk.errors import JobCancelled, JobSpecError

root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def refusing(source: Path, place: Path) -> list[Callable[[], None]]:
    """The look before a run and the copy itself, which must refuse the same things."""
    return [lambda: check_workdir(source), lambda: copy_workdir(source, place / "work")]


def tree(folder: Path) -> dict[str, str]:
    """Path → what it is: content of a file, target of a link, ``None`` for a folder."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else "dir" if path.is_dir() else path.read_text()
    return found


def test_links_modes_times_and_empty_folders_survive(project: Path, tmp_path: Path) -> None:
    (project / "bin/empty").mkdir(parents=True)
    (project / "bin/tool").write_text("#!/bin/sh\n")
    (project / "bin/tool").chmod(0o750)
    os.utime(project / "bin/tool", ns=(1_000_000_007, 2_000_000_009))
    (project / "tool").symlink_to("bin/tool")
    (project / "bin/up").symlink_to("../bin")
    (project / "dangling").symlink_to("not/there")
    (project / "closed").mkdir()
    (project / "closed/file").write_text("x")
    (project / "closed").chmod(0o555)
    copy_workdir(project, tmp_path / "work")
    assert tree(tmp_path / "work") == tree(project)
    copied = (tmp_path / "work/bin/tool").stat()
    assert (stat.S_IMODE(copied.st_mode), copied.st_mtime_ns) == (0o750, 2_000_000_009)
    assert stat.S_IMODE((tmp_path / "work/closed").stat().st_mode) == 0o555
    remove_tree(tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_large_file_is_copied_whole(project: Path, tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 17)
    (project / "data").write_bytes(data)
    copy_workdir(project, tmp_path / "work")
    assert (tmp_path / "work/data").read_bytes() == data


def test_names_that_are_not_utf8_survive(project: Path, tmp_path: Path) -> None:
    (project / ".gitignore").write_text("*.pyc\n")
    name = os.fsdecode(b"caf\xe9\n")
    (project / name).write_text("x")
    copy_workdir(project, tmp_path / "work")
    assert (tmp_path / "work" / name).read_text() == "x"


def test_git_sockets_and_pipes_stay_behind(project: Path, tmp_path: Path) -> None:
    (project / ".git").mkdir()
    (project / "sub").mkdir()
    (project / "sub/.git").write_text("gitdir: elsewhere")
    os.mkfifo(project / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(project / "socket"))
        check_workdir(project)
        copy_workdir(project, tmp_path / "work")
    assert set(tree(tmp_path / "work")) == {"sub"}


def test_the_folder_of_runs_may_lie_in_the_workdir(project: Path) -> None:
    runs = project / "state/runs"
    runs.mkdir(parents=True)
    (project / "file").write_text("x")
    copy_workdir(project, runs / "work", without=[runs])
    assert set(tree(runs / "work")) == {"file", "state"}


def test_no_workdir_is_an_empty_folder(tmp_path: Path) -> None:
    copy_workdir(None, tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "work").stat().st_mode) == 0o700


@pytest.mark.parametrize("made", ["missing", "file", "dangling"])
def test_what_is_no_folder_is_refused(project: Path, tmp_path: Path, made: str) -> None:
    path = project / "place"
    if made == "file":
        path.write_text("x")
    if made == "dangling":
        path.symlink_to("nowhere")
    for refuse in refusing(path, tmp_path):
        with pytest.raises(JobSpecError, match=r"place' (does not exist|is not a folder)"):
            refuse()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("out", "../secret"),
        ("out", "/etc/passwd"),
        ("sub/out", "../../secret"),
        ("out", "../project/file"),
        ("out", "sub/deep/up/../secret"),
        ("sub/out", "deep/up/.."),
        ("out", ".."),
    ],
)
def test_link_that_leaves_the_tree_is_refused(project: Path, tmp_path: Path, link: str, target: str) -> None:
    (tmp_path / "secret").write_text("x")
    (project / "file").write_text("x")
    (project / "sub/deep").mkdir(parents=True)
    # A link to the top: what seems to go down and up again by its text is outside in fact.
    (project / "sub/deep/up").symlink_to("../..")
    (project / link).symlink_to(target)
    for refuse in refusing(project, tmp_path):
        with pytest.raises(JobSpecError) as caught:
            refuse()
        assert repr(link) in str(caught.value)
        assert repr(target) in str(caught.value)
    assert not (tmp_path / "work").exists()


def test_absolute_link_into_the_tree_is_refused(project: Path) -> None:
    (project / "file").write_text("x")
    (project / "link").symlink_to(project / "file")
    with pytest.raises(JobSpecError, match="leaves"):
        check_workdir(project)


def test_ignored_link_may_point_anywhere(project: Path, tmp_path: Path) -> None:
    (project / "venv").symlink_to("/usr")
    (project / ".leptonignore").write_text("venv\n")
    copy_workdir(project, tmp_path / "work")
    assert set(tree(tmp_path / "work")) == {".leptonignore"}


def test_workdir_may_itself_be_a_link(project: Path, tmp_path: Path) -> None:
    (project / "file").write_text("x")
    (project / "link").symlink_to("file")
    (tmp_path / "alias").symlink_to("project")
    copy_workdir(tmp_path / "alias", tmp_path / "work")
    assert tree(tmp_path / "work") == tree(project)


@root_only
@pytest.mark.parametrize("kind", ["file", "dir"])
def test_what_cannot_be_read_is_named(kind: str) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        base = Path(place)
        private = base / "project/private"
        private.parent.mkdir()
        if kind == "file":
            private.write_text("x")
        else:
            private.mkdir()
        for path, mode in ((base, 0o777), (private.parent, 0o755), (private, 0o000)):
            path.chmod(mode)
        # Root may read everything, so another user looks.
        os.seteuid(65534)
        try:
            for refuse in refusing(private.parent, base):
                with pytest.raises(JobSpecError, match="cannot be read") as caught:
                    refuse()
                assert repr(str(private)) in str(caught.value)
        finally:
            os.seteuid(0)
        assert not (base / "work").exists()


@root_only
@pytest.mark.parametrize("size", [50_000, 5_000_000])
def test_full_disk_is_said_and_the_half_copy_removed(project: Path, small_disk: Path, size: int) -> None:
    for n in range(max(1, 3_000_000 // size)):
        (project / str(n)).write_bytes(b"x" * size)
    with pytest.raises(JobSpecError, match="no space left") as caught:
        copy_workdir(project, small_disk / "work")
    assert str(project) in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_copy_can_be_given_up(project: Path, tmp_path: Path) -> None:
    for n in range(5):
        (project / str(n)).mkdir()
    with pytest.raises(JobCancelled):
        copy_workdir(project, tmp_path / "work", stop=lambda: True)
    assert not (tmp_path / "work").exists()
