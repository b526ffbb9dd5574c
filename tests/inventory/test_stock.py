"""Lots: first expired first out, valid to the end of use, never mixed; what is left and what it costs."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from nkloop.errors import InventoryError, ShortageError
from nkloop.inventory import Inventory, Lot
from nkloop.quantities import Amount, Kind

DAY = date(2027, 1, 15)


def lot(lot_id: str, **changes: object) -> Lot:
    """A usable lot of SCF, changed as said."""
    fields: dict[str, object] = {
        "id": lot_id,
        "component": "SCF",
        "lot_number": "L1",
        "supplier": "generic",
        "concentration": "100 µg/mL",
        "volume": "1 mL",
        "expires": "2027-06-30",
        "price_eur": 100.0,
    }
    return Lot.model_validate(fields | changes)


def stock(*lots: Lot) -> Inventory:
    return Inventory(lots=lots)


def test_the_first_to_expire_is_used_first_whatever_the_order() -> None:
    late, early = lot("late", expires="2028-01-01"), lot("early", expires="2027-03-01")
    assert stock(late, early).choose("SCF", 10.0, DAY).id == "early"
    assert stock(early, late).choose("SCF", Amount(10, "µL"), DAY).id == "early"


def test_a_lot_is_valid_on_its_last_day_and_not_after() -> None:
    inventory = stock(lot("early", expires="2027-01-15"), lot("late"))
    assert inventory.choose("SCF", 10.0, DAY).id == "early"
    assert inventory.choose("SCF", 10.0, DAY + timedelta(days=1)).id == "late"


def test_lots_are_never_mixed() -> None:
    inventory = stock(lot("a", volume="0.6 mL"), lot("b", volume="0.6 mL", expires="2027-07-01"))
    assert inventory.choose("SCF", 600.0, DAY).id == "a"
    with pytest.raises(ShortageError, match=r"no single lot holds 1 mL of SCF.*hold 1.2 mL together.*never mixed"):
        inventory.choose("SCF", Amount(1, "mL"), DAY)


def test_a_shortage_tells_every_lot_and_why() -> None:
    inventory = stock(
        lot("old", expires="2027-01-01"),
        lot("thawed", freeze_thaws=1),
        lot("small", volume="20 µL"),
        lot("empty", volume="0 µL"),
        lot("other", component="TPO"),
    )
    with pytest.raises(ShortageError) as caught:
        inventory.choose("SCF", 50.0, DAY)
    told = str(caught.value)
    assert "SCF: no single lot holds 50 µL of SCF, valid until 2027-01-15; 30 µL are missing. Remedy: order" in told
    assert "lot old: passed over, it expires 2027-01-01, before the end of use 2027-01-15" in told
    assert "lot thawed: passed over, it is frozen and has had 1 of 1 thaws" in told
    assert "lot small: passed over, it holds 20 µL, 50 µL are needed" in told
    assert "lot empty: passed over, it is used up" in told
    assert "other" not in told


def test_a_refrigerated_lot_needs_no_thaw() -> None:
    assert stock(lot("cold", storage="4 °C", max_freeze_thaws=0)).choose("SCF", 1.0, DAY).id == "cold"
    with pytest.raises(ShortageError, match="0 of 0 thaws"):
        stock(lot("frozen", max_freeze_thaws=0)).choose("SCF", 1.0, DAY)


def test_an_unknown_component_is_asked_back() -> None:
    with pytest.raises(ShortageError, match=r"no lot of SFC in the list, .*did you mean 'SCF'\? Otherwise add a lot"):
        stock(lot("a")).choose("SFC", 1.0, DAY)


def test_another_number_is_another_cytokine() -> None:
    with pytest.raises(ShortageError, match=r"Remedy: add a lot of IL-21 .* `nkloop lots import FILE`") as caught:
        stock(lot("a", component="IL-2")).choose("IL-21", 1.0, DAY)
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("volume", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_volume_is_refused(volume: float) -> None:
    with pytest.raises(InventoryError, match="cannot be taken"):
        stock(lot("a")).choose("SCF", volume, DAY)
    with pytest.raises(InventoryError, match="cannot be taken"):
        stock(lot("a")).pick_from("a", volume, DAY)


def test_cost_is_a_share_of_the_price_and_names_lots_without_one() -> None:
    inventory = stock(lot("a"), lot("b", price_eur=None))
    cost = inventory.cost({"a": 250.0, "b": 10.0})
    assert cost.eur == pytest.approx(25.0)
    assert cost.without_price == ("b",)
    with pytest.raises(InventoryError, match=r"no lot 'c' in the list"):
        inventory.cost({"c": 1.0})


def test_mass_becomes_activity_only_through_the_certificate() -> None:
    certified = lot("a", component="IL-2", specific_activity="16.4e6 IU/mg")
    assert certified.strength(Kind.MASS_CONCENTRATION) == 100.0
    assert certified.strength(Kind.ACTIVITY_CONCENTRATION) == pytest.approx(1640.0)
    with pytest.raises(InventoryError, match=r"lot b: 100 µg/mL of SCF cannot be told as activity.*certificate"):
        lot("b").strength(Kind.ACTIVITY_CONCENTRATION)
    with pytest.raises(InventoryError, match="cannot be told as fraction"):
        certified.strength(Kind.FRACTION)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"freeze_thaws": 2}, "thawed 2 times, at most 1"),
        ({"concentration": "-1 ng/mL"}, "must be above 0"),
        ({"concentration": "100 U/mL"}, "does not say which unit"),
        ({"volume": "-1 mL"}, "must be at least 0"),
        ({"volume": "1 mg"}, "measures mass, not volume"),
        ({"expires": "soon"}, "valid date"),
        ({"concentration": "1 IU/mL", "specific_activity": "1e7 IU/mg"}, "is no mass"),
    ],
)
def test_a_wrong_lot_is_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        lot("a", **changes)


def test_a_lot_list_tells_all_its_problems(tmp_path: Path) -> None:
    path = tmp_path / "lots.yaml"
    path.write_text(
        "lots:\n"
        "  - {id: a, lot_number: 1, concentration: 1 g/L, expires: 1.3.27, component: SCF, supplier: s, volume: 1 L}\n"
        "  - {id: b, lot_number: x, concentration: 1 U/mL, expires: 2027-01-01, component: SCF, supplier: s}\n"
    )
    with pytest.raises(InventoryError) as caught:
        Inventory.load(path)
    assert [p.where.removeprefix(str(path)) for p in caught.value.problems] == [
        ":2:25: lots.a.lot_number",
        ":2:59: lots.a.expires",
        ":3:5: lots.b.volume",
        ":3:43: lots.b.concentration",
    ]


def test_a_lot_listed_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="lot listed twice: a"):
        stock(lot("a"), lot("a"))
