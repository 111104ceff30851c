"""The pin of a rented machine belongs to the machine, that of a host of the user's own to its address."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk._config import load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys, machine_of
from lepton_sdk.domain.access import SSHAccess, access_from_dict, access_to_dict
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import NodeError
from lepton_sdk.spi.capabilities import Forgetting
from lepton_sdk.spi.executor import ExecutionState


def rent(host: Any, token: str) -> Any:
    """The same address, as another machine of a cloud."""
    host.node = evolve(host.node, provider="cloud", id=f"id-{token}", token=token)
    return host


def new_machine(server: Any) -> None:
    server.stop()
    server.new_key()
    server.begin()


def answers(host: Any) -> bool:
    return host.poll(host.execution("true")).state is ExecutionState.ABSENT


def pins(host: Any) -> list[Path]:
    return sorted(Path(host.state, "known_hosts.d").glob("*"))


def test_an_address_that_comes_back_works(make_host: Any, server: Any) -> None:
    host = rent(make_host(server), "one")
    assert isinstance(host.executor, Forgetting)
    assert answers(host)
    (pin,) = pins(host)
    assert (pin.stat().st_mode & 0o777, pin.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert pin.read_text().split() == [pin.name, *server.host_key.split()]
    host.do(host.executor.forget(host.node))
    host.do(host.executor.forget(host.node))
    assert pins(host) == []
    new_machine(server)
    assert answers(rent(host, "two"))
    # Also when nobody told that the first one was given back, and with what an earlier version pinned by address.
    new_machine(server)
    Path(host.state, "known_hosts").write_text(f"[127.0.0.1]:{server.port} {(host.server.folder / 'hostkey.pub').read_text()}")
    new_machine(server)
    assert answers(rent(host, "three"))
    assert [path.name.split(".")[0] for path in pins(host)] == ["three", "two"]


def test_another_key_of_the_same_machine_is_refused(make_host: Any, server: Any) -> None:
    host = rent(make_host(server), "one")
    assert answers(host)
    new_machine(server)
    host.do(host.executor.aclose())
    for _ in range(2):
        with pytest.raises(NodeError, match="has changed") as caught:
            answers(host)
        assert "lepton stop" in (caught.value.hint or "")


def test_what_the_users_files_say_of_the_address_is_of_another_machine(make_host: Any, server: Any, own_home: Path) -> None:
    other = own_home / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    known = own_home / ".ssh/known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}")
    assert answers(rent(make_host(server), "one"))
    # What is revoked is revoked.
    known.write_text(f"@revoked [127.0.0.1]:{server.port} {server.host_key}\n")
    with pytest.raises(NodeError, match="revoked"):
        answers(rent(make_host(server), "two"))


@pytest.mark.parametrize("by_provider", [False, True])
def test_a_host_of_ones_own_keeps_its_pin(make_host: Any, server: Any, by_provider: bool) -> None:
    host = rent(make_host(server), "one")
    if by_provider:
        host.executor._own = lambda name: name == "cloud"
    else:
        host.reach(own=True)
    assert answers(host)
    host.do(host.executor.forget(host.node))
    assert pins(host) == []
    new_machine(server)
    host.do(host.executor.aclose())
    with pytest.raises(NodeError, match="has changed"):
        answers(rent(host, "two"))


def test_an_emptied_pin_locks_nobody_out(make_host: Any, server: Any) -> None:
    host = rent(make_host(server), "one")
    assert answers(host)
    pins(host)[0].write_text("")
    host.do(host.executor.aclose())
    assert answers(host)
    assert pins(host)[0].read_text().split()[1:] == server.host_key.split()


def test_forgetting_ends_the_connection(make_host: Any, server: Any) -> None:
    host = rent(make_host(server), "one")
    host.result(host.start("echo here"))
    assert server.sessions()
    host.do(host.executor.forget(host.node))
    host.until(lambda: not server.sessions())
    # What asks again connects anew.
    assert host.poll(host.begun[0]).state is ExecutionState.FINISHED


def test_of_two_that_come_first_one_pins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncssh = pytest.importorskip("asyncssh")
    one, two = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    books = [HostKeys(tmp_path / "known_hosts") for _ in range(2)]
    assert books[0].pin("host", one, "machine")
    assert books[1].pin("host", one, "machine")
    assert not books[1].pin("host", two, "machine")
    assert len([record for record in caplog.records if "is pinned" in record.getMessage()]) == 1


def test_names_of_machines_are_their_own(tmp_path: Path) -> None:
    engine = Engine(load_config(state=tmp_path / "state"))
    access = SSHAccess("198.51.100.1")
    node = Node("cloud", "i", "t", access=access)
    others = [evolve(node, provider="other"), evolve(node, id="j"), evolve(node, token="../../x y")]
    names = {machine_of(one, lambda _: False) for one in (node, *others)}
    assert len(names) == 4
    assert all("/" not in name and " " not in name and ".." not in name for name in names)
    assert machine_of(evolve(node, token=None), lambda _: False) == ""
    assert machine_of(evolve(node, access=evolve(access, own=False)), lambda _: True) != ""
    # What costs something is rented, unless its provider says that it is the user's own.
    assert [machine_of(evolve(node, price=price), lambda _: True) == "" for price in (None, Money("0"), Money("1"))] == [
        True,
        True,
        False,
    ]
    assert machine_of(evolve(node, price=Money("1"), access=evolve(access, own=True)), lambda _: False) == ""
    assert [engine.has_own_hosts(name) for name in ("byoc", "no-such-provider")] == [True, False]


def test_an_access_of_before_is_read_and_written_as_before() -> None:
    access = SSHAccess("198.51.100.1")
    plain = access_to_dict(access)
    assert "own" not in plain
    assert access_from_dict(plain) == access
    assert access_from_dict(access_to_dict(evolve(access, own=True))) == evolve(access, own=True)
