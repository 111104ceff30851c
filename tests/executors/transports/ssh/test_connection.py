"""Who is let in, whose host key is believed, and what a broken connection means."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk.domain.access import LocalAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import ContractViolation, Disposition, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState


def pins(host: Any) -> Path:
    return Path(host.state, "known_hosts")


def refused(host: Any, match: str) -> NodeError:
    with pytest.raises(NodeError, match=match) as caught:
        host.poll(host.execution("true"))
    assert caught.value.disposition is not Disposition.RETRY_SAME
    assert caught.value.hint
    return caught.value


def notices(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What users were told of keys that were pinned."""
    return [record.getMessage() for record in caplog.records if record.name == "lepton_sdk"]


def test_first_use_pins_the_host_key_and_says_so_once(make_host: Any, server: Any, caplog: pytest.LogCaptureFixture) -> None:
    host = make_host(server)
    assert host.poll(host.execution("true")).state is ExecutionState.ABSENT
    assert pins(host).read_text().split()[:3] == [f"[127.0.0.1]:{server.port}", *server.host_key.split()]
    assert pins(host).stat().st_mode & 0o777 == 0o600
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "hostkey.pub")], capture_output=True, text=True, check=True
    )
    (notice,) = notices(caplog)
    assert fingerprint.stdout.split()[1] in notice
    host.do(host.executor.aclose())
    host.poll(host.execution("true"))
    assert notices(caplog) == [notice]


def test_changed_host_key_is_refused_and_not_tried_again(make_host: Any, server: Any) -> None:
    host = make_host(server)
    host.poll(host.execution("true"))
    host.do(host.executor.aclose())
    server.stop()
    server.new_key()
    server.begin()
    before = pins(host).read_text()
    error = refused(host, "has changed")
    assert str(pins(host)) in (error.hint or "")
    assert pins(host).read_text() == before


