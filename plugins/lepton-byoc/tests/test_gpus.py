"""GPUs of this machine through the real pynvml over the stand-in library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest


def _gpu_offers(offers: list[dict[str, Any]]) -> list[tuple[int, str, int | None]]:
    return [(o["gpu_count"], o["availability"], o["available_count"]) for o in offers if o["gpu"]]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_offers_show_what_is_there(host: Any, count: int) -> None:
    host.has(f"gpus {count}")
    plain, one, many = host.run(["offers", None], ["offers", "H100:1"], ["offers", "H100:16"])
    assert [o["gpu_count"] for o in plain] == [0, count]
    assert plain[0]["instance_type"] == "this-machine"
    assert plain[1]["instance_type"] == f"this-machine-{count}xH100-SXM-80GB"
    assert _gpu_offers(one) == [(1, "available", count)]
    assert _gpu_offers(many) == [(count, "available", 1)]


def test_an_h100_is_nominally_80_and_keeps_its_measure(host: Any) -> None:
    host.has("gpus 1", "gpu 0 name NVIDIA H100 80GB HBM3", "gpu 0 memory 85520809984")
    offers, lines = host.run(["offers", {"gpu_memory": "80+"}], ["diagnose"])
    gpu = {"model": "H100", "form_factor": "SXM", "memory_gib": 80, "architecture": "Hopper"}
    assert offers[1]["gpu"] == gpu
    assert any("79.6 GiB measured, free" in detail for _, _, detail in lines)


def test_two_models_are_two_offers(host: Any) -> None:
    host.has("gpus 3", "gpu 2 name NVIDIA L4", "gpu 2 memory 24152899584")
    (offers,) = host.run(["offers", "any:2"])
    assert [(o["gpu"]["model"], o["gpu_count"]) for o in offers if o["gpu"]] == [("H100", 2), ("L4", 1)]


def test_a_lost_gpu_is_left_out_and_named(host: Any) -> None:
    host.has("gpus 8", "gpu 3 lost 1")
    offers, lines = host.run(["offers", "H100:8"], ["diagnose"])
    assert _gpu_offers(offers) == [(7, "available", 1)]
    assert ["gpu", False, "GPU 3: GPU is lost; it is not offered"] in lines


def test_a_gpu_that_falls_off_the_bus_is_not_handed_out(host: Any) -> None:
    host.has("gpus 2")
    (answer,) = host.run(["acquire", "H100:2", "t1", str(host.state), "gpus 2\ngpu 0 lost 1\n"])
    assert answer["error"] == "NoCapacity"
    assert "1 of 1 are free" in answer["message"]


def test_a_gpu_in_mig_mode_is_left_out(host: Any) -> None:
    host.has("gpus 2", "gpu 0 mig 1")
    offers, lines = host.run(["offers", "H100:1"], ["diagnose"])
    assert _gpu_offers(offers) == [(1, "available", 1)]
    assert any(detail.startswith("GPU 0: in MIG mode") for _, _, detail in lines)


def test_a_gpu_that_another_process_uses_is_busy(host: Any, uuid: Callable[[int], str]) -> None:
    host.has("gpus 2", "gpu 0 pid 4242")
    offers, lines, node, refused = host.run(
        ["offers", "H100:2"], ["diagnose"], ["acquire", "H100:1", "t1"], ["acquire", "H100:2", "t2"]
    )
    assert _gpu_offers(offers) == [(2, "busy", 0)]
    assert any("busy: process 4242 computes on it" in detail for _, _, detail in lines)
    assert node["access"]["environment"]["CUDA_VISIBLE_DEVICES"] == uuid(1)
    assert refused["error"] == "NoCapacity"
    assert "2 x H100-SXM-80GB wanted, 0 of 2 are free" in refused["message"]


@pytest.mark.parametrize(("given", "seen"), [("", 0), ("0,2", 2), ("1,9,2", 1), ("GPU-00000003", 1), ("NoDevFiles", 0)])
def test_our_own_cuda_visible_devices_is_kept(host: Any, given: str, seen: int) -> None:
    host.has("gpus 4")
    (offers,) = host.run(["offers", "H100:4"], CUDA_VISIBLE_DEVICES=given)
    assert [o["gpu_count"] for o in offers if o["gpu"]] == ([seen] if seen else [])


def test_a_driver_that_is_not_loaded_is_a_cpu_machine(host: Any) -> None:
    host.has("init 9")
    offers, node = host.run(["offers", "H100:1"], ["acquire", None, "t1"])
    assert [o["gpu_count"] for o in offers] == [0]
    assert node["access"]["environment"] == {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}


@pytest.mark.parametrize(("code", "said", "step"), [(18, "version mismatch", "reboot"), (999, "Unknown Error", "nvidia-smi")])
def test_a_broken_driver_says_what_nvml_said(host: Any, code: int, said: str, step: str) -> None:
    host.has(f"init {code}")
    gpu, cpu, lines = host.run(["offers", "H100:1"], ["partial", None], ["diagnose"])
    assert gpu["error"] == "Unavailable"
    assert said in gpu["message"]
    assert step in gpu["next"]
    assert [o["gpu_count"] for o in cpu] == [0]
    assert ["driver", False, gpu["message"]] in lines


def test_a_library_that_cannot_be_loaded_is_a_broken_driver(bare_host: Any) -> None:
    (bare_host.state.parent / "libnvidia-ml.so.1").write_bytes(b"not a library")
    (answer,) = bare_host.run(["offers", "H100:1"])
    assert answer["error"] == "Unavailable"
    assert "libnvidia-ml.so.1" in answer["message"]


def test_no_library_at_all_is_a_cpu_machine_and_pynvml_stays_unimported(bare_host: Any) -> None:
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a real NVIDIA driver")
    offers, lines, modules = bare_host.run(["offers", "H100:1"], ["diagnose"], ["modules"])
    assert [o["gpu_count"] for o in offers] == [0]
    assert "pynvml" not in modules
    assert "httpx" not in modules
    assert any(subject == "driver" and "is not installed" in detail for subject, _, detail in lines)
