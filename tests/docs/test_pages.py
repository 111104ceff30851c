"""Every code block of the README and of each page does what the page says it does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import LeptonError

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# These two install scikit-learn into a run's environment, which takes half a minute and needs the package index.
SLOW = {"first-run.md"}


def _case(page: Path) -> Any:
    marks = [pytest.mark.slow] if page.name in SLOW else []
    return pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", [_case(page) for page in PAGES])
def test_every_block_does_what_the_page_says(page: Path, reader: Any) -> None:
    if page.name in SLOW:
        shutil.copytree(ROOT / "examples", reader.folder / "examples")
    shown = page.read_text().count("```") // 2
    found = reader.follow(page)
    set_up = re.search(r"<!-- two commands -->(.*?)<!-- /two commands -->", page.read_text(), re.DOTALL)
    assert found == shown - (set_up[1].count("```") // 2 if set_up else 0), f"{page}: a block was not read"


@pytest.mark.parametrize(
    ("shown", "seen", "same"),
    [
        ("a  b", "a b", True),
        ("a ...", "a b c", True),
        ("a\n...\nz", "a\nb\nc\nz", True),
        ("a\n...\nz", "a\nz", True),
        ("a", "a\nb", False),
        ("a ... c", "a b", False),
        ("$1.50", "$1x50", False),
    ],
)
def test_a_page_that_shows_something_else_is_told(shown: str, seen: str, same: bool, output_matches: Any) -> None:
    assert output_matches(shown, seen) is same


def test_the_markers_for_the_two_commands_stand() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.index("<!-- two commands -->") < text.index("<!-- /two commands -->")


def test_the_readme_says_that_it_is_independent() -> None:
    assert "not affiliated with NVIDIA" in " ".join((ROOT / "README.md").read_text().split())


def test_the_tutorial_shows_the_job_file_as_it_is() -> None:
    assert (ROOT / "examples/digits/job.yaml").read_text() in (ROOT / "docs/tutorials/first-run.md").read_text()


@pytest.mark.parametrize(
    ("block", "error"),
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", AssertionError),
        ("```console\n$ false\n```\n", AssertionError),
        ("```console\n$ echo one\ntwo\n```\n", AssertionError),
        ("```yaml\ncommand: true\n```\n", LeptonError),
        ("```ruby\nputs 1\n```\n", AssertionError),
    ],
)
def test_a_block_that_does_not_hold_fails(block: str, error: type[Exception], reader: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(block)
    with pytest.raises(error):
        reader.follow(page)
