"""Scanned codes: each judged at once, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nkloop.drivers.interfaces import LotToScan
from nkloop.drivers.scanning import Known, Scans, codes_in

LOTS = (
    LotToScan(lot="L-15", component="IL-15", expires=date(2027, 1, 1), codes=("V-1", "V-2")),
    LotToScan(lot="L-2", component="IL-2", expires=date(2026, 11, 1)),
)


@pytest.fixture
def scans() -> Scans:
    known = {"L-7": Known("IL-7", "L-7")}
    return Scans({"plate": "P-1"}, LOTS[:1], today=date(2026, 11, 28), what_is=known.get)


def test_codes_are_taken_in_any_order_and_counted(scans: Scans) -> None:
    assert scans.take("V-2").told == "IL-15, lot L-15 (1 of 2)"
    assert scans.missing == ("P-1 (plate)",)
    assert scans.take(" P-1 ").told == "P-1, plate (2 of 2)"
    assert (scans.problem, scans.taken) == ("", ["V-2", "P-1"])


def test_a_code_scanned_again_is_no_mistake(scans: Scans) -> None:
    scans.take("V-1")
    assert scans.take("V-1").told == "V-1 was scanned already"
    single = Scans({}, (LOTS[1].model_copy(update={"codes": ("W-1",), "expires": None}),))
    single.take("W-1")
    assert single.take("L-2").told == "L-2 was scanned already, as W-1"
    assert single.problem == ""


def test_a_second_vial_where_one_is_enough_is_sent_back_and_does_not_take_the_place_of_the_first(scans: Scans) -> None:
    scans.take_all("P-1 V-1")
    scan = scans.take("V-2")
    assert (scan.ok, scan.is_wrong) == (False, True)
    assert scan.told == (
        "V-2 is another container of IL-15, lot L-15; V-1 was scanned and is enough: put V-2 back, and use V-1"
    )
    assert (scans.taken, scans.problem) == (["P-1", "V-1"], scan.told)


def test_two_vials_are_taken_where_two_are_needed() -> None:
    lot = LOTS[0].model_copy(update={"codes": ("V-1", "V-2", "V-3"), "reserved": ("V-1", "V-2"), "needs_ul": 60.0})
    lot = lot.model_copy(update={"gives_ul": dict.fromkeys(lot.codes, 35.0)})
    pool = Scans({}, (lot,), today=date(2026, 11, 28))
    pool.take_all("V-3 V-1")
    assert (pool.taken, pool.problem) == (["V-3", "V-1"], "")
    assert pool.take("V-2").why.endswith("V-3 and V-1 were scanned and are enough: put V-2 back, and use V-3 and V-1")
    half_empty = lot.model_copy(update={"reserved": ("V-1",), "needs_ul": 40.0})
    alone = Scans({}, (half_empty,), today=date(2026, 11, 28))
    assert alone.take("V-2").ok
    assert alone.take("V-3").ok  # by the stock the first gives less than is needed
    assert alone.take("V-1").is_wrong


def test_a_wrong_code_is_told_with_what_it_is_and_what_was_expected(scans: Scans) -> None:
    scan = scans.take("L-7")
    assert not scan.ok
    assert scan.told == (
        "L-7 is IL-7, lot L-7, which is not expected here; still to scan: P-1 (plate), a container of L-15 (IL-15)"
    )
    scans.take_all("P-1 V-1 P-9")
    assert scans.problem == "L-7 is IL-7, lot L-7, which is not expected here; P-9 is not expected here"
    assert scans.take("X").told.endswith("everything asked for has been scanned")


def test_an_expired_lot_is_refused_although_it_is_the_one_asked_for() -> None:
    scans = Scans({}, LOTS, today=date(2026, 11, 28))
    scan = scans.take("L-2")
    assert not scan.ok
    assert "lot L-2 of IL-2 expired on 2026-11-01: do not use it" in scan.told
    scans.take("V-1")
    assert scans.problem == f"{scan.why}; still to scan: L-2 (IL-2)"
    unscanned = Scans({}, LOTS, today=date(2026, 11, 28))
    unscanned.take("V-1")
    assert unscanned.problem == "lot L-2 of IL-2 expired on 2026-11-01; still to scan: L-2 (IL-2)"


def test_an_expired_lot_is_called_so_with_what_to_bring_instead() -> None:
    old = Known("IL-15", "L-14", date(2026, 10, 31), instead="lot L-16, use by 2027-02-01")
    asked = LOTS[0].model_copy(update={"reserved": ("V-2",)})
    scan = Scans({}, (asked,), today=date(2026, 11, 28), what_is=lambda code: old).take("OLD-1")
    assert scan.told == (
        "OLD-1 is IL-15, lot L-14, which expired on 2026-10-31 and is not expected here: do not use it; "
        "bring V-2 (IL-15, lot L-15) instead"
    )
    planned = LOTS[0].model_copy(update={"expires": date(2026, 10, 31)})
    scan = Scans({}, (planned,), today=date(2026, 11, 28), what_is=lambda code: old).take("V-1")
    assert scan.told == (
        "lot L-15 of IL-15 expired on 2026-10-31: do not use it; decline, and plan again with another lot; "
        "the stock has lot L-16, use by 2027-02-01"
    )


def test_the_code_of_a_printed_label_stands_for_what_it_is_of(scans: Scans) -> None:
    assert scans.take("nkloop:labware:P-1").told == "P-1, plate (1 of 2)"
    tube = LotToScan(lot="line:K-562", component="K-562", codes=("K-562",))
    assert Scans({}, (tube,)).take("nkloop:cells:line:K-562").ok
    assert Scans({}, (tube,)).take("K-562").ok


def test_a_lot_may_be_used_on_its_last_day() -> None:
    scans = Scans({}, LOTS, today=date(2026, 11, 1))
    assert scans.take("L-2").ok


def test_codes_are_parted_by_what_scanners_send() -> None:
    assert list(codes_in("A;B, C\r\nA\tD ")) == ["A", "B", "C", "D"]


def test_where_nothing_is_to_be_scanned_a_code_is_told_so() -> None:
    assert Scans({}).take("P-9").told.endswith("nothing is to be scanned here")


def test_the_code_of_a_lot_with_several_containers_does_not_tell_which_one_it_is() -> None:
    refused: list[str] = []
    lot = LOTS[0].model_copy(update={"reserved": ("V-2",)})
    scans = Scans({}, (lot,), today=date(2026, 11, 28), tell=lambda scan: refused.append(scan.code))
    scan = scans.take("L-15")
    assert not scan.ok
    assert scan.told.endswith("it has 2 containers: scan the one in your hand (V-2 is reserved for this run)")
    assert scans.problem == f"{scan.told}; still to scan: V-2 (IL-15, lot L-15)"
    assert refused == []
    assert scans.take("V-1").ok
    assert scans.problem == ""


def test_a_container_that_counts_as_giving_too_little_is_to_be_looked_at() -> None:
    lot = LOTS[0].model_copy(update={"reserved": ("V-2",), "needs_ul": 35.0, "gives_ul": {"V-1": 0.0, "V-2": 70.0}})
    scans = Scans({}, (lot,), today=date(2026, 11, 28))
    assert scans.take("V-1").told == "IL-15, lot L-15 (1 of 1); by the stock it is empty: look at it"
    half = lot.model_copy(update={"gives_ul": {"V-1": 20.0}})
    assert "gives 20 µL of the 35 µL needed: look" in Scans({}, (half,), today=date(2026, 11, 28)).take("V-1").told
    assert "look" not in Scans({}, (lot,), today=date(2026, 11, 28)).take("V-2").told
    pool = half.model_copy(update={"reserved": ("V-2", "V-3"), "needs_ul": 300.0})
    assert "look" not in Scans({}, (pool,), today=date(2026, 11, 28)).take("V-1").told


def test_what_a_later_step_brings_is_sent_back_and_is_no_deviation() -> None:
    refused: list[str] = []
    later = LOTS[0].model_copy(update={"step": 4})
    scans = Scans({"plate": "P-1"}, later=(later,), tell=lambda scan: refused.append(scan.code))
    told = scans.take("V-1").told
    assert told == "V-1 is IL-15, which comes at step 4 and is scanned then: leave it where it is stored"
    assert scans.is_code("V-1")
    scans.take("P-1")
    assert (scans.problem, refused) == ("", [])


def test_another_lot_of_the_same_component_is_answered_with_the_right_one() -> None:
    lot = LOTS[0].model_copy(update={"reserved": ("V-2",)})
    scans = Scans({"plate": "P-1"}, (lot,), what_is=lambda code: Known("IL-15", "L-16"), today=date(2026, 11, 28))
    assert scans.take("L-16").told.endswith("which is not expected here; of IL-15 it is V-2 (IL-15, lot L-15)")


@given(
    gives=st.lists(st.floats(1, 500), min_size=2, max_size=6),
    n_reserved=st.integers(1, 6),
    chosen=st.sets(st.integers(0, 5)),
)
def test_a_pool_is_shown_by_as_many_containers_as_were_reserved_or_by_as_much_liquid(
    gives: Sequence[float], n_reserved: int, chosen: set[int]
) -> None:
    codes = [f"V-{number}" for number in range(len(gives))]
    reserved = codes[:n_reserved]
    lot = LotToScan(
        lot="L",
        component="x",
        codes=tuple(codes),
        reserved=tuple(reserved),
        needs_ul=sum(gives[:n_reserved]),
        gives_ul=dict(zip(codes, gives, strict=True)),
    )
    scanned = [codes[one] for one in chosen if one < len(codes)]
    given_ul = sum(lot.gives_ul[code] for code in scanned)
    assert lot.is_shown_by(scanned) == (
        bool(scanned) and (len(scanned) >= len(reserved) or given_ul >= sum(gives[:n_reserved]))
    )
    assert lot.is_shown_by(reserved)
    assert not lot.is_shown_by(["other", "L"])


def test_what_is_written_down_of_a_wrong_code_names_what_is_missing_beside_all_that_were_sent_with_it() -> None:
    told: list[str] = []
    scans = Scans(
        {"plate": "P-1", "other": "P-2"}, LOTS[:1], today=date(2026, 11, 28), tell=lambda scan: told.append(scan.told)
    )
    scans.take_all("X-9 P-1 V-1")
    assert told == ["X-9 is not expected here; still to scan: P-2 (other)"]


def test_another_lot_is_answered_with_what_is_left_of_the_right_one() -> None:
    lot = LOTS[0].model_copy(update={"reserved": ("V-1", "V-2"), "needs_ul": 60.0})
    known = {"L-8": Known("IL-15", "L-8")}
    scans = Scans({}, (lot,), today=date(2026, 11, 28), what_is=known.get)
    scans.take("V-1")
    assert scans.take("L-8").why.endswith("of IL-15 it is V-2 (IL-15, lot L-15)")
    scans.take("V-2")
    assert scans.take("L-8").why.endswith("of IL-15 all that is needed has been scanned")
