"""The catalog: immutable, indexed by (GPU model, count), each entry in order of price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from attrs import evolve

from lepton_sdk.catalog.prices import check_price
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, TermsKind

__all__ = ["Catalog", "Key", "price_order"]

# GPU model and GPUs per node; (None, 0) for machines without GPUs, (None, n) for GPUs of an unknown model.
Key = tuple[str | None, int]

_NO_PRICE = (True, "", Decimal(0))


def key_of(offer: Offer) -> Key:
    """The offer's key in the index."""
    return (offer.gpu.model if offer.gpu else None, offer.gpu_count)


def price_order(offer: Offer) -> tuple[tuple[bool, str, Decimal], tuple[str, str, str, str]]:
    """The fixed order of offers: by price, without price last, then by provider, type, region and terms."""
    price = offer.price
    return (_NO_PRICE if price is None else (False, price.currency, price.amount)), offer.key


def _checked(offers: Iterable[Offer]) -> Iterator[Offer]:
    """The offers, with the findings of the price check in their flags."""
    rows = list(offers)
    on_demand: dict[tuple[str, str, str], Money] = {}
    for offer in rows:
        if offer.price is not None and offer.terms.kind is TermsKind.ON_DEMAND:
            on_demand[offer.key[:3]] = offer.price
    for offer in rows:
        found = [flag for flag in check_price(offer, on_demand.get(offer.key[:3])) if flag not in offer.flags]
        yield evolve(offer, flags=(*offer.flags, *found)) if found else offer


class Catalog:
    """Offers, indexed by GPU model and count; a value that never changes.

    There is no list of everything: select a key, or iterate. Prices are checked on entry, see `check_price`; the findings
    are in ``offer.flags``.

    Args:
        offers: in any order.

    >>> from lepton_sdk.domain.gpu import Gpu
    >>> catalog = Catalog([Offer("acme", "big", gpu=Gpu("H100"), gpu_count=8), Offer("acme", "small", cpus=2)])
    >>> catalog.counts("H100"), len(catalog), [offer.instance_type for offer in catalog.select(None, 0)]
    ((8,), 2, ['small'])
    """

    __slots__ = ("_index", "_size")

    def __init__(self, offers: Iterable[Offer] = ()) -> None:
        index: dict[Key, list[Offer]] = {}
        for offer in _checked(offers):
            index.setdefault(key_of(offer), []).append(offer)
        self._fill({key: tuple(sorted(rows, key=price_order)) for key, rows in index.items()})

    def _fill(self, index: dict[Key, tuple[Offer, ...]]) -> None:
        # Models in order of name, without model last, so that iteration does not depend on the source of the rows.
        self._index = {key: index[key] for key in sorted(index, key=lambda key: (key[0] is None, key[0] or "", key[1]))}
        self._size = sum(map(len, self._index.values()))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Offer]:
        """Every offer, by key, then in the order of `select`."""
        for rows in self._index.values():
            yield from rows

    def __repr__(self) -> str:
        return f"<Catalog of {len(self)} offers, {len(self.models())} GPU models, {len(self.providers())} providers>"

    def sold(self) -> tuple[Key, ...]:
        """The (model, count) pairs that are sold."""
        return tuple(self._index)

    def select(self, model: str | None, count: int) -> Sequence[Offer]:
        """The offers of one key: cheapest first, without price last, ties by provider, type, region and terms.

        Args:
            model: as in `Gpu.model`; ``None`` with count 0 for machines without GPUs.
            count: GPUs of one node.
        """
        return self._index.get((model, count), ())

    def counts(self, model: str | None) -> tuple[int, ...]:
        """The numbers of GPUs per node in which a model is sold, ascending."""
        return tuple(count for known, count in self._index if known == model)

    def models(self) -> tuple[str, ...]:
        """The GPU models that are sold, in order of name."""
        return tuple(dict.fromkeys(model for model, _ in self._index if model is not None))

    def providers(self) -> tuple[str, ...]:
        """The names of all providers, in order."""
        return tuple(sorted({offer.provider for offer in self}))

    def merge(self, live: Iterable[Offer], providers: Iterable[str]) -> Catalog:
        """A new catalog in which the rows of ``providers`` are replaced by ``live``.

        Args:
            live: what those providers offer now; checked like every offer on entry.
            providers: the providers whose rows are replaced, also if ``live`` has none of theirs.
        """
        gone = frozenset(providers)
        index = {
            key: kept
            for key, rows in self._index.items()
            if (kept := tuple(offer for offer in rows if offer.provider not in gone))
        }
        for key, rows in Catalog(live)._index.items():
            index[key] = tuple(sorted((*index.get(key, ()), *rows), key=price_order))
        merged = Catalog()
        merged._fill(index)
        return merged
