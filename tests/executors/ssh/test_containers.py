"""Jobs in an image, over a real podman where one works."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job
from lepton_sdk._executors.container import contained
from lepton_sdk.errors import JobSpecError
from lepton_sdk.spi.executor import Execution
from lepton_sdk.testing import FAKE_SPEC, fake_offer

_IMAGE = "localhost/lepton-test-box"
_TOOLS = "sh cat echo env sleep id pwd true false ls printf hostname grep touch awk df tr kill mkdir sed"
_CONF = """\
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
runtime = "runc"
"""


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings under which podman works in a sandbox, and an image that holds busybox alone."""
    folder = tmp_path_factory.mktemp("podman")
    conf, box = folder / "containers.conf", shutil.which("busybox")
    if shutil.which("podman") is None or shutil.which("runc") is None or box is None:
        pytest.skip("podman, runc or busybox is not installed")
    conf.write_text(_CONF)
    with tarfile.open(folder / "box.tar", "w") as tar:
        tar.add(box, "bin/busybox")
        for name in _TOOLS.split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    podman(conf, "import", str(folder / "box.tar"), _IMAGE)
    done = podman(conf, "run", "--rm", "--network", "host", _IMAGE, "true", check=False)
    if done.returncode:
        pytest.skip(f"podman cannot run a container here: {done.stderr.strip()[-200:]}")
    return conf


