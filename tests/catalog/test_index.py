from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk.catalog import Catalog
from lepton_sdk.domain.gpu import Gpu
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.offer import Offer, Terms, TermsKind

offers = st.builds(
    Offer,
    provider=st.sampled_from(["acme", "bolt", "crow"]),
    instance_type=st.sampled_from(["big", "small", "wide"]),
    region=st.sampled_from(["*", "north"]),
    gpu=st.sampled_from([None, Gpu("H100"), Gpu("H100", "SXM", 80), Gpu("L4")]),
    gpu_count=st.sampled_from([0, 1, 8]),
    terms=st.sampled_from([Terms(), Terms(TermsKind.SPOT), Terms(TermsKind.OWNED)]),
    price=st.none() | st.builds(Money, st.sampled_from([Decimal(0), Decimal(1), Decimal("2.5"), Decimal(20)])),
)
markets = st.lists(offers, max_size=25)


def key(offer: Offer) -> tuple[str | None, int]:
    return (offer.gpu.model if offer.gpu else None, offer.gpu_count)


def same_row(one: Offer, two: Offer) -> bool:
    """Equal but for what the price check added."""
    return {**one.to_dict(), "flags": None} == {**two.to_dict(), "flags": None}


def without_flags(rows: list[Offer]) -> list[str]:
    return sorted(repr({**row.to_dict(), "flags": None}) for row in rows)


@given(markets)
def test_a_catalog_holds_every_offer_once_under_its_key(rows: list[Offer]) -> None:
    catalog = Catalog(rows)
    assert len(catalog) == len(rows)
    assert without_flags(list(catalog)) == without_flags(rows)
    assert set(catalog.sold()) == {key(row) for row in rows}
    for model, count in catalog.sold():
        assert without_flags(list(catalog.select(model, count))) == without_flags(
            [row for row in rows if key(row) == (model, count)]
        )
        assert count in catalog.counts(model)
    assert catalog.models() == tuple(sorted({row.gpu.model for row in rows if row.gpu}))
    assert catalog.providers() == tuple(sorted({row.provider for row in rows}))


@given(markets)
def test_a_selection_stands_in_order_of_price_then_names(rows: list[Offer]) -> None:
    catalog = Catalog(rows)
    for pair in catalog.sold():
        selected = catalog.select(*pair)
        ranks = [(row.price is None, row.price.amount if row.price is not None else Decimal(0), row.key) for row in selected]
        assert ranks == sorted(ranks)


@given(markets, st.randoms())
def test_the_order_of_the_input_does_not_matter(rows: list[Offer], random: object) -> None:
    once = {row.key: row for row in rows}
    shuffled = list(once.values())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert list(Catalog(once.values())) == list(Catalog(shuffled))


@given(markets, markets, st.sets(st.sampled_from(["acme", "bolt", "nobody"])))
def test_merge_replaces_the_rows_of_the_named_providers(known: list[Offer], live: list[Offer], providers: set[str]) -> None:
    before = Catalog(known)
    rows_before = list(before)
    merged = before.merge(live, providers)
    kept = [row for row in known if row.provider not in providers]
    assert without_flags(list(merged)) == without_flags(kept + live)
    assert len(merged) == len(kept) + len(live)
    assert list(before) == rows_before


def test_an_empty_catalog() -> None:
    catalog = Catalog()
    assert len(catalog) == 0
    assert list(catalog) == []
    assert catalog.select("H100", 8) == ()
    assert catalog.counts("H100") == ()


def test_keys_hold_the_machines_without_gpus_too() -> None:
    catalog = Catalog([Offer("acme", "plain", cpus=4), Offer("acme", "odd", gpu_count=2)])
    assert catalog.sold() == ((None, 0), (None, 2))
    assert catalog.counts(None) == (0, 2)
    assert catalog.models() == ()


def test_a_free_machine_of_ones_own_stands_before_a_paid_one() -> None:
    own = Offer("mine", "desk", terms=Terms(TermsKind.OWNED), price=Money(0))
    paid = Offer("acme", "small", price=Money(1))
    unknown = Offer("acme", "tiny")
    assert list(Catalog([unknown, paid, own]).select(None, 0)) == [own, paid, unknown]
