"""Lambda Cloud's double: a vendor that checks what it is told, keeps time, and sends a bill."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

_LAUNCH = {"region_name": "us-east-1", "instance_type_name": "gpu_1x_a10", "ssh_key_names": ["k"]}


@pytest.fixture
def http(double: Any) -> Any:
    with httpx.Client(base_url=double.url, headers={"authorization": "Bearer double-key"}) as client:
        client.post("/ssh-keys", json={"name": "k", "public_key": "ssh-ed25519 AAAA"}).raise_for_status()
        yield client


def _code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def _launch(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/instance-operations/launch", json=_LAUNCH | more)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer double", "Digest double-key", "Basic !!", "Bearer double-key2"])
def test_who_is_not_let_in(double: Any, header: str) -> None:
    answer = httpx.get(f"{double.url}/instances", headers={"authorization": header} if header else {})
    assert _code(answer) == (401, "global/invalid-api-key")


def test_basic_is_let_in(double: Any) -> None:
    word = base64.b64encode(b"double-key:").decode()
    assert httpx.get(f"{double.url}/instances", headers={"authorization": f"Basic {word}"}).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"quantity": 1},
        {"tags": [{"key": "Bad", "value": "x"}]},
        {"tags": [{"key": "good", "value": "x" * 129}]},
        {"tags": [{"key": "good"}]},
        {"name": "n" * 65},
        {"hostname": "Not_A_Host"},
        {"ssh_key_names": ["k", "k"]},
        {"ssh_key_names": []},
        {"region_name": 7},
        {"image": {"id": "a", "family": "b"}},
    ],
)
def test_what_is_not_published_is_refused(http: httpx.Client, double: Any, more: dict[str, Any]) -> None:
    assert _code(_launch(http, **more)) == (400, "global/invalid-parameters")
    assert double.open() == []


@pytest.mark.parametrize("more", [{"region_name": "moon-1"}, {"instance_type_name": "x"}, {"ssh_key_names": ["x"]}])
def test_what_does_not_exist(http: httpx.Client, more: dict[str, Any]) -> None:
    assert _code(_launch(http, **more)) == (404, "global/object-does-not-exist")


def test_stock_runs_out_and_comes_back(http: httpx.Client) -> None:
    ids = [_launch(http, region_name="us-west-1").json()["data"]["instance_ids"][0] for _ in range(2)]
    assert _code(_launch(http, region_name="us-west-1")) == (400, "instance-operations/launch/insufficient-capacity")
    listed = http.get("/instance-types").json()["data"]["gpu_1x_a10"]["regions_with_capacity_available"]
    assert [region["name"] for region in listed] == ["us-east-1"]
    http.post("/instance-operations/terminate", json={"instance_ids": ids[:1]}).raise_for_status()
    assert _launch(http, region_name="us-west-1").status_code == 200


def test_a_bill_is_by_the_minute_from_active_to_the_end(http: httpx.Client, double: Any) -> None:
    double.tell("/settings", boot=100)
    (name,) = _launch(http).json()["data"]["instance_ids"]
    assert http.get(f"/instances/{name}").json()["data"]["status"] == "booting"
    assert float(double.ask("/bill")["total"]) == 0
    double.tell("/time", skip=100 + 90 * 60 - 30)
    assert http.get(f"/instances/{name}").json()["data"]["status"] == "active"
    http.post("/instance-operations/terminate", json={"instance_ids": [name]}).raise_for_status()
    double.tell("/time", skip=86400)
    # 90 minutes at 1.29 dollars an hour.
    bill = double.ask("/bill")
    assert [(row["id"], row["amount"]) for row in bill["rows"]] == [(name, "1.9350")]
    assert (bill["open"], bill["total"]) == ([], "1.9350")
    assert _code(http.get(f"/instances/{name}")) == (404, "global/object-does-not-exist")


def test_the_pace_is_enforced(start_double: Callable[..., Any]) -> None:
    double = start_double("--boot", "0")
    with httpx.Client(base_url=double.url, headers={"authorization": "Bearer double-key"}) as client:
        assert client.get("/instances").status_code == 200
        assert _code(client.get("/instances")) == (429, "global/rate-limited")
        double.tell("/time", skip=1)
        assert client.post("/ssh-keys", json={"name": "k", "public_key": "ssh-ed25519 AAAA"}).status_code == 200
        double.tell("/time", skip=1)
        assert _launch(client).status_code == 200
        double.tell("/time", skip=2)
        assert _code(_launch(client)) == (429, "global/rate-limited")
        double.tell("/time", skip=10)
        assert _launch(client).status_code == 200


@pytest.mark.parametrize(
    ("lever", "fields", "text"),
    [("/price", {"type": "gpu_9x", "cents": 1}, "gpu_9x"), ("/key", {"key": "k", "mood": 1}, "mood"), ("/gravity", {}, "404")],
)
def test_a_lever_that_is_pulled_wrongly_is_refused(double: Any, lever: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        double.tell(lever, **fields)


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(400):
        if holds():
            return
        threading.Event().wait(0.025)
    raise AssertionError("it did not come to pass")


def test_a_machine_is_a_command_of_ones_own(start_double: Callable[..., Any], tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"(echo $$ {{address}} {{port}}; cat {{authorized_keys}}) > {said}.new; mv {said}.new {said}; exec sleep 999"
    command = f"sh -c '{script}'"
    double = start_double("--pace", "0", "--launch-pace", "0", "--boot", "0", "--machine", command, "--ssh-port", "2299")
    with httpx.Client(base_url=double.url, headers={"authorization": "Bearer double-key"}) as client:
        client.post("/ssh-keys", json={"name": "k", "public_key": "ssh-ed25519 AAAA"}).raise_for_status()
        (name,) = _launch(client).json()["data"]["instance_ids"]
        address = client.get(f"/instances/{name}").json()["data"]["ip"]
        _until(said.exists)
        pid, *rest = said.read_text().split()
        assert rest == [address, "2299", "ssh-ed25519", "AAAA"]
        os.kill(int(pid), 0)
        client.post("/instance-operations/terminate", json={"instance_ids": [name]}).raise_for_status()
    _until(lambda: not _lives(pid))


def _lives(pid: str) -> bool:
    try:
        # The host's first process takes a dead one's number away in its own time.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
