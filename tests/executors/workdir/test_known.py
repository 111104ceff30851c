"""What is remembered of a workdir saves reading, and never hides a change."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._executors.workdir import tree as trees
from lepton_sdk._executors.workdir.known import KnownTrees
from lepton_sdk._executors.workdir.tree import Tree, read_tree


@pytest.fixture
def project(tmp_path: Path, until: Any) -> Path:
    """A folder that was not touched for a while."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "data").write_text("as it was")
    (folder / "empty").touch()
    (folder / os.fsdecode(b"caf\xe9\n")).write_text("odd")
    until(lambda: len(read_tree(folder).stamps) == 3)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose bytes were read."""
    seen: list[str] = []
    real = trees._read

    def noted(path: str) -> str:
        seen.append(Path(path).name)
        return real(path)

    monkeypatch.setattr(trees, "_read", noted)
    return seen


def test_unchanged_files_are_not_read_again(project: Path, tmp_path: Path, reads: list[str]) -> None:
    memory = KnownTrees(tmp_path / "state", project, "host")
    first = read_tree(project)
    memory.keep(first)
    reads.clear()
    again = read_tree(project, known=memory.recall())
    assert reads == []
    assert (again.id, dict(again.entries), again.sizes) == (first.id, dict(first.entries), first.sizes)


def test_a_change_that_hides_its_time_is_seen(project: Path, reads: list[str]) -> None:
    known = read_tree(project)
    status = (project / "data").stat()
    (project / "data").write_text("as it is.")
    os.utime(project / "data", ns=(status.st_atime_ns, status.st_mtime_ns))
    reads.clear()
    assert read_tree(project, known=known).id != known.id
    assert reads == ["data"]


def test_a_mode_and_a_file_put_in_the_place_of_another_are_seen(project: Path) -> None:
    known = read_tree(project)
    (project / "data").chmod(0o600)
    changed = read_tree(project, known=known)
    assert changed.entries["data"] == known.entries["data"].replace("-644", "-600")
    (project / "other").write_text("as it is.")
    os.utime(project / "other", ns=(1, 1))
    (project / "other").rename(project / "data")
    assert read_tree(project, known=changed).entries["data"] != changed.entries["data"]


def test_a_file_written_in_this_instant_is_not_trusted(project: Path) -> None:
    (project / "data").write_text("now")
    assert "data" not in read_tree(project).stamps
    # A file system that counts whole seconds says of two writes in one of them that they are one.
    second = (project / "data").stat().st_mtime_ns // 10**9 * 10**9
    found = os.stat_result(
        (0o100644, 1, 1, 1, 0, 0, 3, 0, second // 10**9, second // 10**9), {"st_mtime_ns": second, "st_ctime_ns": second}
    )
    reading = trees._Reading(Tree({}))
    reading._began = second + 10**9
    assert not reading._settled(found)
    reading._began = second + 3 * 10**9
    assert reading._settled(found)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 0}', '{"version": 1}', "\x00\xff"])
def test_a_memory_that_cannot_be_used_is_none(project: Path, tmp_path: Path, text: str) -> None:
    memory = KnownTrees(tmp_path / "state", project, "host")
    memory.keep(read_tree(project))
    (file,) = (tmp_path / "state").iterdir()
    file.write_text(text)
    assert memory.recall() is None


def test_another_nodes_memory_of_the_same_folder_is_better_than_none(project: Path, tmp_path: Path) -> None:
    KnownTrees(tmp_path / "state", project, "one").keep(tree := read_tree(project))
    known = KnownTrees(tmp_path / "state", project, "two").recall()
    assert known is not None
    assert known.id == tree.id
    assert KnownTrees(tmp_path / "state", tmp_path, "two").recall() is None


def test_a_memory_that_cannot_be_written_stops_nobody(project: Path, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    memory = KnownTrees(tmp_path / "state", project, "host")
    memory.keep(read_tree(project))
    assert memory.recall() is None


def test_memories_are_few_and_for_their_owner(project: Path, tmp_path: Path) -> None:
    tree = read_tree(project)
    for n in range(70):
        KnownTrees(tmp_path / "state", project, f"host{n}").keep(tree)
    assert len(list((tmp_path / "state").iterdir())) == 64
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_trees_are_one_by_what_they_hold(project: Path, tmp_path: Path) -> None:
    tree = read_tree(project)
    assert Tree(dict(reversed(list(tree.entries.items())))).id == tree.id
    assert Tree({**tree.entries, "more": "e644"}).id != tree.id
    # A name and what stands there cannot be taken for another pair.
    assert Tree({"a": "lb"}).id != Tree({"al": "b"}).id
