"""A job from flags, from a file, or from both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Lepton = Callable[..., subprocess.CompletedProcess[str]]


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
