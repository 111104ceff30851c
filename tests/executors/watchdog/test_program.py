"""The watchdog as a program: real processes, real time, its power-off replaced by one command that leaves a line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lepton_sdk._executors.watchdog.program import WatchdogPlan, install_script

_LONG = 3600.0
_SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def until(holds: Callable[[], object], limit: float = 60) -> None:
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


class Machine:
    """A folder in which a watchdog lives, and what it may see there."""

    def __init__(self, folder: Path, shell: str = "sh") -> None:
        self.folder, self.off = folder / "watchdog", folder / "off"
        self._home = folder
        self._shell = [shell, "sh"] if shell == "busybox" else [shell]
        self._started: list[subprocess.Popen[bytes]] = []
        self.pids: set[int] = set()

    def arm(self, *, boot: float = _LONG, tick: float = 0.05, **plan: float) -> None:
        script = install_script(WatchdogPlan(boot, tick=tick, power_off=f"echo off >>{self.off}", **plan), str(self.folder))
        # The guard is started as the script was: by the shell under test.
        script = script.replace("exec /bin/sh", f"exec {' '.join(self._shell)}")
        done = subprocess.run(self._shell, input=script.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        until(self.lives)
        self.pids.add(self.guard)

    def stands(self) -> list[str]:
        with suppress(OSError):
            words = (self.folder / "state").read_text().partition("\n")[0].split()
            return words if len(words) == 7 else []
        return []

    def lives(self) -> bool:
        """Whether the guard that the state names is a process that runs; a killed one's state stays for a while."""
        with suppress(OSError, IndexError):
            return Path(f"/proc/{self.guard}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        return False

    @property
    def guard(self) -> int:
        return int(self.stands()[5])

    @property
    def phase(self) -> str:
        return self.stands()[3]

    @property
    def age(self) -> float:
        return (int(self.stands()[2]) - 10**15) / 100

    def begin(self, name: str = "run.1-0") -> subprocess.Popen[bytes]:
        """A run whose keeper is a process that sleeps."""
        run = self._home / name
        run.mkdir()
        keeper = subprocess.Popen(["sleep", "600"])
        self._started.append(keeper)
        born = Path(f"/proc/{keeper.pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (run / "start").write_text(f"epoch 1\npid {keeper.pid}\nborn {born}\nboot {boot}\n")
        (self.folder / "runs" / name).symlink_to(run)
        return keeper

    def end(self, name: str = "run.1-0") -> None:
        (self._home / name / "status").write_text("state finished\n")

    def visit(self) -> None:
        (self.folder / "runs/.visited").touch()

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        for pid in self.pids | ({self.guard} if self.stands() else set()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.close()


@pytest.mark.parametrize("shell", _SHELLS)
def test_a_machine_on_which_nothing_begins_goes_off(shell: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, shell)
    try:
        machine.arm(boot=0.5, age=0)
        until(machine.off.exists)
        assert machine.age >= 0.5
        assert machine.phase == "leaving"
    finally:
        machine.close()


@pytest.mark.parametrize("shell", _SHELLS)
def test_a_run_within_its_limits_is_left_alone_and_its_end_begins_the_keep_time(shell: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, shell)
    try:
        machine.arm(boot=_LONG, keep=0.5, age=0)
        machine.begin()
        until(lambda: machine.phase == "running")
        # Many looks, all of them beyond the keep time, and nobody visits.
        began = machine.age
        until(lambda: machine.age > began + 1.5)
        assert not machine.off.exists()
        machine.end()
        until(machine.off.exists)
    finally:
        machine.close()


def test_a_run_does_not_outlive_its_limit(machine: Machine) -> None:
    machine.arm(limit=0.5, age=0)
    machine.begin()
    until(machine.off.exists)
    assert list((machine.folder / "marks").glob("begun.*"))


def test_the_budget_ends_whatever_happens(machine: Machine) -> None:
    machine.arm(limit=_LONG, budget=1.0, age=0)
    machine.begin()
    machine.visit()
    until(machine.off.exists)
    assert machine.age >= 1.0


def test_the_bill_is_older_than_the_watchdog_when_it_is_armed_late(machine: Machine) -> None:
    machine.arm(budget=1000.0, age=990.0)
    assert 990 <= machine.age < 1000
    assert not machine.off.exists()
    late = Machine(machine.folder.parent / "late")
    late.off.parent.mkdir()
    late.arm(budget=1000.0, age=1001.0)
    until(late.off.exists)
    late.close()


def test_a_dead_keeper_is_the_end_of_its_run(machine: Machine) -> None:
    machine.arm(keep=0.3, age=0)
    keeper = machine.begin()
    until(lambda: machine.phase == "running")
    keeper.kill()
    keeper.wait()
    until(machine.off.exists)


def test_visits_put_off_the_end_until_they_stop(machine: Machine) -> None:
    machine.arm(keep=1.0, age=0)
    machine.begin()
    until(lambda: machine.phase == "running")
    machine.end()
    until(lambda: machine.phase == "keeping")
    ended = machine.age

    def visited_for_long() -> bool:
        machine.visit()
        return machine.age > ended + 3

    until(visited_for_long)
    assert not machine.off.exists()
    until(machine.off.exists)


def test_visits_keep_a_machine_that_is_being_made_ready(machine: Machine) -> None:
    machine.arm(boot=1.0, keep=1.0, age=0)

    def visited_for_long() -> bool:
        machine.visit()
        return machine.age > 3

    until(visited_for_long)
    assert (machine.phase, machine.off.exists()) == ("waiting", False)


def test_a_reboot_moves_no_deadline(machine: Machine) -> None:
    machine.arm(boot=1000.0, age=400.0, tick=0.05)
    os.kill(machine.guard, signal.SIGKILL)
    # A new boot: another id, and uptime that begins again; what was counted stands in the file.
    words = machine.stands()
    words[0] = "another-boot"
    words[1] = str(10**15 + 999_999_999)
    words[2] = str(10**15 + 99_990)
    (machine.folder / "state").write_text(" ".join(words) + "\n")
    machine.arm(boot=1000.0, age=0)
    until(machine.off.exists)
    assert machine.age >= 1000


def test_the_first_plan_stands_and_one_guard_lives(machine: Machine) -> None:
    machine.arm(boot=_LONG, age=0)
    first = machine.guard
    machine.arm(boot=0.01)
    began = machine.age
    until(lambda: machine.age > began + 0.5)
    assert (machine.guard, machine.off.exists()) == (first, False)


def test_a_hang_up_and_the_death_of_who_armed_it_change_nothing(machine: Machine) -> None:
    machine.arm(boot=1.0, age=0)
    os.kill(machine.guard, signal.SIGHUP)
    until(machine.off.exists)


def test_a_killed_guard_goes_on_counting_when_it_comes_back(machine: Machine) -> None:
    machine.arm(boot=_LONG, age=500.0)
    os.kill(machine.guard, signal.SIGKILL)
    machine.arm()
    assert machine.age >= 500
    assert machine.guard in machine.pids


def test_half_a_note_does_not_stop_it(machine: Machine) -> None:
    machine.arm(boot=1.0, age=0)
    os.kill(machine.guard, signal.SIGKILL)
    (machine.folder / "state").write_text("some-boot 10000")
    machine.arm()
    until(machine.off.exists)


def test_it_asks_no_clock_that_can_be_set(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "mkdir", "cat", "mv", "chmod", "ln", "rm", "sync", "sleep", "setsid"):
        (tools / name).symlink_to(shutil.which(name) or name)
    # What would tell the time of day is not there, so nothing can depend on it.
    monkeypatch.setenv("PATH", str(tools))
    machine.arm(boot=0.3, age=0)
    until(machine.off.exists)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_full_disk_does_not_keep_the_machine(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.decode().strip()}")
    machine = Machine(disk)
    machine.off = tmp_path / "off"
    try:
        machine.arm(keep=0.5, age=0)
        machine.begin()
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
        until(lambda: machine.phase == "running")
        machine._started[0].kill()
        machine._started[0].wait()
        until(machine.off.exists)
    finally:
        machine.close()
        subprocess.run(["umount", "-l", str(disk)], check=True)
