"""The site builds without a warning, loads nothing from other hosts, and its generated parts are complete."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from lepton_sdk import errors
from lepton_sdk._plugins.status import PluginState
from lepton_sdk.cli.main import _COMMANDS
from lepton_sdk.domain.events import AnyEvent, Step
from lepton_sdk.domain.run import RunState
from lepton_sdk.domain.stage import Stage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    folder = tmp_path_factory.mktemp("site")
    # Not with --quiet: then warnings are neither shown nor counted, and nothing is strict any more (mkdocs 1.6).
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    return folder


class _Loads(HTMLParser):
    """What a browser fetches by itself; links that a reader follows do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        wanted = values.get("src") or (values.get("href") if tag == "link" and values.get("rel") != "canonical" else None)
        if wanted and wanted.startswith(("http:", "https:", "//")):
            self.foreign.append(wanted)


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        reader = _Loads()
        reader.feed(page.read_text())
        assert not reader.foreign, page


def test_every_command_is_in_the_reference(site: Path) -> None:
    text = (site / "reference/cli/index.html").read_text()
    assert [name for name in _COMMANDS if f"lepton {name}" not in text] == []


def test_every_error_is_in_the_reference(site: Path) -> None:
    text = (site / "reference/errors/index.html").read_text()
    assert [name for name in errors.__all__ if name not in ("Disposition", "BlockScope") and name not in text] == []


@pytest.mark.parametrize(("page", "kind"), [("plugin-states", PluginState), ("journal", RunState)])
def test_every_state_is_in_the_reference(site: Path, page: str, kind: type[PluginState] | type[RunState]) -> None:
    text = (site / f"reference/{page}/index.html").read_text()
    assert [str(state) for state in kind if f"<code>{state}</code>" not in text] == []


def test_the_pictures_of_the_architecture_are_the_codes_own(site: Path) -> None:
    text = (site / "explanation/architecture/index.html").read_text()
    assert [str(stage) for stage in Stage if f">{stage}</text>" not in text] == []
    assert [name for name in ("cli", "_engine", "spi", "domain") if f">{name}</text>" not in text] == []


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    named = set(re.findall(r"`([\w./-]+(?:\.py|/))`", text))
    assert len(named) > 50
    places = (
        ROOT,
        ROOT / "src/lepton_sdk",
        ROOT / "src/lepton_sdk/_engine",
        ROOT / "src/lepton_sdk/_journal",
        ROOT / "src/lepton_sdk/_executors",
        ROOT / "tests",
    )
    alone = {path.name for path in (ROOT / "src").rglob("*.py")}
    assert [name for name in sorted(named) if name not in alone and not any((place / name).exists() for place in places)] == []


def test_every_name_that_the_architecture_looks_for_in_a_file_is_there() -> None:
    text = (ROOT / "docs/explanation/architecture.md").read_text()
    pairs = re.findall(r"`(\w+)`(?: and `(\w+)`)? in `([\w/]+\.py)`", text)
    assert len(pairs) > 8
    places = {file: ROOT / ("" if file.startswith("tests/") else "src/lepton_sdk") / file for *_, file in pairs}
    wanted = [(name, file) for first, second, file in pairs for name in (first, second) if name]
    assert [(name, file) for name, file in wanted if name not in places[file].read_text()] == []


def test_every_kind_of_entry_is_in_the_reference(site: Path) -> None:
    text = (site / "reference/journal/index.html").read_text()
    notes = {cls.kind for cls in get_args(AnyEvent) if not issubclass(cls, Step)}
    assert [kind for kind in sorted(notes) if f"<code>{kind}</code>" not in text] == []


def test_no_generator_is_published(site: Path) -> None:
    assert not list(site.rglob("*.py"))
