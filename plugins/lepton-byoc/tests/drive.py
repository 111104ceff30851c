"""Drives the provider in a process of its own: ``drive.py CACHE STEPS`` with steps and answers as JSON.

A step is a list: ``["offers", RESOURCES]``, ``["partial", RESOURCES]``, ``["acquire", GPU, TOKEN]``, ``["release", TOKEN]``,
``["inspect", TOKEN]``, ``["find", OWNER]``, ``["diagnose"]``, ``["modules"]``.
``["acquire", GPU, TOKEN, PATH, TEXT]`` writes the file between the listing of the offer and its taking.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from lepton_byoc.plugin import PROVIDER
from lepton_sdk.errors import LeptonError
from lepton_sdk.spi import Launch, Node, Offer, ProviderContext, Resources
from lepton_sdk.testing import SystemClock


class NoPacer:
    async def wait(self, bucket: str = "") -> None:
        return


def context(cache: Path, **config: object) -> ProviderContext:
    return ProviderContext("byoc", {"price_per_hour": 0.0, **config}, None, NoPacer(), SystemClock(), cache, cache, None)  # type: ignore[arg-type]


async def _until_fault(provider: Any, resources: Resources) -> list[dict[str, object]]:
    """The offers that came before an error, which core keeps."""
    offers = []
    try:
        async for offer in provider.offers(resources):
            offers.append(offer.to_dict())  # noqa: PERF401 - a comprehension would lose them
    except LeptonError:
        pass
    return offers


async def announce(kind: str, name: str, *, shared: bool = False) -> None:
    raise AssertionError(f"this machine needs no {kind} {name}")


def launch(token: str, resources: Resources, owner: str = "me") -> Launch:
    return Launch(owner, token, "run", "job", 1, 0, resources, None, announce)


async def acquire(provider: Any, gpu: str | None, token: str, path: str = "", text: str = "") -> Node:
    resources = Resources(gpu=gpu) if gpu else Resources()
    found: list[Offer] = [offer async for offer in provider.offers(resources)]
    if path:
        Path(path).write_text(text)  # noqa: ASYNC240 - nothing else runs here
    node: Node = await provider.acquire(found[-1] if gpu else found[0], launch(token, resources))
    return node


async def step(provider: Any, words: list[Any]) -> Any:
    match words:
        case ["partial", resources]:
            return await _until_fault(provider, Resources.parse(resources))
        case ["offers", resources]:
            return [offer.to_dict() async for offer in provider.offers(Resources.parse(resources))]
        case ["acquire", *rest]:
            return (await acquire(provider, *rest)).to_dict()
        case ["release", token]:
            return (await provider.release(Node("byoc", f"byoc-{token}"))).to_dict()
        case ["inspect", token]:
            return (await provider.inspect(Node("byoc", f"byoc-{token}"))).to_dict()
        case ["find", owner]:
            return [node.to_dict() async for node in provider.find(owner)]
        case ["diagnose"]:
            return [[line.subject, line.ok, line.detail] for line in await provider.diagnose()]
        case ["modules"]:
            return sorted(sys.modules)
    raise AssertionError(words)


async def main(cache: Path, steps: list[list[Any]]) -> list[Any]:
    from lepton_byoc.provider import create

    provider = create(context(cache))
    answers: list[Any] = []
    for words in steps:
        try:
            answers.append(await step(provider, words))
        except LeptonError as error:
            answers.append(error.to_dict())
    return answers


if __name__ == "__main__":
    assert PROVIDER.name == "byoc"
    print(json.dumps(asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2])))))
