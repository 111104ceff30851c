"""What a program pays for: modules that are brought in, not seconds, so that the answer is the same on every machine."""

from __future__ import annotations

from collections.abc import Callable

Loaded = Callable[[str], set[str]]

_NETWORK = {"asyncio", "anyio", "email", "httpx", "socket", "ssl", "urllib.request"}
_ENGINE = {"lepton_sdk._engine", "lepton_sdk._journal", "sqlite3", "subprocess", "tenacity"}
_PLUGINS = {"importlib.metadata", "lepton_byoc", "lepton_sdk._plugins.discovery", "pluggy", "pynvml"}
_FORMATS = {"csv", "json", "tomllib", "yaml"}


def _lepton(*words: str) -> str:
    """Code that is the command."""
    return (
        f"import sys; sys.argv = {['lepton', *words]!r}\n"
        "from lepton_sdk.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code"
    )


def test_building_a_job_brings_the_values_alone(loaded: Loaded) -> None:
    modules = loaded("from lepton_sdk import Client, Job; Job('python train.py', resources='H100:8')")
    assert {"attr", "lepton_sdk.client", "lepton_sdk.domain.job"} <= modules
    heavy = _NETWORK | _ENGINE | _PLUGINS | _FORMATS | {"click", "datetime", "logging", "pathlib"}
    assert modules & heavy == set()
    assert {name for name in modules if name.startswith("lepton_sdk.")} <= {
        "lepton_sdk._lazy",
        "lepton_sdk.client",
        "lepton_sdk.errors",
        *(name for name in modules if name.startswith("lepton_sdk.domain.")),
        "lepton_sdk.domain",
    }


def test_the_package_alone_brings_nothing(loaded: Loaded) -> None:
    modules = loaded("import lepton_sdk")
    assert {name for name in modules if name.startswith("lepton_sdk")} == {"lepton_sdk", "lepton_sdk._lazy"}
    assert modules & (_NETWORK | _ENGINE | _PLUGINS | _FORMATS | {"attr", "click", "inspect"}) == set()


def test_help_brings_no_command_and_no_plugin(loaded: Loaded) -> None:
    modules = loaded(_lepton("--help"))
    assert {"click", "lepton_sdk.cli.main"} <= modules
    assert modules & (_NETWORK | _ENGINE | _PLUGINS | {"attr", "tomllib", "yaml"}) == set()
    assert {name for name in modules if name.startswith("lepton_sdk.cli.")} == {"lepton_sdk.cli.main"}


def test_the_version_brings_no_client(loaded: Loaded) -> None:
    modules = loaded(_lepton("--version"))
    assert "importlib.metadata" in modules
    assert modules & (_ENGINE | {"asyncio", "attr", "httpx", "lepton_sdk.client", "pluggy"}) == set()


def test_listing_plugins_brings_their_records_and_no_factory(loaded: Loaded) -> None:
    modules = loaded(_lepton("plugins", "--json"))
    assert "lepton_byoc.plugin" in modules
    assert {name for name in modules if name.startswith("lepton_byoc")} == {"lepton_byoc", "lepton_byoc.plugin"}
    assert modules & {"httpx", "pluggy", "pynvml", "tenacity", "yaml", "lepton_sdk._executors.transports.local.executor"} == set()


def test_a_price_question_brings_no_network(loaded: Loaded) -> None:
    modules = loaded(_lepton("offers", "--gpu", "H100:8", "--json"))
    assert "lepton_sdk.catalog.reference" in modules
    assert modules & {"anyio", "httpx", "tenacity", "urllib.request", "yaml"} == set()


def test_the_record_of_a_plugin_costs_nothing_heavier_than_attrs(loaded: Loaded) -> None:
    modules = loaded("import lepton_byoc.plugin")
    assert {"attr", "lepton_sdk.spi.spec"} <= modules
    assert modules & (_NETWORK | _ENGINE | _FORMATS | {"click", "pluggy", "pynvml", "lepton_sdk.spi.http"}) == set()