def test_known_hosts_of_the_user_is_believed_and_wins_over_the_first_use(
    make_host: Any, server: Any, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = own_home / ".ssh/known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    host = make_host(server)
    host.poll(host.execution("true"))
    assert notices(caplog) == []
    assert not pins(host).exists()
    other = own_home / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    known.write_text(f"[127.0.0.1]:{server.port} {other.with_suffix('.pub').read_text()}")
    refused(make_host(server), "has changed")


def test_key_of_another_port_of_the_same_address_says_nothing(
    make_host: Any, server: Any, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = own_home / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    (own_home / ".ssh/known_hosts").write_text(f"127.0.0.1 {other.with_suffix('.pub').read_text()}")
    host = make_host(server)
    host.poll(host.execution("true"))
    assert len(notices(caplog)) == 1


def test_revoked_host_key_is_refused(make_host: Any, server: Any, own_home: Path) -> None:
    (own_home / ".ssh/known_hosts").write_text(f"@revoked [127.0.0.1]:{server.port} {server.host_key}\n")
    refused(make_host(server), "revoked")


def test_only_keys_that_the_provider_vouches_for_are_believed(make_host: Any, server: Any, own_home: Path) -> None:
    (own_home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    other = own_home / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    host = make_host(server)
    host.reach(host_keys=(other.with_suffix(".pub").read_text(),))
    refused(host, "does not vouch for")
    host.reach(host_keys=(server.host_key,))
    assert host.poll(host.execution("true")).state is ExecutionState.ABSENT
    assert not pins(host).exists()


def test_vouched_key_that_is_none_is_the_providers_fault(make_host: Any, server: Any) -> None:
    host = make_host(server)
    host.reach(host_keys=("ssh-ed25519 nonsense",))
    with pytest.raises(ContractViolation, match="vouches"):
        host.poll(host.execution("true"))


def test_refused_key_says_which_user_and_which_keys(
    make_host: Any, server: Any, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (server.folder / "authorized_keys").write_text("")
    error = refused(make_host(server), f"refused the user '{getpass.getuser()}'")
    assert str(own_home / ".ssh/id_ed25519") in error.message


def test_wrong_user_is_refused(make_host: Any, server: Any) -> None:
    host = make_host(server)
    host.reach(user="no-such-user")
    refused(host, "no-such-user")


def test_the_agents_keys_are_tried(
    make_host: Any, server: Any, own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        host = make_host(server)
        host.until(socket.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        key = own_home / ".ssh/id_ed25519"
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        key.unlink()
        key.with_suffix(".pub").unlink()
        assert host.poll(host.execution("true")).state is ExecutionState.ABSENT
    finally:
        agent.terminate()
        agent.wait(10)


def test_the_users_ssh_config_is_respected(make_host: Any, server: Any, own_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = own_home / ".ssh/id_ed25519"
    for suffix in ("", ".pub"):
        Path(f"{key}{suffix}").rename(own_home / f"elsewhere{suffix}")
    lines = ["Host box", "HostName 127.0.0.1", f"Port {server.port}", f"User {getpass.getuser()}"]
    lines += [f"IdentityFile {own_home}/elsewhere", f"UserKnownHostsFile {own_home}/hosts", "HostKeyAlias the-box"]
    (own_home / ".ssh/config").write_text("\n".join(lines) + "\n")
    (own_home / "hosts").write_text(f"the-box {server.host_key}\n[the-box]:{server.port} {server.host_key}\n")
    host = make_host(server)
    host.reach(host="box", user="", port=0)
    assert host.result(host.start("echo here"))[1] == b"here\n"
    assert notices(caplog) == []


def test_a_host_behind_another_is_reached_and_both_keys_are_checked(make_host: Any, make_server: Any) -> None:
    inner, outer = make_server(), make_server()
    host = make_host(inner)
    host.reach(proxy_jump=f"{getpass.getuser()}@127.0.0.1:{outer.port}")
    assert host.result(host.start("echo behind"))[1] == b"behind\n"
    assert [line.split()[0] for line in pins(host).read_text().splitlines()] == [
        f"[127.0.0.1]:{outer.port}",
        f"[127.0.0.1]:{inner.port}",
    ]
    outer.stop()
    outer.new_key()
    outer.begin()
    host.do(host.executor.aclose())
    refused(host, f"127.0.0.1.:{outer.port} has changed")
    host.reach(proxy_jump=None)


def test_nobody_at_home_is_unreachable(make_host: Any, server: Any) -> None:
    server.stop()
    host = make_host(server)
    with pytest.raises(NodeUnreachable, match="cannot be reached"):
        host.poll(host.execution("true"))
    server.begin()
    assert host.poll(host.execution("true")).state is ExecutionState.ABSENT


def test_a_name_that_does_not_resolve_is_unreachable(make_host: Any, server: Any) -> None:
    host = make_host(server)
    host.reach(host="no-such-host.invalid")
    with pytest.raises(NodeUnreachable, match=r"no-such-host\.invalid"):
        host.poll(host.execution("true"))


def test_access_of_another_kind_is_refused(host: Any) -> None:
    with pytest.raises(ContractViolation, match="no SSH access"):
        host.do(host.executor.poll(Node("here", "x", access=LocalAccess()), host.execution("true")))


COUNT = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.01; done"
COUNTED = b"".join(b"line %d\n" % n for n in range(300))


def test_log_goes_on_at_the_byte_when_its_connection_is_killed(host: Any) -> None:
    run = host.start(COUNT)
    cuts = [b"line 20\n", b"line 90\n", b"line 200\n"]

    async def read() -> bytes:
        seen = b""
        async for piece in host.executor.logs(host.node, run, follow=True):
            seen += piece
            if cuts and cuts[0] in seen:
                cuts.pop(0)
                host.server.cut()
        return seen

    assert host.do(read()) == COUNTED
    assert cuts == []
    assert host.poll(run).exit_code == 0


def test_broken_connection_is_unreachable_and_never_a_success(host: Any) -> None:
    run = host.start("sleep 60")
    host.until(lambda: host.poll(run).state is ExecutionState.RUNNING)

    async def cut_and_poll() -> None:
        host.server.signal(signal.SIGSTOP)
        polling = asyncio.ensure_future(host.executor.poll(host.node, run))
        # The question is on its way, and nobody answers it.
        await asyncio.sleep(0.05)
        assert not polling.done()
        host.server.cut()
        await polling

    with pytest.raises(NodeUnreachable):
        host.do(cut_and_poll())
    assert host.poll(run).state is ExecutionState.RUNNING


def test_log_of_a_node_that_stays_away_ends_in_an_error(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton_sdk._executors.transports.ssh.executor._FIRST_PAUSE", 0.01)
    run = host.start("echo ready; sleep 60")

    async def read() -> None:
        async for _ in host.executor.logs(host.node, run, follow=True):
            host.server.stop()

    with pytest.raises(NodeUnreachable):
        host.do(read())
    host.server.begin()
    assert host.logs(run) == b"ready\n"


def test_more_readers_than_one_connection_carries(host: Any) -> None:
    # sshd allows ten sessions a connection; the test's server has that default.
    run = host.start("while ! [ -e go ]; do sleep 0.02; done; echo end")

    async def read() -> bytes:
        return b"".join([piece async for piece in host.executor.logs(host.node, run, follow=True)])

    async def all_of_them() -> list[bytes]:
        readers = [asyncio.ensure_future(read()) for _ in range(25)]
        await asyncio.to_thread(host.until, lambda: len(host.server.sessions()) >= 4)
        (host.folder(run) / "work/go").touch()
        return await asyncio.gather(*readers)

    assert host.do(all_of_them()) == [b"end\n"] * 25


def test_server_that_allows_few_sessions_gets_more_connections(make_host: Any, make_server: Any) -> None:
    server = make_server("SetEnv FEW=1\nMaxSessions 2")
    host = make_host(server)
    run = host.start("echo one; sleep 0.3; echo two")
    assert host.result(run)[1] == b"one\ntwo\n"
    assert 2 <= len(server.sessions()) <= 4


def test_closing_leaves_no_connection(make_host: Any, server: Any) -> None:
    host = make_host(server)
    host.start("sleep 60")
    assert server.sessions() != set()
    host.do(host.executor.aclose())
    host.until(lambda: server.sessions() == set())
