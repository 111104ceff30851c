"""Checks offers. A wrong offer is left out and the others of its provider stay: offers do not depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton_sdk._gate.values import (
    Check,
    Wrong,
    amount,
    flag,
    is_a,
    kind,
    maybe,
    name,
    number,
    part_of,
    texts,
    time,
    violation,
    whole,
    words,
)
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.offer import Availability, Offer, Terms, TermsKind
from lepton_sdk.errors import ContractViolation, LeptonError

__all__ = ["Faults", "checked_offer"]

# GPUs of one node, and GiB or CPUs of one node, with room for future machines.
_GPUS, _SIZE, _SECONDS = 100_000, 1e9, 31_536_000
_GPU: Mapping[str, Check] = {
    "model": name(64),
    "form_factor": maybe(name(64)),
    "memory_gib": maybe(whole(1_000_000)),
    "architecture": maybe(name(64)),
}


def _gpu(value: Any) -> Gpu:
    if is_a(value, str):
        raise Wrong(f"write Gpu.parse({str.__str__(value)[:40]!r})")
    if not is_a(value, Gpu):
        raise Wrong('write Gpu("L4"), or None for a machine without GPUs')
    return Gpu(**{part: check(getattr(value, part)) for part, check in _GPU.items()})


def _terms(value: Any) -> Terms:
    if not is_a(value, Terms) or not is_a(value.kind, TermsKind):
        raise Wrong("write Terms(TermsKind.SPOT), or another of its kinds")
    return Terms(value.kind, maybe(whole(1200))(value.months))


_OFFER: Mapping[str, Check] = {
    "instance_type": name(),
    "region": name(),
    "gpu": maybe(_gpu),
    "gpu_count": whole(_GPUS),
    "cpus": maybe(number(_SIZE)),
    "memory_gib": maybe(number(_SIZE)),
    "disk_gib": maybe(number(_SIZE)),
    "interconnect": maybe(name()),
    "terms": _terms,
    "price": maybe(amount),
    "price_source": words(),
    "seen_at": maybe(time),
    "availability": kind(Availability),
    "available_count": maybe(whole(1_000_000_000)),
    "obstacle": words(),
    "hint": words(),
    "start_seconds": maybe(whole(_SECONDS)),
    "flags": texts(),
    "reference": flag,
}


def checked_offer(value: Any, provider: str) -> Offer:
    """The same offer, rebuilt from plain values.

    Raises:
        ContractViolation: it is not an offer, it names another provider, or a field breaks the contract.
    """
    if not is_a(value, Offer):
        raise violation("an offer", value, "yield objects of lepton_sdk.spi.Offer", provider)
    label = "an offer"
    values: dict[str, Any] = {"provider": provider}
    for part, check in _OFFER.items():
        given = part_of(value, part)
        try:
            values[part] = check(given)
        except Wrong as wrong:
            raise violation(f"{part} of {label}", given, str(wrong), provider) from None
        if part == "instance_type":
            label = f"offer {values[part]!r}"
    told = part_of(value, "provider")
    if not is_a(told, str) or str.__str__(told) != provider:
        raise violation(f"provider of {label}", told, f"write {provider!r}", provider)
    return Offer(**values)


class Faults:
    """The faults in what one call of a plugin yielded: any number of faults, one line.

    >>> faults = Faults("acme")
    >>> faults.note(ContractViolation("region of offer 'a' is None", hint="write a text"))
    >>> faults.summed("offer").message
    "1 offer is left out: region of offer 'a' is None"
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self.first: ContractViolation | None = None
        self.count = 0

    def note(self, fault: ContractViolation) -> None:
        """Add a fault."""
        self.first = self.first or fault
        self.count += 1

    def summed(self, thing: str) -> LeptonError | None:
        """All faults as one error; ``None`` without faults."""
        if self.first is None:
            return None
        many = f"1 {thing} is left out" if self.count == 1 else f"{self.count} {thing}s are left out, the first because"
        text = f"{many}: {self.first.message}" if self.count == 1 else f"{many} {self.first.message}"
        return ContractViolation(text, provider=self._provider, hint=self.first.hint)
