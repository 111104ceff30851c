"""Core knows no provider: all of them, ours too, come through the plugins' door."""

from __future__ import annotations

import csv
import io
import keyword
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.architecture.conftest import Source


@pytest.fixture(scope="module")
def providers(root: Path) -> set[str]:
    """The providers of the reference prices and of the plugins in this repository."""
    table = (root / "src/lepton_sdk/catalog/reference.tsv").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in table.splitlines()[1:]]
    names = {row["provider"] for row in csv.DictReader(lines, delimiter="\t")}
    for file in root.glob("plugins/*/pyproject.toml"):
        names |= tomllib.loads(file.read_text())["project"].get("entry-points", {}).get("lepton_sdk.providers.v1", {}).keys()
    return names


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Line and word of everything in a file but Python's own keywords: ``lambda`` is a provider, too.

    A comment may speak of a lambda, but not of Lambda; in a string either is a name.
    """
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if not keyword.iskeyword(token.string):
            words = re.findall(r"[A-Za-z0-9]+", token.string)
            comment = token.type == tokenize.COMMENT
            yield from ((token.start[0], word.lower()) for word in words if not (comment and keyword.iskeyword(word)))


def test_core_names_no_provider(core: list[Source], providers: set[str]) -> None:
    assert {"byoc", "lambda", "nebius"} <= providers
    named = [f"{source.path}:{line} {word}" for source in core for line, word in _words(source.text) if word in providers]
    assert named == []


def test_names_are_found_in_code_words_and_strings_but_not_in_keywords() -> None:
    text = 'f = lambda x: x  # as Nebius does\nask_lambda("lepton-byoc")\n'
    assert {word for _, word in _words(text)} >= {"nebius", "lambda", "byoc"}
    assert "lambda" not in {word for _, word in _words("f = lambda x: x  # a lambda\n")}
    assert "lambda" in {word for _, word in _words("f = 1  # Lambda\n")}