def podman(conf: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    variables = {"CONTAINERS_CONF": str(conf), "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(["podman", *words], env=variables, capture_output=True, text=True, check=check, timeout=120)


@pytest.fixture
def begin(host: Any, engine: Path) -> Callable[..., Any]:
    def begin(command: str, **more: Any) -> Any:
        env = {"CONTAINERS_CONF": str(engine)} | more.pop("env", {})
        return host.start(command, image=_IMAGE, env=env, **more)

    return begin


def left(engine: Path, host: Any, run: Any) -> list[str]:
    """The containers of a run that are there in any state."""
    name = f"lepton-{run.run_id}-{run.attempt}-{run.rank}-{run.epoch}"
    return podman(engine, "ps", "--all", "--format", "{{.Names}}", "--filter", f"name={name}").stdout.split()


def test_a_job_runs_inside_with_its_files_and_variables(host: Any, begin: Any, engine: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/data").write_text("mine\n")
    run = begin(
        'pwd; cat data; echo "$ODD"; echo "$TOKEN" | tr a-z A-Z; hostname; echo made > result; exit 7',
        setup="echo setup; echo ready > from-setup",
        workdir=tmp_path / "project",
        env={"ODD": "a 'b' \"c\" $(d) `e` \\ ;"},
        secrets={"TOKEN": "hush"},
    )
    status, output = host.result(run)
    lines = output.decode().splitlines()
    assert lines[:6] == ["setup", "/workspace", "mine", "a 'b' \"c\" $(d) `e` \\ ;", "HUSH", "job-0"]
    assert (status.exit_code, status.reason) == (7, "exit")
    assert (host.folder(run) / "work/result").read_text() == "made\n"
    assert (host.folder(run) / "work/from-setup").exists()
    assert left(engine, host, run) == []


def test_stop_ends_and_removes_the_container(host: Any, begin: Any, engine: Path) -> None:
    run = begin("trap '' TERM; echo inside; while :; do sleep 1; done")
    host.until(lambda: b"inside" in host.logs(run), 60)
    assert len(left(engine, host, run)) == 1
    host.cancel(run)
    assert host.poll(run).reason == "cancelled"
    host.until(lambda: host.none_of(run))
    host.until(lambda: left(engine, host, run) == [], 60)


def test_a_signal_inside_keeps_its_number(host: Any, begin: Any) -> None:
    status, _ = host.result(begin("sh -c 'kill -9 $$'; exit $?"))
    assert status.exit_code == 137


def test_user_folder_mounts_shared_memory_and_names_of_nodes(host: Any, begin: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data/file").write_text("from outside\n")
    tmp_path.chmod(0o755)
    run = begin(
        "id -u; pwd; cat /data/file; touch /data/x 2>&1 | grep -c 'Read-only'; df /dev/shm | grep -c ' 65536 '\n"
        "grep lepton /etc/hosts",
        container={"user": "1000", "workdir": "/w", "mounts": {str(tmp_path / "data"): "/data:ro"}, "shm_size": 0.0625},
        environment={"HOST_ADDRS": "10.0.0.1,10.0.0.2", "LEPTON_SUBDOMAIN": "lepton"},
    )
    _, output = host.result(run)
    told = output.decode().split("\n")
    assert told[:5] == ["1000", "/w", "from outside", "1", "1"]
    assert sorted(line.split() for line in told[5:] if line) == [["10.0.0.1", "job-0.lepton"], ["10.0.0.2", "job-1.lepton"]]


def test_an_image_that_does_not_exist_says_so(host: Any, engine: Path) -> None:
    run = host.start("true", image="localhost/no-such-image:1", env={"CONTAINERS_CONF": str(engine)})
    status, output = host.result(run)
    assert (status.reason, status.exit_code) == ("setup", 125)
    assert b"lepton: the image localhost/no-such-image:1 cannot be pulled here" in output


def test_a_node_without_an_engine_says_so(make_host: Any, server: Any, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in [
        "cat",
        "chmod",
        "cp",
        "cut",
        "date",
        "env",
        "find",
        "grep",
        "gzip",
        "head",
        "ln",
        "ls",
        "mkdir",
        "mv",
        "ps",
        "rm",
        "sed",
        "setsid",
        "sh",
        "sleep",
        "sort",
        "sync",
        "tail",
        "tar",
        "touch",
        "tr",
        "wc",
    ]:
        if tool := shutil.which(name):
            (tools / name).symlink_to(tool)
    run_with = make_host(server)
    run = run_with.start("true", image=_IMAGE, env={"PATH": str(tools)})
    status, output = run_with.result(run)
    assert (status.reason, status.exit_code) == ("setup", 125)
    assert b"needs Docker or podman, and neither works" in output


def test_the_choice_of_gpus_and_credentials_in_words() -> None:
    job = Job(
        "true",
        image="registry.example:5000/team/box:1",
        container={"registry": {"username": "me", "password": "PULL_KEY"}, "ports": [8888, "9000:80"]},
        secrets=["PULL_KEY"],
    )
    told = contained(
        Execution("r", 1, 1, 0, job, environment={"CUDA_VISIBLE_DEVICES": "GPU-1"}, secrets={"PULL_KEY": "hush"})
    ).job
    assert told.image is None
    assert 'printf %s "$PULL_KEY" | "$engine" login --username me --password-stdin registry.example:5000' in str(told.setup)
    assert "hush" not in str(told)
    assert "--publish 8888 --publish 9000:80" in told.command
    assert "--network" not in told.command
    assert "--env CUDA_VISIBLE_DEVICES" not in told.command


def argv_of(gpus: str, visible: str, engine: str, tmp_path: Path) -> str:
    """What the script calls an engine with, told by one that only prints."""
    (tmp_path / engine).write_text('#!/bin/sh\ncase $1 in run) echo "$@" ;; esac\n')
    (tmp_path / engine).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NGPUS": gpus} | ({"CUDA_VISIBLE_DEVICES": visible} if visible else {})
    command = contained(Execution("r", 1, 1, 0, Job("true", image="box"), environment={"NGPUS": gpus})).job.command
    return subprocess.run(["sh", "-c", command], env=variables, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("gpus", "visible", "engine", "words"),
    [
        ("2", "GPU-1,GPU-2", "docker", '--gpus "device=GPU-1,GPU-2"'),
        ("8", "", "docker", "--gpus all"),
        ("2", "GPU-1,GPU-2", "podman", "--device nvidia.com/gpu=GPU-1 --device nvidia.com/gpu=GPU-2"),
        ("8", "", "podman", "--device nvidia.com/gpu=all"),
    ],
)
def test_gpus_reach_the_engine(gpus: str, visible: str, engine: str, words: str, tmp_path: Path) -> None:
    if engine == "podman" and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        pytest.skip("a Docker engine works here and goes first")
    assert words in argv_of(gpus, visible, engine, tmp_path)


def test_no_gpu_asks_for_none(tmp_path: Path) -> None:
    assert "gpu" not in argv_of("0", "", "docker", tmp_path).partition("box")[0].replace("--env NGPUS", "")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"image": "-rm"}, "image: '-rm'"),
        ({"image": "a b"}, "image: 'a b'"),
        ({"container": {"user": "x"}}, "there is no image"),
        ({"image": "a", "container": {"shm": 1}}, "container.shm: unknown key"),
        ({"image": "a", "container": {"ports": ["70000"]}}, "container.ports"),
        ({"image": "a", "container": {"mounts": {"data": "/data"}}}, "no absolute path"),
        ({"image": "a", "container": {"mounts": {"/a/../b": "/data"}}}, "no absolute path"),
        ({"image": "a", "container": {"user": "$(id)"}}, "container.user"),
        ({"image": "a", "container": {"workdir": "w"}}, "container.workdir"),
        ({"image": "a", "container": {"registry": {"username": "me", "password": "s3cret!"}}}, "never the value"),
        ({"image": "a", "container": {"registry": {"username": "me", "password": "KEY"}}}, "none of the job's secrets"),
        ({"image": "a", "container": {"registry": {"username": "me"}}}, "container.registry.password"),
    ],
)
def test_what_does_not_hold_is_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(JobSpecError, match=word.replace("$", "\\$").replace("(", "\\(")):
        Job("true", **fields)


def test_a_container_survives_the_journal() -> None:
    box = {"shm_size": 16.0, "ports": ["8888"], "mounts": {"/a": "/b:ro"}, "user": "1000:1000", "workdir": "/w"}
    registry = {"username": "me", "password": "KEY", "server": "r.example"}
    job = Job("true", image="a/b:c", container=box | {"registry": registry}, secrets=["KEY"])
    assert Job.from_dict(job.to_dict()) == job
    assert job.to_dict()["container"] == box | {"registry": registry}


def test_a_shell_goes_into_the_container_and_a_nodes_id_stays_outside(
    engine: Path, server: Any, cloud_of: Any, tmp_path: Path, own_home: Path, until: Any
) -> None:
    key = str(own_home / ".ssh/id_ed25519")
    cloud = cloud_of(fake_offer("small"), server)
    cloud.access = [evolve(way, identity=key) for way in cloud.access]
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        command = "echo inside > mine; echo ready; while ! [ -e go ]; do sleep 0.1; done"
        job = Job(
            command,
            image=_IMAGE,
            env={"CONTAINERS_CONF": str(engine), "NGPUS": "0", "ODD": "it's $(x)"},
            container={"workdir": "/w"},
        )
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(client.run, job)
            until(lambda: client.runs() and b"ready" in b"".join(client.logs(client.runs()[0].id)), 60)
            (run,) = client.runs()
            asked = """pwd; cat mine; hostname; echo "$ODD"; exit 5"""
            done = subprocess.run(client.reach(run.id).shell(asked), capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout.splitlines()) == (5, ["/w", "inside", "job-0", "it's $(x)"]), done.stderr
            shell = ["script", "-qec", shlex.join(client.reach(run.id).shell()), "/dev/null"]
            typed = subprocess.run(shell, input="hostname; exit 3\n", capture_output=True, text=True, check=False)
            assert (typed.returncode, "job-0" in typed.stdout) == (3, True), typed.stdout
            node = run.members[0].node
            assert node is not None
            outside = subprocess.run(client.reach(node.id).shell("pwd"), capture_output=True, text=True, check=True)
            assert outside.stdout.strip().endswith("/1-0/work")
            Path(outside.stdout.strip(), "go").touch()
            assert running.result(60).exit_code == 0
