"""Gpu: model, form factor, nominal memory and architecture; four fields, never one string."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from attrs import evolve, frozen

from lepton_sdk.domain._gpu_table import read, table, without_silent_words
from lepton_sdk.errors import ResourcesError

__all__ = ["Gpu"]

# ECC takes one sixteenth of GDDR memory (an L4 of 24 GB measures 22.5 GiB), firmware a little more on the largest cards
# (a B300 of 288 GB measures 268.6 GiB); the next size of any model is further away than this.
_MEASURED_WITHIN = 0.08
_SPOKEN = {"architecture": "architecture", "form_factor": "form factor", "memory_gib": "GPU memory"}


@frozen
class Gpu:
    """A kind of GPU. In a request, a field that is ``None`` may have any value; in an offer, it is not stated.

    The architecture is filled in if every GPU of the model has the same one.

    Args:
        model: ``"H100"``, ``"MI300X"``, ``"RTX6000"``; no spaces.
        form_factor: ``"SXM"``, ``"PCIe"``, ``"NVL"``, ``"OAM"`` or ``"Superchip"``.
        memory_gib: nominal size: 80 for every 80 GB card.
        architecture: ``"Hopper"``, ``"Ada Lovelace"``, ``"CDNA 3"``.

    >>> Gpu("H100") == Gpu.parse("h100")
    True
    """

    model: str
    form_factor: str | None = None
    memory_gib: int | None = None
    architecture: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.architecture is None:
            known = table().architectures(self.model)
            if len(known) == 1:
                object.__setattr__(self, "architecture", known[0])

    @classmethod
    def parse(cls, text: str) -> Gpu:
        """Read a GPU from a name that people, sellers or NVML write; what the text does not say stays ``None``.

        Raises:
            ResourcesError: an unknown model (the nearest names are given), an unknown word, or words that contradict
                each other.

        >>> Gpu.parse("NVIDIA H100 80GB HBM3")
        Gpu(model='H100', form_factor='SXM', memory_gib=80, architecture='Hopper')
        >>> str(Gpu.parse("RTX6000Ada"))
        'RTX6000-Ada'
        """
        if not isinstance(text, str):
            raise ResourcesError(f"{text!r} is not a GPU", hint='write a name such as "H100"')
        return _parsed(text)

    @classmethod
    def nominal(cls, name: str, measured_bytes: int) -> Gpu:
        """The GPU that a driver names and measures, with the nominal size nearest to the measured one.

        A driver's name tells more than a seller's: it omits the form factor only for one shape of a model. A size that is
        near no nominal one (a MIG slice) is rounded and kept. A model that the table does not know is kept too, under its
        name without the maker's, so that a card newer than this version can be used.

        Args:
            name: as NVML gives it, ``"NVIDIA H100 80GB HBM3"``.
            measured_bytes: total memory in bytes.

        >>> Gpu.nominal("NVIDIA L4", 24_152_899_584).memory_gib
        24
        """
        measured = measured_bytes / 2**30
        whole = name.partition(" MIG ")[0]
        try:
            said = evolve(_parsed(whole), memory_gib=None)
        except ResourcesError:
            return cls(without_silent_words(whole) or "unknown", memory_gib=round(measured) or None)
        shapes = said._shapes()
        form = said.form_factor or (shapes[0][1] if shapes else None)
        sizes = evolve(said, form_factor=form).memory_sizes()
        nearest = min(sizes, key=lambda size: abs(size - measured), default=0)
        size = nearest if abs(nearest - measured) <= _MEASURED_WITHIN * nearest else round(measured)
        return cls(said.model, form, size or None, said.architecture)

    def _shapes(self) -> list[tuple[str, str, int, tuple[int, ...]]]:
        """The rows of the table that agree with every field that is stated."""
        return [
            shape
            for shape in table().shapes.get(self.model, ())
            if self.architecture in (None, shape[0])
            and self.form_factor in (None, shape[1])
            and self.memory_gib in (None, shape[2])
        ]

    def memory_sizes(self) -> tuple[int, ...]:
        """Nominal sizes that this GPU can have, ascending: its own if stated, else those that fit its other fields.

        >>> Gpu("A100").memory_sizes()
        (40, 64, 80)
        """
        if self.memory_gib is not None:
            return (self.memory_gib,)
        return tuple(sorted({shape[2] for shape in self._shapes()}))

    def completed(self) -> Gpu:
        """The same GPU, with every field filled in for which the table has only one value.

        >>> str(Gpu("B200").completed())
        'B200-SXM-180GB'
        """
        return _completed(self)

    def fits(self, offered: Gpu) -> str | None:
        """Why ``offered`` does not serve this request, in words; ``None`` if it does.

        What the offer does not state, and its model leaves open, does not satisfy a request for it.

        >>> Gpu("H100").fits(Gpu("H100", "PCIe", 80)) is None
        True
        >>> Gpu("H100", "SXM").fits(Gpu("H100", "PCIe", 80))
        'H100-PCIe-80GB is PCIe, not SXM'
        """
        if offered.model != self.model:
            return f"{offered} is not {self.model}"
        for name, unit in (("architecture", ""), ("form_factor", ""), ("memory_gib", " GB")):
            wanted = getattr(self, name)
            if wanted is None:
                continue
            stated = getattr(offered, name) or getattr(offered.completed(), name)
            if stated is None:
                return f"{offered} does not state its {_SPOKEN[name]}, {wanted}{unit} is wanted"
            if stated != wanted:
                return f"{offered} {'has' if unit else 'is'} {stated}{unit}, not {wanted}{unit}"
        return None

    def to_dict(self) -> dict[str, object]:
        """The four fields as JSON keys."""
        return {
            "model": self.model,
            "form_factor": self.form_factor,
            "memory_gib": self.memory_gib,
            "architecture": self.architecture,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Gpu:
        """The reverse of `to_dict`.

        Raises:
            TypeError: a key is missing or unknown.
        """
        return cls(**data)  # type: ignore[arg-type]

    def __str__(self) -> str:
        parts = [self.model]
        if self.form_factor:
            parts.append(self.form_factor)
        if self.memory_gib is not None:
            parts.append(f"{self.memory_gib}GB")
        if self.architecture and len(table().architectures(self.model)) > 1:
            # People say "Ada"; the parser knows both.
            parts.append(self.architecture.removesuffix(" Lovelace"))
        return "-".join(parts)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Gpu:
    return Gpu(*read(text))  # type: ignore[arg-type]


@lru_cache(maxsize=1024)
def _completed(gpu: Gpu) -> Gpu:
    shapes = gpu._shapes()
    if not shapes:
        return gpu
    only = [values.pop() if len(values := {shape[place] for shape in shapes}) == 1 else None for place in range(3)]
    architecture, form, size = only
    return Gpu(
        gpu.model,
        gpu.form_factor or form,  # type: ignore[arg-type]
        gpu.memory_gib if gpu.memory_gib is not None else size,  # type: ignore[arg-type]
        gpu.architecture or architecture,  # type: ignore[arg-type]
    )
