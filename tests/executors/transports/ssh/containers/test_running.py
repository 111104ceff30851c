"""Jobs in an image, over real engines."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import evolve

from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, fake_offer


def test_a_job_runs_inside_with_its_files_and_variables(host: Any, begin: Any, engine: Any, tmp_path: Path) -> None:
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
    assert engine.left(run) == []


def test_stop_ends_and_removes_the_container(host: Any, begin: Any, engine: Any) -> None:
    run = begin("trap '' TERM; echo inside; while :; do sleep 1; done")
    host.until(lambda: b"inside" in host.logs(run), 60)
    assert len(engine.left(run)) == 1
    host.cancel(run)
    assert host.poll(run).reason == "cancelled"
    host.until(lambda: host.none_of(run))
    host.until(lambda: engine.left(run) == [], 60)


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


def test_the_checkpoint_place_is_there_inside(host: Any, begin: Any, tmp_path: Path) -> None:
    place = tmp_path / "kept here"
    environment = {"LEPTON_CHECKPOINT": f"{place}/own"}
    command = 'mkdir -p "$LEPTON_CHECKPOINT" && echo step >"$LEPTON_CHECKPOINT/file"'
    run = begin(command, checkpoint=str(place), environment=environment)
    assert host.result(run)[0].exit_code == 0
    assert (place / "own/file").read_text() == "step\n"


def test_an_image_that_does_not_exist_says_so(host: Any, engine: Any) -> None:
    run = host.start("true", image="localhost/no-such-image:1", env=engine.env)
    status, output = host.result(run)
    assert (status.reason, status.exit_code) == ("setup", 125)
    assert b"lepton: the image localhost/no-such-image:1 cannot be pulled here" in output


def test_a_node_without_an_engine_says_so(make_host: Any, server: Any, tmp_path: Path, image: str) -> None:
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
    run = run_with.start("true", image=image, env={"PATH": str(tools)})
    status, output = run_with.result(run)
    assert (status.reason, status.exit_code) == ("setup", 125)
    assert b"needs Docker or podman, and neither works" in output


def test_a_shell_goes_into_the_container_and_a_nodes_id_stays_outside(
    engine: Any, image: str, server: Any, cloud_of: Any, tmp_path: Path, own_home: Path, until: Any
) -> None:
    key = str(own_home / ".ssh/id_ed25519")
    cloud = cloud_of(fake_offer("small"), server)
    cloud.access = [evolve(way, identity=key) for way in cloud.access]
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        command = "echo inside > mine; echo ready; while ! [ -e go ]; do sleep 0.1; done"
        job = Job(
            command,
            image=image,
            env=engine.env | {"NGPUS": "0", "ODD": "it's $(x)"},
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
