"""Reads the code blocks of a page and runs them as a reader would: in order, in one folder, in an empty home."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lepton_sdk import Job, load_job
from lepton_sdk._config import load_config

_FENCE = re.compile(r"^( *)```(\S*)(?: title=\"([^\"]+)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# The README's set-up lines make environments of their own; they are what `.ci/run` calls, so CI runs them from there.
_SET_UP = re.compile(r"(<!-- two commands -->)(.*?)(<!-- /two commands -->)", re.DOTALL)
_LONGEST = 540
_STOP = "\x1e"


def pytest_configure(config: pytest.Config) -> None:
    """The mark of pages that take long."""
    config.addinivalue_line("markers", "slow: takes longer than ten seconds")


class Block(NamedTuple):
    """One fenced block.

    Attributes:
        place: ``file:line`` of its first line.
        title: the file that the reader is told to write it to.
    """

    place: str
    line: int
    language: str
    title: str
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page in order."""
    source = _SET_UP.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())
    for match in _FENCE.finditer(source):
        line = source.count("\n", 0, match.start()) + 2
        text = re.sub(rf"^{match[1]}", "", match[4], flags=re.MULTILINE)
        yield Block(f"{page}:{line}", line, match[2], match[3] or "", text)


def matches(shown: str, seen: str) -> bool:
    """Whether the output is what the page shows. ``...`` stands for any text, alone on a line for any lines; widths of
    columns depend on the machine, so runs of spaces count as one."""
    lines = [" ".join(line.split()) for line in shown.strip().splitlines()]
    pattern = ""
    for line in lines:
        words = ".*?".join(re.escape(part) for part in re.split(r"\.\.\.(?!\.)", line))
        pattern += r"(?:.*\n)*?" if line == "..." else rf"{words}\n"
    text = "".join(" ".join(line.split()) + "\n" for line in seen.strip().splitlines())
    return re.fullmatch(pattern, text) is not None


class Reader:
    """Somebody who types what the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed = ""

    def follow(self, page: Path) -> int:
        """Run every block; how many there were."""
        before, count = "", 0
        for block in blocks_of(page):
            count += 1
            getattr(self, f"_{block.language or 'unmarked'}", self._unknown)(block, before)
            before = block.language
        return count

    def _unknown(self, block: Block, _: str) -> None:
        raise AssertionError(f"{block.place}: {block.language!r} is not a kind of block that is tested; mark it text")

    def _text(self, block: Block, before: str) -> None:
        """After a python block it is what that printed; elsewhere it is for the eye."""
        if before == "python":
            self._same(block, block.text, self._printed)

    def _python(self, block: Block, _: str) -> None:
        if block.title:
            self._write(block)
            return
        code = compile("\n" * (block.line - 1) + block.text, block.place, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            work = eval(code, self._names)
            if work is not None:
                asyncio.run(work)
        self._printed = out.getvalue()

    def _yaml(self, block: Block, _: str) -> None:
        self._job(block, ".yaml")

    def _toml(self, block: Block, _: str) -> None:
        if block.title.endswith("config.toml"):
            load_config(file=self._write(block))
        elif block.title.endswith("pyproject.toml"):
            tomllib.loads(self._write(block).read_text())
        else:
            self._job(block, ".toml")

    def _json(self, block: Block, _: str) -> None:
        json.loads(block.text)

    def _console(self, block: Block, _: str) -> None:
        """Run the commands behind ``$`` in one shell; each must end with 0, so one that fails on purpose is followed by
        ``|| echo``, where the reader sees it too."""
        # A line that ends in a backslash goes on in the next one.
        text = block.text.replace("\\\n", "\0")
        typed = [
            (command.replace("\0", "\\\n"), shown)
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", text, re.MULTILINE)
        ]
        assert typed, f"{block.place}: no line begins with a dollar sign and a space"
        said = self._shell(block, [command for command, _ in typed])
        for (command, shown), (seen, code) in zip(typed, said, strict=True):
            assert code == 0, f"{block.place}: {command}\nended with {code}\n{seen}"
            if shown.strip():
                self._same(block, shown, seen)

    _sh = _console

    def _shell(self, block: Block, commands: list[str]) -> list[tuple[str, int]]:
        script = "".join(f"{command}\nprintf '{_STOP}%s{_STOP}' $?\n" for command in commands)
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_LONGEST
        )
        parts = done.stdout.split(_STOP)
        assert len(parts) == 2 * len(commands) + 1, f"{block.place}: the shell gave up: {done.stdout}"
        return [(seen, int(code)) for seen, code in zip(parts[::2], parts[1::2], strict=False)]

    def _same(self, block: Block, shown: str, seen: str) -> None:
        assert matches(shown, seen), f"{block.place}: the page shows\n{shown}\nand this came:\n{seen}"

    def _job(self, block: Block, ending: str) -> None:
        path = self._write(block) if block.title else self.folder / f"unnamed{ending}"
        path.write_text(block.text)
        assert isinstance(load_job(path), Job)
        if not block.title:
            path.unlink()

    def _write(self, block: Block) -> Path:
        path = Path(block.title.replace("~", str(Path.home()))) if block.title.startswith("~") else self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        return path


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in an empty folder, with the real ``lepton`` and the real ``python`` of this environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.syspath_prepend(folder)
    yield Reader(folder)
    # No follower may outlive its home.
    subprocess.run(["lepton", "follow", "--until-idle"], cwd=folder, check=True, timeout=60)


@pytest.fixture
def output_matches() -> Callable[[str, str], bool]:
    """See `matches`."""
    return matches
