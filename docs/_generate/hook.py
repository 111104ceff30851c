"""MkDocs hook: fills ``<!-- generated: NAME -->`` in pages, and makes one page for each installed provider.

Nothing that is made here is committed: what is built from the code at each build cannot lag behind it, and two people who
change two commands never meet in a generated file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from api import module_page
from commands import command_pages
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from pictures import layer_picture, layer_table, stage_picture
from providers import provider_pages, provider_part
from tables import error_table, event_table, flag_table, gpu_table, job_table, schema_text, stage_table

_MARK = re.compile(r"<!-- generated: ([\w .-]+) -->")
_PARTS: dict[str, Callable[[], str]] = {
    "commands": command_pages,
    "job": lambda: job_table("Job"),
    "container": lambda: job_table("Container"),
    "registry": lambda: job_table("Registry"),
    "resources": lambda: job_table("Resources"),
    "limits": lambda: job_table("Limits"),
    "retry": lambda: job_table("Retry"),
    "retry rule": lambda: job_table("Rule"),
    "flags": flag_table,
    "gpus": gpu_table,
    "errors": error_table,
    "layers": layer_table,
    "layer picture": layer_picture,
    "stage chart": stage_picture,
    "journal schema": schema_text,
    "journal stages": stage_table,
    "journal events": event_table,
    "module lepton_sdk": lambda: module_page("lepton_sdk"),
    "module lepton_sdk.spi": lambda: module_page("lepton_sdk.spi"),
    "module lepton_sdk.spi.capabilities": lambda: module_page("lepton_sdk.spi.capabilities"),
    "module lepton_sdk.spi.failures": lambda: module_page("lepton_sdk.spi.failures"),
    "module lepton_sdk.spi.http": lambda: module_page("lepton_sdk.spi.http"),
    "module lepton_sdk.spi.blocking": lambda: module_page("lepton_sdk.spi.blocking"),
    "module lepton_sdk.spi.hookspecs": lambda: module_page("lepton_sdk.spi.hookspecs"),
    "module lepton_sdk.testing": lambda: module_page("lepton_sdk.testing"),
    "module lepton_sdk.testing.doubles": lambda: module_page("lepton_sdk.testing.doubles"),
}


def on_config(config: Any) -> Any:
    """Put the providers' pages at the end of the navigation."""
    config.nav.append({"Providers": [f"providers/{name}.md" for name in provider_pages()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add one page for each provider."""
    for name, text in provider_pages().items():
        if files.get_file_from_path(f"providers/{name}.md") is not None:
            continue
        files.append(File.generated(config, f"providers/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the marks of a page."""

    def part(match: re.Match[str]) -> str:
        if match[1].startswith("provider "):
            return provider_part(match[1].removeprefix("provider "))
        if match[1] not in _PARTS:
            raise PluginError(f"{page.file.src_uri}: nothing is generated under the name {match[1]!r}; known: {sorted(_PARTS)}")
        return _PARTS[match[1]]()

    return _MARK.sub(part, markdown)
