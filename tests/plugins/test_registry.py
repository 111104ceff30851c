"""What the registry makes of ready plugins, and what it says of the others when they are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("raises", "PluginBroken", "the vendor's SDK is not here"),
        ("twin", "PluginConflict", "lepton-twin-b"),
        ("future", "PluginIncompatible", "contract v2"),
        ("needs-key", "ConfigError", "no credentials"),
        ("helthy", "PluginMissing", "'helthy'"),
    ],
)
def test_a_named_provider_that_cannot_be_used_raises(python: Python, name: str, kind: str, words: str) -> None:
    failure = python(f"answer = error(registry.provider, {name!r})")
    assert failure["error"] == kind
    assert words in failure["message"]
    assert failure["next"]


def test_a_missing_plugin_says_what_to_install_or_what_is_near(python: Python) -> None:
    near, far = python("answer = [error(registry.provider, 'helthy'), error(registry.provider, 'acme')]")
    assert near["next"] == "did you mean healthy?"
    assert far["next"] == "pip install lepton-acme"


def test_a_disabled_provider_raises(python: Python) -> None:
    assert python("answer = error(registry.provider, 'healthy')", LEPTON_SDK_PLUGINS="")["error"] == "PluginDisabled"


def test_byoc_comes_through_the_same_door(python: Python) -> None:
    assert python("answer = type(registry.provider('byoc')).__name__") == "OwnMachines"


def test_an_executor_is_chosen_by_the_type_of_access(python: Python) -> None:
    code = """
from pathlib import Path
from lepton_sdk.spi.executor import ExecutorContext
context = ExecutorContext(SystemClock(), Path("/nowhere"))
made = registry.executor("loop", context)
answer = [type(made).__name__, made.context == context, error(registry.executor, type("MoonAccess", (), {})(), context)]
"""
    name, given, failure = python(code)
    assert (name, given) == ("LoopBack", True)
    assert failure["error"] == "PluginMissing"
    assert "MoonAccess" in failure["message"]


def test_commands(python: Python) -> None:
    said, failure = python("answer = [registry.command('healthy'), error(registry.command, 'helthy')]")
    assert said == "all is well"
    assert failure["error"] == "PluginMissing"


def test_an_observer_that_raises_is_shut_out_and_the_others_go_on(python: Python) -> None:
    code = """
manager = registry.observers()
for kind in ("intended", "requested"):
    manager.hook.on_transition(event={"kind": kind})
from lepton_watchers_hooks import Counter, Faller
answer = [Counter.seen, Faller.calls, manager.hook.redact(text="hush now"), list(registry.warnings())]
"""
    seen, calls, redacted, lines = python(code)
    assert seen == ["intended", "requested"]
    assert calls == 1
    assert redacted == ["*** now"]
    (line,) = [line for line in lines if "faller" in line]
    assert "ValueError: no room left" in line


def test_without_observers_pluggy_is_not_imported(python: Python) -> None:
    made, modules = python(
        "answer = [registry.observers(), sorted(sys.modules)]", config='[plugins]\ndisabled = ["counter", "faller"]'
    )
    assert made is None
    assert "pluggy" not in modules


def test_closing_closes_what_was_made(python: Python) -> None:
    code = """
provider = registry.provider("healthy")
asyncio.run(registry.aclose())
asyncio.run(registry.aclose())
answer = provider.closed
"""
    assert python(code) == 1


def test_one_that_does_not_close_is_told_and_keeps_nobody_open(python: Python) -> None:
    code = """
broken, whole = registry.provider("healthy"), registry.provider("byoc")
async def fail():
    raise OSError("no line")
broken.aclose = fail
asyncio.run(registry.aclose())
answer = list(registry.warnings())
"""
    assert any("provider healthy did not close: OSError: no line" in line for line in python(code))
