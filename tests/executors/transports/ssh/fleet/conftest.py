"""Two hosts of a fleet: two sshd, each with a home, an NVML and system files of its own."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.spi import Launch, Node, Offer, Resources

T = TypeVar("T")
_ROOT = Path(__file__).parents[5]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a libnvidia-ml.so.1 of our own."""
    if not (gcc := shutil.which("gcc")):
        pytest.skip("gcc is not installed, so the NVML stand-in cannot be built")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", f"-Wl,-soname,{library.name}"]
    subprocess.run([gcc, *flags, _ROOT / "tests/nvml/standin.c", "-o", library], check=True)
    return library.parent


class FarHost:
    """A host of the fleet as a test may change it."""

    def __init__(self, folder: Path, make_server: Callable[[str], Any], library: Path) -> None:
        self.nvml, self.root = folder / "nvml.txt", folder / "root"
        for path, text in {
            "etc/machine-id": os.urandom(16).hex(),
            "etc/os-release": 'ID=ubuntu\nVERSION_ID="22.04"\nPRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
            "proc/sys/kernel/hostname": folder.name,
            "proc/sys/kernel/osrelease": "5.15.0-100-generic",
            "proc/sys/kernel/random/boot_id": os.urandom(16).hex(),
            "proc/swaps": "Filename Type Size Used Priority\n",
            "dev/kmsg": "",
        }.items():
            self.write(path, text)
        self.has("gpus 0")
        self.server = make_server(f"SetEnv LD_LIBRARY_PATH={library} NVML_STANDIN={self.nvml} LEPTON_HOST_ROOT={self.root}")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def has(self, *lines: str) -> None:
        draft = self.nvml.with_suffix(".new")
        self.nvml.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text("\n".join(lines) + "\n")
        draft.replace(self.nvml)

    @property
    def target(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.server.port}"

    def held(self) -> list[dict[str, Any]]:
        """What its record says."""
        files = list((self.server.home / ".cache/lepton/providers/byoc").glob("allocations-*.json"))
        return json.loads(files[0].read_text())["nodes"] if files else []


@pytest.fixture
def far(tmp_path: Path, make_server: Callable[[str], Any], nvml_library: Path) -> list[FarHost]:
    """Two hosts, without GPUs until a test gives them some."""
    if shutil.which("python3", path="/usr/bin:/bin") is None:
        pytest.skip("there is no python3 in /usr/bin, where a login over SSH looks for it")
    return [FarHost(tmp_path / name, make_server, nvml_library) for name in ("one", "two")]


Lepton = Callable[..., Any]


@pytest.fixture
def lepton() -> Lepton:
    """The command; its JSON, or its exit code and what it said when another code than 0 is awaited."""

    def call(*words: str, code: int = 0) -> Any:
        argv = [sys.executable, "-m", "lepton_sdk", *words, "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else done.stderr

    return call


@pytest.fixture
def fleet(far: list[FarHost], lepton: Lepton) -> list[FarHost]:
    """Both on the list, with two and one H100."""
    far[0].has("gpus 2")
    far[1].has("gpus 1")
    for name, host, price in (("one", far[0], "4"), ("two", far[1], "2")):
        lepton("byoc", "add", "--name", name, "--price", price, "--group", "lab", host.target)
    return far


class Owner:
    """The provider of one client, one call at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loop = asyncio.new_event_loop()
        self._registry = Registry(load_config(), SystemClock())
        self.provider: Any = self._registry.provider("byoc")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(work, 120))

    def offers(self, resources: Resources) -> list[Offer]:
        async def all_of_them() -> list[Offer]:
            return [offer async for offer in self.provider.offers(resources) if offer.region == "lab"]

        return self.do(all_of_them())

    def take(self, gpu: str, token: str, run: str = "run", offer: Offer | None = None) -> Node:
        async def announce(kind: str, name: str, *, shared: bool = False) -> None:
            raise AssertionError(f"a fleet needs no {kind} {name}")

        resources = Resources(gpu=gpu)
        chosen = offer or next(o for o in self.offers(resources) if o.gpu_count == resources.requests[0].count)
        launch = Launch(self.name, token, run, "job", 1, 0, resources, None, announce)
        node: Node = self.do(self.provider.acquire(chosen, launch))
        return node

    def found(self, owner: str = "", token: str | None = None) -> list[Node]:
        async def all_of_them() -> list[Node]:
            return [node async for node in self.provider.find(owner or self.name, token)]

        return self.do(all_of_them())

    def inspect(self, node: Node) -> Node:
        seen: Node = self.do(self.provider.inspect(node))
        return seen

    def release(self, node: Node) -> Node:
        seen: Node = self.do(self.provider.release(node))
        return seen

    def close(self) -> None:
        self.do(self._registry.aclose())
        self._loop.close()


@pytest.fixture
def owners(fleet: list[FarHost]) -> Iterator[list[Owner]]:
    """Two clients that share nothing but the hosts."""
    made = [Owner("me"), Owner("you")]
    yield made
    for owner in made:
        owner.close()
