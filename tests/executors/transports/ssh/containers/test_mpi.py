"""``launcher: mpi`` in an image that has Open MPI: two nodes, each in a container of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job, RunState
from lepton_sdk.testing import FAKE_SPEC, fake_offer

_IMAGE = "localhost/lepton-test-mpi"
_TOOLS = "sh cat echo env sleep printf hostname tr kill mkdir sed sort uniq test true touch rm uname"
_PROGRAM = """
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
  int rank, mine, sum;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  mine = 1 << rank;
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d adds up to %d\\n", rank, sum);
  return MPI_Finalize();
}
"""


def _libraries(files: list[Path]) -> set[Path]:
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    return {Path(name) for name in re.findall(r"(/\S+) \(0x", told)}


def _open_mpi() -> list[Path]:
    """The files of this machine's Open MPI and Python, with all that they load."""
    lib = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH") or "x86_64-linux-gnu")
    tools = [Path(shutil.which(name, path="/usr/bin") or "") for name in ("mpirun", "orted", "python3")]
    python = Path(sysconfig.get_paths(vars={"base": "/usr", "installed_base": "/usr"})["stdlib"]).name
    folders = [*lib.glob("openmpi*"), *lib.glob("pmix*"), Path("/usr/share/openmpi"), Path("/etc/openmpi")]
    modules = [path for path in (Path("/usr/lib") / python).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    own = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted({*tools, *modules, *own, *_libraries([*tools, *(p for p in (*own, *modules) if ".so" in p.name)])})


@pytest.fixture(scope="module")
def mpi_image(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    missing = [
        name for name in ("mpirun", "orted", "mpicc", "python3", "busybox") if not shutil.which(name, path="/usr/bin:/bin")
    ]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    archive = tmp_path_factory.mktemp("mpi") / "box.tar"
    with tarfile.open(archive, "w") as tar:
        for name in (".", "tmp", "usr", "usr/bin"):
            place = tarfile.TarInfo(name)
            place.type, place.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(place)
        for name, target in (("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")):
            _link(tar, name, target)
        tar.add(shutil.which("busybox") or "", "usr/bin/busybox")
        for name in _TOOLS.split():
            _link(tar, f"usr/bin/{name}", "busybox")
        for path in _open_mpi():
            inside = path if path.is_relative_to("/usr") or path.is_relative_to("/etc") else Path("/usr") / path.relative_to("/")
            tar.add(path.resolve(), str(inside))
    made = engine("import", str(archive), _IMAGE, check=False)
    if made.returncode:
        pytest.skip(f"{engine.name} cannot take an image here: {made.stderr.strip()[-200:]}")
    yield _IMAGE
    engine("rmi", "--force", _IMAGE, check=False)


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    tar.addfile(link)


@pytest.fixture
def client(make_server: Any, cloud_of: Any, tmp_path: Path) -> Iterator[Client]:
    providers = {FAKE_SPEC: cloud_of(fake_offer("small", count=2), make_server(), make_server())}
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers=providers) as client:
        yield client


def _job(engine: Any, image: str, folder: Path) -> Job:
    env = engine.env | {"NGPUS": "0"}
    return Job("./sum", workdir=folder, image=image, resources="H100:2", nodes=2, launcher="mpi", env=env)


def test_ranks_in_containers_meet_and_add_up(client: Client, engine: Any, mpi_image: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "sum.c").write_text(_PROGRAM)
    subprocess.run(["mpicc", "sum.c", "-o", "project/sum"], cwd=tmp_path, check=True)
    run = client.run(_job(engine, mpi_image, tmp_path / "project"))
    output = b"".join(client.logs(run.id)).decode()
    assert run.state is RunState.SUCCEEDED, output
    assert {line[4:] for line in output.splitlines() if "adds up" in line} == {f"rank {n} adds up to 3" for n in range(2)}


def test_an_image_without_open_mpi_says_so(client: Client, engine: Any, image: str, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    run = client.run(_job(engine, image, tmp_path / "project"))
    assert (run.state, run.exit_code) == (RunState.FAILED, 127)
    assert b"launcher mpi needs Open MPI 4 and python3 on every node" in b"".join(client.logs(run.id))
