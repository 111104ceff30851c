"""YAML: what a mistake is told with, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_sdk import load_job
from lepton_sdk.errors import JobSpecError


@pytest.mark.parametrize(
    ("text", "place", "words", "fix"),
    [
        ("command: a\ncommand: b\n", "line 2", "'command' stands twice", "keep one"),
        ("command: a\nresources:\n\tcpus: 1\n", "line 3", "tab", "spaces"),
        ("command: a\nresorces: {}\n", "line 2", "resorces: unknown key", "resources"),
        ("command: a\nresources:\n  gpuu: H100\n", "line 3", "gpuu: unknown key", "gpu"),
        ("command: a\nresources:\n  gpu: H1000:8\n", "line 3", "H1000", "H100"),
        ("command: a\nresources:\n  gpu: H100:0\n", "line 3", "'0'", "H100"),
        ("command: a\nresources:\n  gpu: H100:-1\n", "line 3", "'-1'", "H100"),
        ("command: a\nresources:\n  cpus: -4\n", "line 3", "-4", "positive"),
        ("command: a\nresources:\n  cpus: .nan\n", "line 3", "nan", "positive"),
        ("command: a\nresources:\n  gpu: A100:1\n  gpu_memory: 141+\n", "line 2", "contradict", "80 GB"),
        ("command: ''\n", "line 1", "empty", "python train.py"),
        ("name: x\n", "job.yaml", "command: missing", "command"),
        ("command: a\nname: Big Job\n", "line 2", "Big Job", "lower-case"),
        ("command: a\nworkload: trainig\n", "line 2", "trainig", "training"),
        ("command: a\nenv: {1A: b}\n", "line 2", "1A", "letters"),
        ("command: a\nenv: {LEPTON_X: b}\n", "line 2", "LEPTON_X", "LEPTON_"),
        ("command: a\nenv: {A: [b]}\n", "line 2", "env.A", "quotes"),
        ("command: a\nenv: {A: b}\nsecrets: [A]\n", "line 3", "env as well", "one of the two"),
        ("command: a\nlimits: {duration: -5}\n", "line 2", "-5", "90s"),
        ("command: a\nlimits: {duration: .nan}\n", "line 2", "nan", "90s"),
        ("command: a\nlimits: {duration: 99999999999}\n", "line 2", "99999999999", "366 days"),
        ("command: a\nlimits: {hourly: -1}\n", "line 2", "negative", "above 0"),
        ("command: a\nlimits: {hourly: .nan}\n", "line 2", "nan", "finite"),
        ("command: a\nlimits: {total: 1e30}\n", "line 2", "1e+30", "100000000"),
        ("command: a\nnodes: 0\n", "line 2", "nodes", ""),
        ("command: !!python/object/apply:os.system [id]\n", "line 1", "tag", "remove"),
        ("command: !env HOME\n", "line 1", "tag", "remove"),
        ("- command\n", "job.yaml", "mapping", "command"),
        ("command: [a\n", "line 2", "expected", "mend"),
        ("a: &x [1]\nb: [*x, *x]\ncommand: a\n", "line 1", "unknown key", ""),
        ("command: a\n---\ncommand: b\n", "line 2", "another document", "mend"),
    ],
)
def test_a_mistake_in_yaml_is_told_with_place_value_and_fix(text: str, place: str, words: str, fix: str, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(JobSpecError) as caught:
        load_job(str(file))
    message = str(caught.value)
    assert str(file) in message
    for part in (place, words, fix):
        assert part in message, message


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "job.yaml").write_text("\n".join(lines))
    with pytest.raises(JobSpecError, match="more than 10000 values"):
        load_job(str(tmp_path / "job.yaml"))
