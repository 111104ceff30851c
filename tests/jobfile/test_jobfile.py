"""Job files: YAML, TOML, dict and Python are one value, and every mistake is told with its place and its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_sdk import Job, load_job
from lepton_sdk.errors import JobSpecError, LeptonError

_YAML = """\
name: digits
workload: interactive
workdir: code
setup: |
  make
command: python train.py
resources:
  gpu: [H100:8, "H200:8"]
  gpu_memory: 80+
  cpus: 8
  memory_gib: 64
  regions: north-1
  spot: any
env: {VERSION: 1.10, MODE: 0755, WORD: no, TIME: 22:22, DATE: 2026-01-01}
secrets: [HF_TOKEN]
limits: {duration: 1h30m, hourly: 35, total: "200.50"}
"""
_TOML = """\
name = "digits"
workload = "interactive"
workdir = "code"
setup = '''
make
'''
command = "python train.py"
env = {VERSION = "1.10", MODE = "0755", WORD = "no", TIME = "22:22", DATE = "2026-01-01"}
secrets = ["HF_TOKEN"]
[resources]
gpu = ["H100:8", "H200:8"]
gpu_memory = "80+"
cpus = 8
memory_gib = 64
regions = "north-1"
spot = "any"
[limits]
duration = "1h30m"
hourly = 35
total = "200.50"
"""


def test_all_spellings_are_one_value(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(_YAML)
    (tmp_path / "job.toml").write_text(_TOML)
    from_yaml, from_toml = load_job(str(tmp_path / "job.yaml")), load_job(str(tmp_path / "job.toml"))
    from_python = Job(
        ["python", "train.py"],
        name="digits",
        workload="interactive",
        workdir=str(tmp_path / "code"),
        setup="make\n",
        resources={
            "gpu": ["H100:8", "H200:8"],
            "gpu_memory": "80+",
            "cpus": "8+",
            "memory_gib": 64,
            "regions": ["north-1"],
            "spot": "any",
        },
        env={"VERSION": "1.10", "MODE": "0755", "WORD": "no", "TIME": "22:22", "DATE": "2026-01-01"},
        secrets="HF_TOKEN",
        limits={"duration": 5400, "hourly": "35", "total": "200.50"},
    )
    assert from_yaml == from_toml == from_python == Job.from_dict(from_python.to_dict())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("job.yaml", b"command: caf\xe9\n", "byte 12 is not UTF-8"),
        ("job.yaml", b"command: a\0b\n", "job.yaml"),
        ("job.yaml", b"#" * 50_000_000, "50000000 bytes"),
        ("job.toml", b'command = "a"\ncommand = "b"\n', "line 2"),
        ("job.toml", b'command = "a"\nresorces = {}\n', "resorces: unknown key"),
        ("job.json", b"{}", ".yaml, .yml or .toml"),
        ("job.yaml", b"", "mapping"),
    ],
)
def test_a_file_that_does_not_hold_is_told(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(LeptonError) as caught:
        load_job(str(file))
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobSpecError, match="No such file"):
        load_job(str(tmp_path / "job.yaml"))
