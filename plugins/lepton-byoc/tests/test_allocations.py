"""GPUs are handed out once, in every process of this host."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def _gpus(node: dict[str, Any]) -> list[str]:
    return [uuid for uuid in node["provider_data"]["gpus"].split(",") if uuid]


def test_a_gpu_that_is_held_is_not_offered_again_until_it_is_released(host: Any, uuid: Callable[[int], str]) -> None:
    host.has("gpus 2")
    (first,) = host.run(["acquire", "H100:1", "t1"])
    assert first["state"] == "ready"
    assert first["access"]["environment"]["CUDA_VISIBLE_DEVICES"] == uuid(0)
    offers, second, full, released, again = host.run(
        ["offers", "H100:2"], ["acquire", "H100:1", "t2"], ["acquire", "H100:1", "t3"], ["release", "t1"],
        ["acquire", "H100:1", "t4"],
    )  # fmt: skip
    assert [(o["gpu_count"], o["availability"]) for o in offers if o["gpu"]] == [(2, "busy")]
    assert _gpus(second) == [uuid(1)]
    assert full["error"] == "NoCapacity"
    assert released["state"] == "gone"
    assert _gpus(again) == [uuid(0)]


def test_one_token_gets_one_node(host: Any) -> None:
    host.has("gpus 2")
    once, twice, found = host.run(["acquire", "H100:1", "t1"], ["acquire", "H100:1", "t1"], ["find", "me"])
    assert once == twice
    assert found == [once]


def test_find_sees_the_owner_or_everybody(host: Any) -> None:
    host.has("gpus 1")
    node, mine, other, everybody = host.run(["acquire", "H100:1", "t1"], ["find", "me"], ["find", "you"], ["find", "*"])
    assert (mine, other, everybody) == ([node], [], [node])


def test_release_is_idempotent_and_inspect_tells(host: Any) -> None:
    host.has("gpus 1")
    _, held, first, second, gone = host.run(
        ["acquire", "H100:1", "t1"], ["inspect", "t1"], ["release", "t1"], ["release", "t1"], ["inspect", "t1"]
    )
    assert [node["state"] for node in (held, first, second, gone)] == ["ready", "gone", "gone", "gone"]


def test_processes_that_race_never_share_a_gpu(host: Any, uuid: Callable[[int], str]) -> None:
    host.has("gpus 8")
    racing = [host.start(*[["acquire", "H100:1", f"{name}{n}"] for n in range(6)]) for name in "ab"]
    answers = [answer for process in racing for answer in host.answer(process)]
    held = [uuid for node in answers if "provider_data" in node for uuid in _gpus(node)]
    assert sorted(held) == [uuid(index) for index in range(8)]
    assert [answer["error"] for answer in answers if "error" in answer] == ["NoCapacity"] * 4


def test_cpu_jobs_hold_no_gpu_and_see_none(host: Any) -> None:
    host.has("gpus 1")
    cpu, gpu = host.run(["acquire", None, "t1"], ["acquire", "H100:1", "t2"])
    assert cpu["access"]["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert len(_gpus(gpu)) == 1


def test_after_a_reboot_nothing_is_held(host: Any) -> None:
    host.has("gpus 1")
    host.run(["acquire", "H100:1", "t1"])
    (record,) = host.cache.glob("allocations-*.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "an earlier one"}))
    state, found, again = host.run(["inspect", "t1"], ["find", "*"], ["acquire", "H100:1", "t2"])
    assert state["state"] == "gone"
    assert found == []
    assert len(_gpus(again)) == 1


def test_a_damaged_record_is_named_and_nothing_is_handed_out(host: Any) -> None:
    host.has("gpus 1")
    host.run(["acquire", "H100:1", "t1"])
    (record,) = host.cache.glob("allocations-*.json")
    record.write_text('{"boot": ')
    (answer,) = host.run(["acquire", "H100:1", "t2"])
    assert answer["error"] == "Unavailable"
    assert str(record) in answer["message"]
    assert "delete it" in answer["next"]
