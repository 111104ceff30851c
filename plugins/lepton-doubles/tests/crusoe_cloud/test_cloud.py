"""Crusoe Cloud's double, call by call, without a network: every request is signed as the vendor asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lepton_doubles.crusoe_cloud.cloud import CrusoeDouble
from lepton_doubles.crusoe_cloud.parts import CrusoeSettings
from lepton_doubles.crusoe_cloud.signature import expected_signature
from lepton_sdk.testing.doubles import Request, SSHMachines

_SECRET = "dGhlLXNlY3JldC1vZi10aGUtdGVzdHM"
_PROJECT = "00000000-0000-4000-8000-000000000001"
_HERE = f"/v1/projects/{_PROJECT}"
_VMS = f"{_HERE}/compute/vms/instances"
_VM = {"name": "a", "type": "l40s-48gb.1x", "location": "us-east1-a", "ssh_public_key": "ssh-ed25519 AAAA"}


class Switchable(SSHMachines):
    """Machines at which nobody answers, and which a test powers off."""

    off: datetime | None = None

    def off_since(self, name: str) -> datetime | None:
        return self.off


class Caller:
    """Calls the double with a good signature; status and body of the answer."""

    def __init__(self) -> None:
        self.machines = Switchable()
        self.exchanges: list[dict[str, Any]] = []
        settings = CrusoeSettings(boot=10, end=5, per_second=1000)
        self.double = CrusoeDouble(self.machines, settings, project=_PROJECT, keys={"double": _SECRET})

    def __call__(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        stamp = datetime.fromtimestamp(self.double.now(), UTC).isoformat()
        signature = expected_signature(_SECRET, method, target, stamp)
        headers = {"authorization": f"Bearer 1.0:double:{signature}", "x-crusoe-timestamp": stamp}
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self.double.answer(Request(method, target, headers, raw))
        path, _, query = target.partition("?")
        exchange = {"method": method, "path": path, "query": query, "request": raw.decode()}
        self.exchanges.append(exchange | {"status": reply.status, "reply": reply.body})
        return reply.status, reply.body

    def make(self, **more: Any) -> str:
        """Make a machine; its id."""
        status, said = self("POST", _VMS, _VM | more)
        assert status == 200, said
        return str(said["operation"]["metadata"]["id"])

    def state(self, name: str) -> str:
        """What the machine's state is said to be."""
        return str(self("GET", f"{_VMS}/{name}")[1]["state"])


@pytest.fixture
def cloud(contract_or_none: Any) -> Iterator[Caller]:
    """The double; what it answered is held against the published contract, where that is at hand, when the test ends."""
    caller = Caller()
    yield caller
    for exchange in caller.exchanges if contract_or_none else ():
        # For a wrong list and for a disk in use the contract declares no answer; 400 is an assumption.
        if exchange["status"] != 400 or exchange["method"] == "POST":
            contract_or_none.check(exchange)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tags": {}}, "tags is not a known field"),
        ({"name": "n" * 64}, "name is invalid"),
        ({"name": 7}, "name is invalid"),
        ({"type": "h900.1x"}, "unknown type 'h900.1x'"),
        ({"location": "mars-1"}, "unknown location 'mars-1'"),
        ({"image": "windows"}, "unknown image 'windows'"),
        ({"type": "h100-80gb-sxm-ib.8x"}, "host_channel_adapters are needed"),
        ({"host_channel_adapters": [{"transport_partition_id": "p"}]}, "unknown partition 'p'"),
        ({"disks": [{"disk_id": "d", "mode": "read-write", "attachment_type": "data"}]}, "unknown disk"),
    ],
)
def test_what_a_machine_cannot_be_made_of(cloud: Caller, change: dict[str, Any], words: str) -> None:
    status, said = cloud("POST", _VMS, _VM | change)
    assert (status, said["code"]) == (400, "bad_request")
    assert words in said["message"]
    assert cloud.double.ledger.charges == {}


def test_a_life_and_its_bill(cloud: Caller) -> None:
    name = cloud.make()
    assert cloud.state(name) == "STATE_CREATING"
    cloud.double.skip_time(10)
    assert cloud.state(name) == "STATE_RUNNING"
    cloud.double.skip_time(3590 - 30)
    status, said = cloud("DELETE", f"{_VMS}/{name}")
    assert (status, said["operation"]["state"], cloud.state(name)) == (200, "IN_PROGRESS", "STATE_DELETING")
    cloud.double.skip_time(5)
    assert cloud("GET", f"{_VMS}/{name}")[0] == 404
    assert cloud("GET", f"{_VMS}/operations/{said['operation']['operation_id']}")[1]["state"] == "SUCCEEDED"
    rows = {row["kind"]: row for row in cloud.double.show_bill()["rows"]}
    # The system disk ends with the machine, and an hour of it is 1.50.
    assert (rows["machine"]["amount"], rows["disk"]["amount"]) == ("1.5000", "0.0000")
    assert cloud.double.show_bill()["open"] == []


