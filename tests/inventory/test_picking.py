"""Containers of a lot: used in the order they end, pooled within one lot, each losing its own dead volume."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nkloop.errors import ShortageError
from nkloop.inventory import Container, Held, Inventory, Lot, stock
from nkloop.inventory.overview import overview
from nkloop.inventory.picking import portions, valid_until
from nkloop.quantities import Amount

DAY = date(2027, 1, 15)


def vial(barcode: str, volume: str = "100 µL", **more: object) -> dict[str, object]:
    return {"barcode": barcode, "kind": "cryovial", "volume": volume, **more}


def lot(*containers: dict[str, object], **more: object) -> Lot:
    fields: dict[str, object] = {
        "id": "L", "component": "SCF", "lot_number": "1", "supplier": "maker", "concentration": "100 µg/mL",
        "containers": list(containers), "expires": "2027-06-30", "opened_life": "7 d", "storage": "-80 °C",
        "price_eur": 100,
    }  # fmt: skip
    return Lot.model_validate(fields | more)


def taken(of: Lot, volume: float, until: date = DAY, held: tuple[Held, ...] = ()) -> list[tuple[str, float]]:
    pick = Inventory(lots=(of,), held=held).pick("SCF", volume, until)
    return [(one.container, one.volume_ul) for one in pick.portions]


def test_a_lot_without_containers_is_one() -> None:
    bare = Lot.model_validate(
        {"id": "L", "component": "PBS", "lot_number": "1", "supplier": "m", "concentration": "100 % v/v",
         "volume": "1 L", "expires": "2027-06-30", "storage": "20 °C"}
    )  # fmt: skip
    assert bare.vessels == (Container(barcode="L", volume=Amount(1, "L")),)


def test_of_two_lots_the_second_is_not_asked_when_the_first_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    lots = (lot(vial("A")), lot(vial("B"), id="M", expires="2028-06-30"))
    asked: list[str] = []
    real = stock.passed_over
    monkeypatch.setattr(stock, "passed_over", lambda lot, *rest: asked.append(lot.id) or real(lot, *rest))
    monkeypatch.setattr(stock, "portions", lambda *_: pytest.fail("nobody asked for containers"))
    assert Inventory(lots=lots).choose("SCF", 50, DAY).id == "L"
    assert asked == ["L"]


def test_a_count_writes_containers_out() -> None:
    of = lot(vial("V", count=12))
    assert [one.barcode for one in of.containers][::11] == ["V-01", "V-12"]
    assert of.volume_ul == pytest.approx(1200)


def test_an_opened_container_ends_earlier_and_is_used_first() -> None:
    of = lot(vial("closed"), vial("thawed", thawed="2027-01-10", freeze_thaws=1))
    assert valid_until(of, of.containers[1]) == date(2027, 1, 17)
    assert taken(of, 50) == [("thawed", 50)]
    assert taken(of, 50, until=date(2027, 1, 18)) == [("closed", 50)]
    assert taken(of, 100) == [("thawed", 70), ("closed", 30)]


def test_an_opened_container_outlives_no_expiry() -> None:
    of = lot(vial("a", opened="2027-06-28"), storage="4 °C")
    assert valid_until(of, of.containers[0]) == date(2027, 6, 30)


@pytest.mark.parametrize(
    ("storage", "begun", "last"),
    [
        pytest.param("4 °C", {"opened": "2027-01-10"}, date(2027, 6, 30), id="opened bottle keeps to its expiry"),
        pytest.param(
            "-80 °C", {"thawed": "2027-01-10", "freeze_thaws": 1}, date(2027, 1, 10), id="thawed vial its day only"
        ),
    ],
)
def test_without_an_opened_life(storage: str, begun: dict[str, object], last: date) -> None:
    of = lot(vial("a", **begun), storage=storage, opened_life=None)
    assert valid_until(of, of.containers[0]) == last


def test_the_lot_with_the_container_that_ends_first_is_used_first() -> None:
    late = lot(vial("late"), id="LATE", expires="2028-01-01").model_copy()
    begun = lot(vial("begun", thawed="2027-01-14", freeze_thaws=1), id="BEGUN", expires="2029-01-01")
    assert Inventory(lots=(late, begun)).choose("SCF", 10, DAY).id == "BEGUN"
    assert Inventory(lots=(late, begun)).choose("SCF", 10, DAY + timedelta(days=30)).id == "LATE"


def test_frozen_again_at_the_limit_cannot_be_used() -> None:
    of = lot(vial("spent", freeze_thaws=1), vial("fresh"))
    assert taken(of, 10) == [("fresh", 10)]
    with pytest.raises(ShortageError, match="no container can be used: spent is frozen and has had 1 of 1 thaws"):
        taken(lot(vial("spent", freeze_thaws=1)), 10)


def test_a_shortage_tells_dead_volume_reservations_and_unusable_containers_in_one_line() -> None:
    of = lot(vial("a"), vial("b"), vial("c", freeze_thaws=1), vial("d", thawed="2027-01-01", freeze_thaws=1))
    until = datetime(2027, 1, 16, 9)
    held = (Held(container="a", volume_ul=50, plan="monday", until=until),)
    with pytest.raises(ShortageError) as caught:
        taken(of, 100, held=held)
    first, passed = str(caught.value).splitlines()
    assert first.startswith("SCF: no single lot holds 100 µL of SCF, valid until 2027-01-15; 10 µL are missing.")
    assert passed == (
        "lot L: passed over, it can give 90 µL of the 400 µL it holds (60 µL dead volume; "
        "50 µL reserved for monday until 2027-01-16 09:00; c is frozen and has had 1 of 1 thaws, "
        "d was thawed 2027-01-01 and is good until 2027-01-08), 100 µL are needed"
    )


@pytest.mark.parametrize(
    ("state", "told"), [("quarantined", r"it is quarantined \(pending\)"), ("blocked", r"it is blocked \(pending\)")]
)
def test_a_lot_held_back_is_passed_over(state: str, told: str) -> None:
    with pytest.raises(ShortageError, match=told):
        taken(lot(vial("a"), state=state, state_reason="pending"), 10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"volume": "1 mL"}, r"said to hold 1 mL, its containers 100 µL", id="sum"),
        pytest.param(
            {"storage": "4 °C", "containers": [vial("a", thawed="2027-01-01", freeze_thaws=1)]},
            "container a is said to be thawed, but lot L is stored at 4 °C",
            id="no ice",
        ),
        pytest.param({"containers": [vial("a", freeze_thaws=2)]}, "a was thawed 2 times, at most 1", id="thaws"),
        pytest.param({"containers": [vial("a", count=501)]}, "not a whole number from 1 to 500", id="count"),
    ],
)
def test_containers_that_contradict_their_lot_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        lot(vial("a"), **changes)


@given(
    volumes=st.lists(st.floats(0, 400), min_size=1, max_size=6),
    wanted=st.floats(0.01, 800),
    held=st.lists(st.floats(0, 100), max_size=6),
)
def test_portions_give_exactly_what_is_wanted_and_never_more_than_there_is(
    volumes: list[float], wanted: float, held: list[float]
) -> None:
    of = lot(*(vial(f"V{n}", f"{ul!r} µL") for n, ul in enumerate(volumes)))
    reserved = {f"V{n}": min(ul, volumes[n]) for n, ul in enumerate(held[: len(volumes)])}
    found = portions(of, wanted, DAY, reserved)
    free = {f"V{n}": max(0.0, ul - 30 - reserved.get(f"V{n}", 0.0)) for n, ul in enumerate(volumes)}
    if found:
        assert math.fsum(one.volume_ul for one in found) == pytest.approx(wanted, abs=2e-3)
        assert all(one.volume_ul <= free[one.container] + 1e-6 for one in found)
    else:
        assert math.fsum(free.values()) < wanted


def test_the_overview_says_what_a_person_should_notice() -> None:
    of = lot(vial("a", thawed="2027-01-10", freeze_thaws=1), vial("b", thawed="2027-01-01", freeze_thaws=1), vial("c"))
    (row,) = overview(Inventory(lots=(of,)), DAY)
    assert (row.remaining_ul, row.free_ul, row.n_containers, row.use_by) == (300, 140, 3, date(2027, 1, 17))
    assert row.remarks == ("opened, ends in 2 d", "1 unusable")


def test_many_containers_alike_are_told_in_short() -> None:
    pick = Inventory(lots=(lot(vial("V", count=9)),)).pick("SCF", 500, DAY)
    assert pick.sentence == (
        "L: 8 containers pooled: V-01 to V-07, 7 with 70 µL (thaw) each, V-08 10 µL (thaw); "
        "210 µL dead volume is discarded"
    )
