"""Commands that act, over this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_jobs_own(code: int, lepton: Lepton) -> None:
    done = lepton("run", "--", "sh", "-c", f"echo out; exit {code}")
    assert done.returncode == code, done.stderr
    assert done.stdout == "out\n"
    assert f"exit code {code}" in done.stderr


def test_run_speaks_json_and_keeps_output_apart(lepton: Lepton) -> None:
    done = lepton("run", "--json", "--name", "loud", "--", "echo", "output")
    run = json.loads(done.stdout)
    assert {
        "id",
        "name",
        "state",
        "exit_code",
        "attempts",
        "provider",
        "cost",
        "started_at",
        "finished_at",
    } <= set(run)
    assert (run["name"], run["state"], run["exit_code"], run["provider"]) == ("loud", "succeeded", 0, "byoc")
    assert "output" in done.stderr
    listed = json.loads(lepton("ps", "--json").stdout)
    assert [entry["id"] for entry in listed] == [run["id"]]


def test_the_current_folder_is_copied_and_words_stay_whole(lepton: Lepton, place: Path) -> None:
    (place / "train.py").write_text("import sys; print(sys.argv[1:])\nopen('made', 'w')\n")
    done = lepton("run", "--", sys.executable, "train.py", "two words", "$HOME", "a'b\"c", "")
    assert done.stdout == repr(["two words", "$HOME", "a'b\"c", ""]) + "\n", done.stderr
    assert not (place / "made").exists()


def test_a_script_that_windows_saved_is_refused_before_anything_begins(lepton: Lepton, place: Path) -> None:
    for name, text in {"win dows.sh": b"#!/bin/sh\r\necho one\r\n", "unix.sh": b"#!/bin/sh\necho two\n"}.items():
        (place / name).write_bytes(text)
        (place / name).chmod(0o755)
    refused = lepton("run", "--", "./win dows.sh")
    assert refused.returncode == 2
    assert "./win dows.sh has Windows line ends" in refused.stderr
    assert "next: sed -i 's/\\r$//' './win dows.sh'" in refused.stderr
    assert json.loads(lepton("ps", "--json").stdout) == []
    assert lepton("run", "--", "./unix.sh").stdout == "two\n"


def test_an_image_can_be_a_flag(lepton: Lepton) -> None:
    job = json.loads(lepton("route", "--image", "registry.example/box:1", "--json", "--", "true").stdout)["job"]
    assert job["image"] == "registry.example/box:1"


def test_a_home_folder_is_not_copied_by_mistake(lepton: Lepton, place: Path) -> None:
    done = lepton("run", "--", "true", HOME=str(place))
    assert done.returncode == 2
    assert "--no-workdir" in done.stderr
    assert lepton("run", "--no-workdir", "--", "true", HOME=str(place)).returncode == 0


def test_flags_go_over_the_file(lepton: Lepton, place: Path) -> None:
    (place / "job.yaml").write_text("command: echo $A-$B\nenv: {A: file, B: file}\n")
    done = lepton("run", "job.yaml", "--env", "B=flag")
    assert done.stdout == "file-flag\n", done.stderr


def test_a_detached_run_is_driven_to_its_end(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton(
        "run",
        "--detach",
        "--secret",
        "TOKEN",
        "--",
        "sh",
        "-c",
        'test "$(printf %s "$TOKEN" | tr 0-9 a-j)" = sdcrdt && echo fine',
        TOKEN="s3cr3t",
    )
    assert done.returncode == 0, done.stderr
    run = done.stdout.strip()
    # The follower alone drives it: reading rows takes no step.
    journal = tmp_path / "state" / "journal.db"

    def ended() -> bool:
        import sqlite3

        connection = sqlite3.connect(journal)
        try:
            return bool(connection.execute("SELECT ended FROM runs").fetchone()[0])
        finally:
            connection.close()

    until(ended, "the follower ends the run")
    assert lepton("logs", run).stdout == "fine\n"
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in (tmp_path / "state").glob("journal.db*"))
    assert b"s3cr3t" not in (tmp_path / "state" / "follower.log").read_bytes()


@pytest.fixture
def long_run(lepton: Lepton, place: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> subprocess.Popen[str]:
        words = ["run", *flags, "--name", "long", "--", "sh", "-c", "echo begun; exec sleep 300"]
        process = subprocess.Popen(
            [sys.executable, "-m", "lepton_sdk", *words],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    lepton("stop", "long")
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_without_a_terminal_stops_and_gives_back(
    number: signal.Signals, long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton
) -> None:
    process = long_run()
    process.send_signal(number)
    process.communicate(timeout=30)
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "stopped"
    assert json.loads(lepton("nodes", "--json").stdout) == []


def test_a_second_interrupt_leaves_no_more_behind_than_the_first(
    long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton
) -> None:
    process = long_run()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping the run" not in (line := process.stderr.readline()):
        assert line, "it ended without a word"
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    process.communicate(timeout=60)
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "stopped"
    assert json.loads(lepton("nodes", "--json").stdout) == []


def test_an_interrupt_can_hand_the_run_on(long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton) -> None:
    process = long_run("--on-interrupt", "detach")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "running"
    assert lepton("stop", "long").stdout.endswith("stopped\n")


def test_a_killed_client_leaves_a_run_that_another_stops(long_run: Callable[..., subprocess.Popen[str]], lepton: Lepton) -> None:
    process = long_run()
    process.kill()
    process.communicate()
    (node,) = json.loads(lepton("nodes", "--json").stdout)
    assert {"id", "provider", "state", "run", "price_per_hour", "cost_so_far", "since"} <= set(node)
    assert lepton("logs", "long").stdout == "begun\n"
    assert lepton("stop", "long").stdout.endswith("stopped\n")
    assert json.loads(lepton("nodes", "--json").stdout) == []


def test_follow_is_a_service_that_leaves_politely(
    long_run: Callable[..., subprocess.Popen[str]],
    lepton: Lepton,
    environment: dict[str, str],
    place: Path,
) -> None:
    long_run().kill()
    service = subprocess.Popen(
        [sys.executable, "-m", "lepton_sdk", "follow"], cwd=place, env=environment, stderr=subprocess.PIPE, text=True
    )
    until(lambda: _claimed_by(environment, service.pid), "the service has taken the run over")
    service.terminate()
    assert service.wait(30) == 0
    assert service.stderr is not None
    service.stderr.close()
    (run,) = json.loads(lepton("ps", "--json").stdout)
    assert run["state"] == "running"


def _claimed_by(environment: dict[str, str], pid: int) -> bool:
    import sqlite3

    connection = sqlite3.connect(Path(environment["LEPTON_SDK_STATE"], "journal.db"))
    try:
        row = connection.execute("SELECT holder FROM claims").fetchone()
    finally:
        connection.close()
    return f"/{pid}/" in row[0]


def test_logs_follow_to_the_end(lepton: Lepton, place: Path, environment: dict[str, str]) -> None:
    lepton("run", "--detach", "--name", "ticks", "--", "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    assert lepton("logs", "-f", "ticks").stdout == "1\n2\n3\n"
    lines = [json.loads(line) for line in lepton("logs", "--json", "--offset", "2", "ticks").stdout.splitlines()]
    assert (lines[0]["offset"], "".join(line["text"] for line in lines)) == (2, "2\n3\n")
