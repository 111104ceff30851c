"""Files come back from a node whole, and nothing that a node sends is written elsewhere."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_sdk._executors.workdir.ignore import chosen
from lepton_sdk._executors.workdir.landing import Landing
from lepton_sdk._executors.workdir.outputs import copy_outputs
from lepton_sdk._executors.workdir.unpacking import Broken, Unpacking
from lepton_sdk.spi.executor import Fetched

_MAKE = """
mkdir -p results/deep "odd dir"; echo one > results/a.txt; printf 'x%.0s' 1 2 3 > results/deep/b.bin
ln -s a.txt results/link; ln -s /etc/passwd results/out; ln results/a.txt results/same
echo three > "odd dir/it's \\"\\$(x)\\" -n.pt"; echo no > other; chmod 750 results/deep/b.bin
"""


def brought(host: Any, run: Any, target: Path, *patterns: str, most: int | None = None) -> Fetched:
    found: Fetched = host.do(host.executor.fetch(host.node, run, patterns, target, most=most))
    return found


def fetched(host: Any, run: Any, target: Path, *patterns: str) -> tuple[str, ...]:
    return tuple(sorted(brought(host, run, target, *patterns).paths))


def unpack(file: io.BytesIO, wanted: set[str], target: Path, *, piece: int = 700) -> Fetched:
    """What comes of an archive that arrives in pieces."""
    landing = Landing(target)
    unpacking = Unpacking(wanted, landing)
    try:
        while data := file.read(piece):
            unpacking.feed(data)
        unpacking.end()
    finally:
        unpacking.drop()
    landing.finish()
    return landing.fetched


def tree(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return {str(p.relative_to(folder)): f"-> {p.readlink()}" if p.is_symlink() else p.read_text() for p in paths}


_ALL = {
    "results/a.txt": "one\n",
    "results/deep/b.bin": "xxx",
    "results/link": "-> a.txt",
    "results/same": "one\n",
    'odd dir/it\'s "$(x)" -n.pt': "three\n",
}


def test_what_the_patterns_name_comes_back(host: Any, tmp_path: Path) -> None:
    run = host.start(_MAKE)
    host.result(run)
    target = tmp_path / "here"
    found = brought(host, run, target, "results/", "*.pt")
    assert set(found.paths) == set(_ALL)
    # A link that leaves the run's folder would point to another file here.
    assert found.missing == (("results/out", "it is a link that leads out of the run's folder"),)
    assert tree(target) == _ALL
    assert (target / "results/deep/b.bin").stat().st_mode & 0o777 == 0o750
    assert fetched(host, run, tmp_path / "none", "*.zip") == ()


def test_files_can_be_had_while_the_job_runs(host: Any, tmp_path: Path) -> None:
    run = host.start("echo early > part; sleep 300")
    host.until(lambda: fetched(host, run, tmp_path / "here", "part") == ("part",))
    assert tree(tmp_path / "here") == {"part": "early\n"}


def test_a_large_file_and_many_small_ones(host: Any, tmp_path: Path) -> None:
    run = host.start(
        "head -c 30000000 /dev/urandom > big; mkdir many; for i in $(seq 500); do echo $i > many/$i; done; cksum big"
    )
    _, output = host.result(run)
    target = tmp_path / "here"
    assert len(fetched(host, run, target, "big", "many/")) == 501
    assert (target / "big").stat().st_size == 30_000_000
    assert (target / "big").read_bytes() == (host.folder(run) / "work/big").read_bytes()
    assert {path.read_text() for path in (target / "many").iterdir()} == {f"{n}\n" for n in range(1, 501)}
    assert output


def test_busybox_packs_too(make_host: Any, server: Any, tmp_path: Path) -> None:
    box = shutil.which("busybox")
    if box is None:
        pytest.skip("busybox is not installed (busybox-static)")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").symlink_to(box)
    server.stop()
    text = (server.folder / "sshd_config").read_text()
    (server.folder / "sshd_config").write_text(text.replace("SetEnv ", f"SetEnv PATH={tools}:{os.environ['PATH']} "))
    server.begin()
    host = make_host(server)
    run = host.start(_MAKE)
    host.result(run)
    fetched(host, run, tmp_path / "here", "results/", "*.pt")
    assert tree(tmp_path / "here") == _ALL


def test_local_files_are_copied_by_the_same_rules(tmp_path: Path) -> None:
    source = tmp_path / "work"
    source.mkdir()
    assert os.system(f"cd '{source}'; {_MAKE}") == 0
    found = copy_outputs(source, ["results/", "*.pt"], tmp_path / "here")
    assert set(found.paths) == set(_ALL)
    assert found.missing == (("results/out", "it is a link that leads out of the run's folder"),)
    assert tree(tmp_path / "here") == _ALL


def archive(*members: tuple[str, str, str]) -> io.BytesIO:
    """A tar of (kind, name, target or content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for kind, name, text in members:
            info = tarfile.TarInfo(name)
            if kind == "file":
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.type = tarfile.SYMTYPE if kind == "link" else tarfile.LNKTYPE
                info.linkname = text
                tar.addfile(info)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    "members",
    [
        [("file", "../outside", "x")],
        [("file", "/outside", "x")],
        [("file", "a/../../outside", "x")],
        [("file", "unasked", "x")],
        [("hard", "a", "../outside")],
    ],
)
def test_what_nobody_asked_for_is_passed_over(members: list[tuple[str, str, str]], tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    wanted = {name for _, name, _ in members} - {"unasked"} | {"good"}
    found = unpack(archive(*members, ("file", "good", "fine")), wanted, tmp_path / "here")
    assert found.paths == ("good",)
    assert tree(tmp_path / "here") == {"good": "fine"}
    assert (tmp_path / "outside").read_text() == "mine"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    here = tmp_path / "here"
    unpack(archive(("link", "a", "b"), ("file", "b/x", "fine")), {"a", "b/x"}, here)
    assert (here / "a/x").read_text() == "fine"
    (here / "evil").symlink_to(tmp_path / "outside")
    found = unpack(archive(("file", "evil/x", "bad"), ("file", "c", "fine")), {"evil/x", "c"}, here)
    assert found.paths == ("c",)
    ((path, why),) = found.missing
    assert (path, "is a link here" in why) == ("evil/x", True)
    assert not any((tmp_path / "outside").iterdir())
    # One in the place of the file itself is replaced.
    (tmp_path / "kept").write_text("mine")
    (here / "one").symlink_to(tmp_path / "kept")
    unpack(archive(("file", "one", "new")), {"one"}, here)
    assert ((here / "one").read_text(), (tmp_path / "kept").read_text()) == ("new", "mine")


@pytest.mark.parametrize("size", [1, 511, 600, 3000, 5500])
def test_half_an_archive_leaves_no_half_file(tmp_path: Path, size: int) -> None:
    whole = archive(("file", "a", "x" * 5000)).getvalue()
    with pytest.raises(Broken):
        unpack(io.BytesIO(whole[:size]), {"a"}, tmp_path / "here")
    assert not (tmp_path / "here").exists() or list((tmp_path / "here").iterdir()) == []


_NAME = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="/"), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@settings(max_examples=50, deadline=None)
@given(files=st.dictionaries(_NAME, st.text(max_size=50), min_size=1, max_size=8))
def test_any_name_survives(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("any")
    done = unpack(archive(*(("file", f"./{name}", text) for name, text in files.items())), set(files), target)
    assert (set(done.paths), done.missing) == (set(files), ())
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {n: t.encode()[: len(t)] for n, t in files.items()}


def test_patterns_are_those_of_gitignore() -> None:
    means = chosen(["results/", "*.pt", "!bad.pt", "/top.txt"])
    assert [means(p) for p in ("results/a/b", "x/results/c", "x/y.pt", "x/bad.pt", "top.txt", "x/top.txt", "other")] == [
        True,
        True,
        True,
        False,
        True,
        False,
        False,
    ]


def test_every_name_comes_from_a_node_and_what_is_no_file_is_named(host: Any, tmp_path: Path) -> None:
    run = host.start("echo r > zz; mkdir d; mkfifo d/pipe; ln -s .. d/up; ln -s ../.. d/out; mkdir e; : > e/x; ln e/x e/y")
    host.result(run)
    work = host.folder(run) / "work"
    names = ["界" * 85, "x" * 255, "\x1b[2Jb", "new\nline", "-rf", os.fsdecode(b"bad\xffutf")]
    for name in names:
        (work / name).write_bytes(name.encode(errors="surrogateescape"))
    found = brought(host, run, tmp_path / "here", "*")
    assert set(found.paths) == {*names, "zz", "d/up", "e/x", "e/y"}
    assert dict(found.missing).keys() == {"d/pipe", "d/out"}
    assert {name: (tmp_path / "here" / name).read_bytes() for name in names} == {
        name: name.encode(errors="surrogateescape") for name in names
    }
    # What was patterned away is not named.
    assert brought(host, run, tmp_path / "there", "zz") == Fetched(("zz",), ())


def test_bytes_from_a_node_are_bounded(host: Any, tmp_path: Path) -> None:
    run = host.start("head -c 100 /dev/zero > a; truncate -s 1T b; head -c 6000000 /dev/zero > c; echo fine > d; ln c c2")
    host.result(run)
    found = brought(host, run, tmp_path / "here", "*", most=5_000_000)
    assert set(found.paths) == {"a", "d"}
    assert {path for path, why in found.missing if "do not fit" in why} == {"b", "c", "c2"}
    found = brought(host, run, tmp_path / "there", "*", most=13_000_000)
    assert set(found.paths) == {"a", "c", "c2", "d"}


def test_a_folder_in_the_place_of_a_file_costs_the_file(host: Any, tmp_path: Path) -> None:
    run = host.start("echo one > a; echo two > b")
    host.result(run)
    (tmp_path / "here/b").mkdir(parents=True)
    found = brought(host, run, tmp_path / "here", "*")
    assert found == Fetched(("a",), (("b", "Is a directory"),))


def test_nothing_is_there_to_be_brought_once_the_folder_is_gone(host: Any, tmp_path: Path) -> None:
    run = host.start("echo one > a")
    host.result(run)
    shutil.rmtree(host.folder(run) / "work")
    found = brought(host, run, tmp_path / "here", "*")
    assert found.paths == ()
    ((path, why),) = found.missing
    assert (path, "could be looked at" in why) == (".", True)
