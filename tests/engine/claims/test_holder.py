"""Who holds a claim: a process that others can tell from every other one."""

from __future__ import annotations

import os
import socket

from lepton_sdk._engine.claims.holder import in_words, is_here, this_process


def test_the_words_for_a_holder_name_its_process_and_host() -> None:
    assert in_words(this_process("x")) == f"process {os.getpid()} on host {socket.gethostname()}"
    assert is_here(this_process("x"))
    assert not is_here("elsewhere/boot/1/1/x")
