"""Scanned codes: each judged at once, in words."""

from __future__ import annotations

from datetime import date

import pytest

from nkloop.drivers.interfaces import LotToScan
from nkloop.drivers.scanning import Scans, codes_in

LOTS = (
    LotToScan(lot="L-15", component="IL-15", expires=date(2027, 1, 1), codes=("V-1", "V-2")),
    LotToScan(lot="L-2", component="IL-2", expires=date(2026, 11, 1)),
)


@pytest.fixture
def scans() -> Scans:
    known = {"L-7": "IL-7, lot L-7"}
    return Scans({"plate": "P-1"}, LOTS[:1], today=date(2026, 11, 28), what_is=lambda code: known.get(code, ""))


def test_codes_are_taken_in_any_order_and_counted(scans: Scans) -> None:
    assert scans.take("V-2").told == "IL-15, lot L-15 (1 of 2)"
    assert scans.missing == ("P-1 (plate)",)
    assert scans.take(" P-1 ").told == "P-1, plate (2 of 2)"
    assert (scans.problem, scans.taken) == ("", ["V-2", "P-1"])


def test_a_second_vial_of_a_lot_and_a_code_scanned_again_are_no_mistake(scans: Scans) -> None:
    scans.take("V-1")
    assert scans.take("V-1").told == "V-1 was scanned already"
    assert scans.take("V-2").ok
    assert scans.missing == ("P-1 (plate)",)


def test_a_wrong_code_is_told_with_what_it_is_and_what_was_expected(scans: Scans) -> None:
    scan = scans.take("L-7")
    assert not scan.ok
    assert scan.told == ("L-7 is IL-7, lot L-7, which is not expected here; still to scan: P-1 (plate), L-15 (IL-15)")
    scans.take_all("P-1 V-1 P-9")
    assert scans.problem == "not expected here: L-7 (IL-7, lot L-7), P-9"
    assert scans.take("X").told.endswith("everything asked for has been scanned")


def test_an_expired_lot_is_refused_although_it_is_the_one_asked_for() -> None:
    scans = Scans({}, LOTS, today=date(2026, 11, 28))
    scan = scans.take("L-2")
    assert not scan.ok
    assert "lot L-2 of IL-2 expired on 2026-11-01: do not use it" in scan.told
    scans.take("L-15")
    assert scans.problem == "missing: L-2 (IL-2); lot L-2 of IL-2 expired on 2026-11-01"


def test_a_lot_may_be_used_on_its_last_day() -> None:
    scans = Scans({}, LOTS, today=date(2026, 11, 1))
    assert scans.take("L-2").ok


def test_codes_are_parted_by_what_scanners_send() -> None:
    assert list(codes_in("A;B, C\r\nA\tD ")) == ["A", "B", "C", "D"]


def test_where_nothing_is_to_be_scanned_a_code_is_told_so() -> None:
    assert Scans({}).take("P-9").told.endswith("nothing is to be scanned here")
