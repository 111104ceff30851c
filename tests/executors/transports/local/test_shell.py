"""The pipe to the keeper on this host: it comes up anew, belongs to one process, and adopts what has lost its parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.executors.process_table import process_table

from lepton_sdk._executors.keeper.program import KEEPER, KEEPER_NAME
from lepton_sdk._executors.transports.local import shell as shells
from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState

# Own session, no environment, no parent, and deaf: nothing but the kernel knows whose it is.
HIDDEN = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    code = "import os,signal,time\\nsignal.signal(15, signal.SIG_IGN)\\nopen('hidden.new','w').write(str(os.getpid()))\\n"
    code += "os.rename('hidden.new','hidden')\\nos.chdir('/')\\nfor fd in (0,1,2): os.close(fd)\\ntime.sleep(300)"
    os.execve(sys.executable, [sys.executable, "-S", "-c", code], {})
"""


@pytest.fixture(params=["perl", "python"])
def adopter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What makes the keeper the parent of orphans."""
    if request.param == "python":
        monkeypatch.setattr(shells, "_adopting", lambda: [sys.executable, "-I", "-S", "-c", shells._PYTHON])
    elif "perl" not in shells._adopting()[0]:
        pytest.skip("there is no perl here")
    return str(request.param)


@pytest.mark.parametrize("tail", ["; exit 4", "; sleep 300"], ids=["left behind", "cancelled"])
def test_a_process_that_only_the_kernel_knows_ends_with_its_run(host: Any, adopter: str, tmp_path: Path, tail: str) -> None:
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide/hide.py").write_text(HIDDEN)
    wait = "while ! [ -e hidden ]; do sleep 0.02; done; : >there"
    run = host.start(f"{sys.executable} hide.py; {wait}{tail}", workdir=tmp_path / "hide")
    place = host.folder(run) / "work/there"
    host.until(place.exists)
    hidden = int((host.folder(run) / "work/hidden").read_text())
    if "300" in tail:
        assert process_table()[hidden].parent == host.keeper(run)
        host.cancel(run)
    else:
        assert host.result(run)[0].exit_code == 4
    assert not (found := process_table().get(hidden)) or not found.runs


def test_a_job_hears_what_its_client_ignores(host: Any, adopter: str) -> None:
    kept = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)]
    try:
        run = host.start("trap 'echo int' INT; trap 'echo hup; exit 5' HUP; kill -INT $$; kill -HUP $$; sleep 5")
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGHUP), kept, strict=True):
            signal.signal(number, handler)
    assert host.result(run)[1] == b"int\nhup\n"


def test_a_locale_that_is_not_here_is_no_trouble(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    assert host.result(host.start("echo $LC_ALL"))[1] == b"xx_XX.UTF-8\n"


def test_a_run_that_leaves_nothing_has_no_process_table_read(host: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading it takes time that grows with all that runs on the host; one file of the kernel tells as well.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "grep").write_text(f'#!/bin/sh\n: >{tmp_path}/called\nexec /usr/bin/grep "$@"\n')
    (tools / "grep").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    host.result(host.start("true"))
    assert not (tmp_path / "called").exists()
    host.result(host.start("setsid sleep 300 & exit 0"))
    assert (tmp_path / "called").exists()


def test_a_path_without_the_systems_tools_is_enough(host: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = host.start("echo $PATH")
    assert host.result(run)[1] == f"{tmp_path}\n".encode()


def test_a_question_is_asked_again_when_the_process_that_answers_was_ended(host: Any) -> None:
    run = host.start("sleep 300")
    assert host.poll(run).state in (ExecutionState.SETUP, ExecutionState.RUNNING)
    os.kill(host.executor._shell._serving.pid, signal.SIGKILL)
    assert host.poll(run).state in (ExecutionState.SETUP, ExecutionState.RUNNING)


def test_questions_from_many_threads_get_their_own_answers(host: Any) -> None:
    runs = [host.start(f"exit {n}") for n in range(4)]
    for run in runs:
        host.result(run)
    wrong: list[int] = []

    def ask(n: int) -> None:
        wrong.extend(n for _ in range(30) if host.poll(runs[n]).exit_code != n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_fork_asks_a_process_of_its_own(host: Any) -> None:
    run = host.start("exit 5")
    host.result(run)
    serving = host.executor._shell._serving.pid
    if not (child := os.fork()):
        try:
            shell = host.executor._shell
            said = shell._ask(f"poll {run.run_id}/1-0 1 0 -\n".encode())
            good = "code 5" in said and shell._serving.pid != serving
            shell.close()
            os._exit(0 if good else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert host.poll(run).exit_code == 5
    assert host.executor._shell._serving.pid == serving


def test_a_program_that_is_cut_off_is_written_anew(host: Any) -> None:
    host.runs.parent.mkdir(parents=True)
    (host.runs.parent / KEEPER_NAME).write_bytes(KEEPER[:100])
    assert host.result(host.start("echo out"))[1] == b"out\n"
    assert (host.runs.parent / KEEPER_NAME).read_bytes() == KEEPER


def test_a_keeper_that_cannot_come_up_is_an_error_and_leaves_nothing(
    host: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shells, "_adopting", lambda: ["/bin/false"])
    (tmp_path / "project").mkdir()
    run = host.execution("true", workdir=tmp_path / "project")
    with pytest.raises(NodeUnreachable, match="did not come up"):
        host.start(run)
    assert not host.folder(run).exists()
    assert list((host.runs.parent / "in").iterdir()) == []


def test_credentials_of_the_client_are_not_in_the_keepers_environment(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "only-ours-4711")
    run = host.start("sleep 300")
    for pid in (host.keeper(run), host.executor._shell._serving.pid if host.poll(run) else 0):
        assert b"only-ours-4711" not in Path(f"/proc/{pid}/environ").read_bytes()
