"""Who holds a claim: a process that others can tell from every other one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

from lepton_sdk._engine.claims.holder import in_words, is_alive, is_here, this_process


def test_the_words_for_a_holder_name_its_process_and_host() -> None:
    assert in_words(this_process("x")) == f"process {os.getpid()} on host {socket.gethostname()}"
    assert is_here(this_process("x"))
    assert not is_here("elsewhere/boot/1/1/x")


def test_a_process_that_came_later_under_the_same_number_is_another_one() -> None:
    host, boot, pid, start, nonce = this_process("x").split("/")
    assert is_alive("/".join((host, boot, pid, start, nonce)))
    assert not is_alive("/".join((host, boot, pid, str(int(start) - 1), nonce)))
    # After a boot nothing of before lives, whatever number it had.
    assert not is_alive("/".join((host, "another-boot", pid, start, nonce)))


def test_what_has_ended_is_not_alive_although_nobody_took_note_of_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, boot, _, _, _ = this_process("x").split("/")
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    holder = "/".join((host, boot, str(child.pid), started, "x"))
    assert is_alive(holder)
    child.kill()
    until(lambda: not is_alive(holder), "a zombie counts as dead")
    child.communicate()
    assert not is_alive(holder)


@pytest.mark.parametrize("holder", ["elsewhere/boot/1/1/x", "a word", ""])
def test_of_what_is_elsewhere_nobody_here_knows(holder: str) -> None:
    assert is_alive(holder)
    assert not is_here(holder)
    assert in_words("a word") == "the follower a word"


def test_where_nothing_tells_when_a_process_began_its_number_has_to_do() -> None:
    host, boot, pid, _, _ = this_process("x").split("/")
    assert is_alive("/".join((host, boot, pid, "0", "x")))
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not is_alive("/".join((host, boot, str(ended.pid), "0", "x")))
