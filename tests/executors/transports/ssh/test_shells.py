"""Nodes with little on them: busybox alone, dash as login shell, no shell at all, noisy start-up files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.errors import NodeError
from lepton_sdk.spi.executor import ExecutionState

# Only names that busybox itself answers to: what is not in this folder does not exist for the node.
_TOOLS = (
    "cat chmod comm cp cut date env find grep gzip head ln ls mkdir mv printf ps rm sed seq setsid sh sleep sort sync "
    "tail tar touch tr true wc"
)


@pytest.fixture
def bare(make_server: Any, tmp_path: Path) -> Any:
    """Makes servers in a mount namespace of their own, in which some files are others."""
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("a mount namespace needs root")

    def make(changes: dict[str, Path], more: str = "") -> Any:
        server = make_server(more)
        server.stop()
        binds = "".join(f"mount --bind '{new}' '{old}' && " for old, new in changes.items())
        server.wrap = ["unshare", "--mount", "/bin/bash", "-c", f'{binds} exec "$@"', "sh"]
        server.begin()
        return server

    return make


def login(tmp_path: Path, shell: str) -> Path:
    """An account list in which this user has another shell."""
    lines = Path("/etc/passwd").read_text().splitlines()
    changed = [line.rpartition(":")[0] + f":{shell}" if line.split(":")[2] == str(os.getuid()) else line for line in lines]
    (tmp_path / "passwd").write_text("\n".join(changed) + "\n")
    return tmp_path / "passwd"


@pytest.fixture
def busybox(bare: Any, tmp_path: Path) -> Any:
    """A server on which /bin/sh and every tool are busybox."""
    box = shutil.which("busybox")
    if box is None:
        pytest.skip("busybox is not installed (busybox-static)")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in _TOOLS.split():
        (tools / name).symlink_to(box)
    shell = str(Path("/bin/sh").resolve())
    return bare({shell: Path(box), "/etc/passwd": login(tmp_path, "/bin/sh")}, f"SetEnv PATH={tools}")


def test_busybox_runs_a_job_from_start_to_end(make_host: Any, busybox: Any, tmp_path: Path) -> None:
    (tmp_path / "project/sub").mkdir(parents=True)
    (tmp_path / "project/data").write_text("x")
    (tmp_path / "project/sub/link").symlink_to("../data")
    host = make_host(busybox)
    run = host.start("cat data sub/link; seq 3000; exit 7", setup="echo setup", workdir=tmp_path / "project")
    status, output = host.result(run)
    assert (status.exit_code, status.reason) == (7, "exit")
    assert output == b"setup\nxx" + b"".join(b"%d\n" % n for n in range(1, 3001))
    assert host.logs(run, 8, follow=True) == output[8:]


def test_busybox_follows_a_log_and_cancels_the_tree(make_host: Any, busybox: Any) -> None:
    host = make_host(busybox)
    run = host.start(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300' & (sleep 300 &) ; echo ready; while :; do sleep 1; done"
    )
    host.until(lambda: host.logs(run) == b"ready\n")
    host.until(lambda: len(host.processes(run)) >= 4)
    host.cancel(run)
    assert host.none_of(run)
    assert (host.poll(run).state, host.poll(run).reason) == (ExecutionState.FINISHED, "cancelled")


def test_busybox_keeps_the_time_limit(make_host: Any, busybox: Any) -> None:
    host = make_host(busybox)
    status, _ = host.result(host.start("sleep 60", time_limit=0.3))
    assert (status.reason, status.signal) == ("timeout", "SIGTERM")


def test_dash_as_login_shell(make_host: Any, bare: Any, tmp_path: Path) -> None:
    if not Path("/bin/dash").exists():
        pytest.skip("dash is not installed")
    host = make_host(bare({"/etc/passwd": login(tmp_path, "/bin/dash")}))
    assert host.result(host.start("echo $SHELL"))[1] == b"/bin/dash\n"


def test_user_without_a_shell_is_told_so(make_host: Any, bare: Any, tmp_path: Path) -> None:
    host = make_host(bare({"/etc/passwd": login(tmp_path, "/usr/sbin/nologin")}))
    with pytest.raises(NodeError, match=r"has no shell for us: .*not available"):
        host.poll(host.execution("true"))


def test_start_up_files_that_print_are_passed_over(make_host: Any, bare: Any, tmp_path: Path) -> None:
    server = bare({"/etc/passwd": login(tmp_path, "/bin/bash")})
    (server.home / ".bashrc").write_text("echo welcome; echo; echo noise >&2\n")
    host = make_host(server)
    assert host.result(host.start("echo mine"))[1] == b"mine\n"


def test_node_without_tar_says_so(make_host: Any, bare: Any, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in _TOOLS.split():
        if name != "tar" and (tool := shutil.which(name)):
            (tools / name).symlink_to(tool)
    host = make_host(bare({}, f"SetEnv PATH={tools}"))
    (tmp_path / "project").mkdir()
    with pytest.raises(NodeError, match="has no tar"):
        host.start("true", workdir=tmp_path / "project")
    assert host.result(host.start("echo fine"))[1] == b"fine\n"


def test_node_without_setsid_runs_and_cancels_too(make_host: Any, bare: Any, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in _TOOLS.split():
        if name != "setsid" and (tool := shutil.which(name)):
            (tools / name).symlink_to(tool)
    host = make_host(bare({}, f"SetEnv PATH={tools}"))
    assert host.result(host.start("echo fine; exit 3"))[0].exit_code == 3
    run = host.start("sleep 300 & echo ready; sleep 300")
    host.until(lambda: host.logs(run) == b"ready\n")
    host.server.cut()
    host.until(lambda: len(host.processes(run)) >= 3)
    host.cancel(run)
    assert host.none_of(run)
    assert host.poll(run).reason == "cancelled"
