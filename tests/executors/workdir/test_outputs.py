"""Outputs of a job: nothing is written outside of their folder, no link leads out of it, one bad file costs itself."""

from __future__ import annotations

import asyncio
import io
import os
import random
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_sdk._executors.workdir.landing import Landing
from lepton_sdk._executors.workdir.outputs import copied, copy_outputs
from lepton_sdk._executors.workdir.unpacking import Broken, Enough, Unpacking
from lepton_sdk.spi.executor import Fetched

Links = dict[str, str]


def unpacked(data: bytes, wanted: set[str], target: Path, piece: int = 4096, most: int | None = None) -> Fetched:
    """What comes of an archive, whatever is in it."""
    landing = Landing(target, most)
    unpacking = Unpacking(wanted, landing)
    try:
        for begin in range(0, len(data), piece):
            unpacking.feed(data[begin : begin + piece])
        unpacking.end()
    except (Broken, Enough):
        pass
    finally:
        unpacking.drop()
    landing.finish()
    return landing.fetched


def archive(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, where: str = "", **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(f"./{name}")
    info.type, info.linkname = kind, where
    for key, value in more.items():
        setattr(info, key, value)
    return info


def consume(feed: Callable[[bytes], None], data: bytes) -> None:
    """The same, many times."""
    for _ in range(10_000):
        feed(data)


def leading_out(folder: Path) -> list[tuple[str, str]]:
    """Links that are somewhere else in truth, and what is not whole."""
    root = os.path.realpath(folder)
    found = []
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            real = os.path.realpath(f"{above}/{name}")
            if real != root and not real.startswith(root + "/"):
                found.append((name, real))
            if name.endswith(".part"):
                found.append((name, "left over"))
    return found


# --- links --------------------------------------------------------------------------------------------------------------

_STEP = st.sampled_from(["a", "b", "c", "d", ".", "..", "..", "f"])
_WHERE = st.one_of(
    st.lists(_STEP, min_size=1, max_size=6).map("/".join), st.sampled_from(["/etc", "//etc", "/", "a//..//..", "x" * 5000])
)
_PLACE = st.one_of(st.sampled_from(["a", "b", "c", "e"]), st.sampled_from(["d/a", "d/b", "d/d/a", "e/c"]))
_LINKS = st.dictionaries(_PLACE, _WHERE, max_size=8)


@settings(max_examples=200, deadline=None)
@given(turns=st.lists(_LINKS, min_size=1, max_size=3), seed=st.integers(0, 1000))
def test_no_chain_of_links_leads_out(turns: list[Links], seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("links") / "here"
    for links in turns:
        members = [(member(name, tarfile.SYMTYPE, where), b"") for name, where in links.items()]
        members += [(member("d/f"), b"one"), (member("d/d/f"), b"two")]
        random.Random(seed).shuffle(members)
        found = unpacked(archive(members), {*links, "d/f", "d/d/f"}, target)
        assert leading_out(target) == []
        assert {"d/f", "d/d/f"} <= set(found.paths)
        assert {path for path, _ in found.missing} | set(found.paths) == {*links, "d/f", "d/d/f"}
    again = target.with_name("again")
    copy_outputs(target, ["*"], again)
    assert leading_out(again) == []
    shutil.rmtree(target.parent)


def test_links_that_stay_inside_are_kept(tmp_path: Path) -> None:
    links = {
        "d/up": "../f",
        "through": "d/../f",
        "folder": "d",
        "over-folder": "folder/../f",
        "nowhere-yet": "later/file",
        "chain": "over-folder",
        "here": ".",
    }
    members = [(member(name, tarfile.SYMTYPE, where), b"") for name, where in links.items()]
    found = unpacked(
        archive([*members, (member("f"), b"content"), (member("d/x"), b"")]), {*links, "f", "d/x"}, tmp_path / "here"
    )
    assert found.missing == ()
    for name in ("d/up", "through", "over-folder", "chain", "here/f"):
        assert (tmp_path / "here" / name).read_bytes() == b"content"
    # What leads through a link is written as where it leads, so that nobody turns it elsewhere.
    assert {name: str((tmp_path / "here" / name).readlink()) for name in links} == links | {"over-folder": "f"}


def test_a_link_that_came_earlier_is_not_turned_outside(tmp_path: Path) -> None:
    target = tmp_path / "here"
    unpacked(archive([(member("p", tarfile.SYMTYPE, "q/.."), b"")]), {"p"}, target)
    unpacked(archive([(member("q", tarfile.SYMTYPE, "."), b"")]), {"q"}, target)
    assert leading_out(target) == []
    # Nor by one of the user's own that stands here.
    (target / "mine").symlink_to("/etc")
    found = unpacked(archive([(member("l", tarfile.SYMTYPE, "mine/passwd"), b"")]), {"l"}, target)
    assert [path for path, _ in found.missing] == ["l"]
    assert not os.path.lexists(target / "l")


def test_a_link_by_way_of_what_did_not_come_is_named_too(tmp_path: Path) -> None:
    links = {"a": "/etc", "b": "a/passwd", "c": "b", "d": "later"}
    found = unpacked(archive([(member(name, tarfile.SYMTYPE, where), b"") for name, where in links.items()]), {*links}, tmp_path)
    assert found.paths == ("d",)
    assert {path for path, _ in found.missing} == {"a", "b", "c"}
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


# --- files --------------------------------------------------------------------------------------------------------------


def odd_ones(folder: Path) -> dict[str, str]:
    """Makes files of every kind; why some of them cannot be brought."""
    for name in ("plain", "界" * 85, "x" * 255, "\x1b[2J", "new\nline", "-rf", os.fsdecode(b"bad\xffutf")):
        (folder / name).write_bytes(name.encode(errors="surrogateescape"))
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        before = Path.cwd()
        os.chdir(folder)
        try:
            one.bind("socket")
        finally:
            os.chdir(before)
    os.utime(folder / "plain", (-5e8, -5e8))
    with (folder / "bomb").open("wb") as file:
        file.truncate(2 * shutil.disk_usage(folder).free)
    return {"fifo": "a pipe", "socket": "a socket", "bomb": "no room"}


def test_every_name_comes_and_what_is_no_file_is_named(tmp_path: Path) -> None:
    source, target = tmp_path / "work", tmp_path / "here"
    source.mkdir()
    bad = odd_ones(source)
    found = copy_outputs(source, ["*"], target)
    assert {path: True for path, _ in found.missing} == dict.fromkeys(bad, True)
    assert all(bad[path] in why for path, why in found.missing)
    assert {name: (target / name).read_bytes() for name in found.paths} == {
        path.name: path.read_bytes() for path in source.iterdir() if path.name not in bad
    }


def test_bytes_are_bounded_and_what_does_not_fit_is_named(tmp_path: Path) -> None:
    contents = {"a": b"x" * 600, "b": b"y" * 5000, "c": b"z" * 300, "hole": b""}
    (tmp_path / "work").mkdir()
    for name, content in contents.items():
        (tmp_path / "work" / name).write_bytes(content)
    os.truncate(tmp_path / "work/hole", 1 << 30)
    by_tar = unpacked(
        archive([(member(name), content) for name, content in contents.items() if content]), {*"abc"}, tmp_path / "t", most=1000
    )
    by_copy = copy_outputs(tmp_path / "work", ["*"], tmp_path / "c", most=1000)
    for found in (by_tar, by_copy):
        assert set(found.paths) == {"a", "c"}
    assert {path for path, _ in by_copy.missing} == {"b", "hole"}
    assert by_tar.missing == (("b", "its 4.9 KiB do not fit into the 400 bytes that are left to be brought"),)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("piece", [1, 513, 1 << 20])
def test_forms_of_archives(form: int, piece: int, tmp_path: Path) -> None:
    names = ["plain", "界" * 80, "/".join(["folder" * 20] * 4) + "/deep", os.fsdecode(b"bad\xff")]
    members = [(member(name, mode=0o640, mtime=1_700_000_000), name.encode(errors="surrogateescape") * 40) for name in names]
    members.append((member("same", tarfile.LNKTYPE, "./plain"), b""))
    found = unpacked(archive(members, form), {*names, "same"}, tmp_path / "here", piece)
    assert (found.paths, found.missing) == ((*names, "same"), ())
    for name in names:
        place = tmp_path / "here" / name
        assert place.read_bytes() == name.encode(errors="surrogateescape") * 40
        assert (place.stat().st_mode & 0o777, place.stat().st_mtime) == (0o640, 1_700_000_000)
    assert (tmp_path / "here/same").read_bytes() == (tmp_path / "here/plain").read_bytes()


@pytest.mark.parametrize("mtime", ["1e300", "nan", "-1e18", "99999999999", "x"])
def test_an_impossible_time_costs_only_the_time(mtime: str, tmp_path: Path) -> None:
    evil = member("r.txt", pax_headers={"mtime": mtime})
    found = unpacked(archive([(evil, b"x"), (member("s"), b"y")], tarfile.PAX_FORMAT), {"r.txt", "s"}, tmp_path)
    assert found == Fetched(("r.txt", "s"), ())


def test_what_nobody_asked_for_has_an_end(tmp_path: Path) -> None:
    huge = archive([(member("other"), b"x" * (6 << 20))])
    landing = Landing(tmp_path)
    with pytest.raises(Enough):
        Unpacking({"good"}, landing).feed(huge)
    zeros = Unpacking({"good"}, landing)
    with pytest.raises(Enough):
        consume(zeros.feed, bytes(1 << 16))
    assert landing.fetched == Fetched()


@settings(max_examples=400, deadline=None)
@given(data=st.binary(max_size=2000))
def test_random_bytes_are_no_archive(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.getbasetemp() / "random"
    assert unpacked(data, {"a"}, target, 300).paths == ()


@settings(max_examples=400, deadline=None)
@given(
    at=st.integers(0, 8191),
    to=st.integers(0, 255),
    sums=st.booleans(),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_one_wrong_byte_in_an_archive(at: int, to: int, sums: bool, form: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.getbasetemp() / "wrong"
    names = ["a", "界" * 80, "d/b", "d/l"]
    members = [(member(name, pax_headers={"mtime": "1.5"}), b"content") for name in names[:3]]
    data = bytearray(archive([*members, (member("d/l", tarfile.SYMTYPE, "../a"), b"")], form))
    at %= len(data)
    data[at] = to
    if sums:
        # As whoever lies would: the header's sum holds.
        begin = at - at % 512
        head = data[begin : begin + 512]
        head[148:156] = b"%06o\0 " % (sum(head) - sum(head[148:156]) + 8 * 32)
        data[begin : begin + 512] = head
    found = unpacked(bytes(data), set(names), target)
    assert set(found.paths) <= set(names)
    assert leading_out(target) == []
    shutil.rmtree(target, ignore_errors=True)


# --- being cancelled ----------------------------------------------------------------------------------------------------


def test_a_copy_that_is_cancelled_leaves_whole_files_and_no_thread(tmp_path: Path) -> None:
    source, target = tmp_path / "work", tmp_path / "here"
    source.mkdir()
    (source / "a-first").write_text("whole")
    with (source / "b-long").open("wb") as file:
        file.truncate(min(64 << 30, shutil.disk_usage(tmp_path).free // 2))

    async def cancelled() -> None:
        task = asyncio.ensure_future(copied(source, ["*"], target))
        while not list(target.glob(".lepton-*")):  # noqa: ASYNC110 - a file of another thread
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [path.name for path in target.iterdir()] == ["a-first"]

    asyncio.run(asyncio.wait_for(cancelled(), 60))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio_")]