def test_a_machine_that_powers_itself_off_ends_its_bill_or_not(cloud: Caller) -> None:
    name = cloud.make()
    cloud.double.skip_time(60)
    cloud.machines.off = datetime.now(UTC)
    assert cloud.state(name) == "STATE_SHUTOFF"
    assert name not in cloud.double.show_bill()["open"]
    cloud.double.change_settings(power_off="keeps")
    assert cloud.state(name) == "STATE_RUNNING"
    assert name in cloud.double.show_bill()["open"]


def test_a_create_that_the_stock_does_not_have_fails_later(cloud: Caller) -> None:
    cloud.double.set_stock("l40s-48gb.1x", "us-east1-a", 0)
    cloud.double.set_promise("l40s-48gb.1x", "us-east1-a", 3)
    listed = cloud("GET", "/v1/capacities")[1]["items"]
    assert [row["quantity"] for row in listed if (row["type"], row["location"]) == ("l40s-48gb.1x", "us-east1-a")] == [3]
    _, said = cloud("POST", _VMS, _VM)
    operation = f"{_VMS}/operations/{said['operation']['operation_id']}"
    assert cloud("GET", operation)[1]["state"] == "IN_PROGRESS"
    cloud.double.skip_time(10)
    answer = cloud("GET", operation)[1]
    assert (answer["state"], answer["result"]["code"]) == ("FAILED", "out_of_stock")
    assert (cloud("GET", _VMS)[1]["items"], cloud.double.ledger.charges) == ([], {})


def test_a_list_has_pages_and_is_filtered(cloud: Caller) -> None:
    names = [cloud.make(name=f"m{number}") for number in range(3)]
    first = cloud("GET", f"{_VMS}?limit=2")[1]
    assert [one["id"] for one in first["items"]] == names[:2]
    rest = cloud("GET", f"{_VMS}?limit=2&next_token={first['next_page_token']}")[1]
    assert ([one["id"] for one in rest["items"]], "next_page_token" in rest) == (names[2:], False)
    assert [one["name"] for one in cloud("GET", f"{_VMS}?names=m0,m2")[1]["items"]] == ["m0", "m2"]
    assert cloud("GET", f"{_VMS}?limit=many")[0] == 400
    assert cloud("GET", f"{_VMS}?color=red")[0] == 400


def test_what_a_machine_holds_cannot_be_deleted(cloud: Caller) -> None:
    disk = {"name": "d", "location": "us-east1-a", "size": "10GiB", "type": "persistent-ssd"}
    held = cloud("POST", f"{_HERE}/storage/disks", disk)[1]["operation"]["metadata"]["id"]
    network = cloud("GET", f"{_HERE}/networking/ib-networks")[1]["items"][0]["id"]
    joined = cloud("POST", f"{_HERE}/networking/ib-partitions", {"name": "p", "ib_network_id": network})[1]["id"]
    parts = {
        "type": "h100-80gb-sxm-ib.8x",
        "disks": [{"disk_id": held, "mode": "read-write", "attachment_type": "data"}],
        "host_channel_adapters": [{"transport_partition_id": joined}],
    }
    name = cloud.make(**parts)
    places = (f"{_HERE}/storage/disks/{held}", f"{_HERE}/networking/ib-partitions/{joined}")
    assert [cloud("DELETE", place)[0] for place in places] == [400, 400]
    cloud("DELETE", f"{_VMS}/{name}")
    cloud.double.skip_time(5)
    assert [cloud("DELETE", place)[0] for place in places] == [200, 200]
    assert [cloud("DELETE", place)[0] for place in places] == [404, 404]
    assert cloud.double.show_bill()["open"] == []


@pytest.mark.parametrize(
    ("settings", "method", "target", "status"),
    [
        ({"read_only": True}, "POST", _VMS, 403),
        ({"read_only": True}, "GET", _VMS, 200),
        ({"expired": True}, "GET", _VMS, 401),
        ({"per_second": 0}, "GET", _VMS, 429),
        ({"quota": 0}, "POST", _VMS, 400),
        ({}, "GET", _VMS.replace(_PROJECT, "another"), 404),
        ({}, "GET", "/v1/organizations/projects/another", 404),
        ({}, "GET", f"/v1/organizations/projects/{_PROJECT}", 200),
    ],
)
def test_who_may_do_what(cloud: Caller, settings: dict[str, Any], method: str, target: str, status: int) -> None:
    cloud.double.change_settings(**settings)
    assert cloud(method, target, _VM if method == "POST" else None)[0] == status
    assert cloud.double.ledger.charges == {}


def test_a_wrong_signature_is_not_let_in(cloud: Caller) -> None:
    reply = cloud.double.answer(Request("GET", _VMS, {"authorization": "Bearer 1.0:double:x", "x-crusoe-timestamp": ""}))
    assert (reply.status, reply.body["code"]) == (401, "bad_credential")
