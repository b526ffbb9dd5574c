"""Amounts read what people write, refuse what is ambiguous, and never lose a digit."""

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from nkloop.errors import QuantityError
from nkloop.quantities import (
    Amount,
    CellDensity,
    Concentration,
    Duration,
    Kind,
    RemainingVolume,
    Share,
    SpecificActivity,
    Volume,
)

UNITS = ["nL", "µL", "mL", "L", "pg", "ng", "µg", "mg", "g", "pg/mL", "ng/µL", "mg/L", "IU", "kIU", "IU/mL", "MIU/mg"]
UNITS += ["nM", "µM", "mM", "% v/v", "v/v", "cells", "cells/mL", "cells/µL", "s", "min", "h", "d"]
magnitudes = st.floats(min_value=1e-12, max_value=1e12)
amounts = st.builds(lambda m, u: Amount(m, u, substance="IL-2"), magnitudes, st.sampled_from(UNITS))


@pytest.mark.parametrize(
    ("text", "unit", "canonical"),
    [
        ("25 ng/mL", "ng/mL", 0.025),
        ("25ng/ml", "ng/mL", 0.025),
        (" 25.0  ng / mL ", "ng/mL", 0.025),
        ("100 µg/mL", "µg/mL", 100.0),
        ("100 μg/mL", "µg/mL", 100.0),
        ("100 ug/mL", "µg/mL", 100.0),
        ("100 mcg/mL", "µg/mL", 100.0),
        ("10 pg/mL", "pg/mL", 1e-5),
        ("10 % v/v", "% v/v", 0.1),
        ("1e5 cells/mL", "cells/mL", 100.0),
        ("750 nM", "nM", 0.75),
        ("100 mL", "mL", 1e5),
        ("3.5 d", "d", 5040.0),
        ("2 days", "d", 2880.0),
    ],
)
def test_reads_what_people_write(text: str, unit: str, canonical: float) -> None:
    amount = Amount.parse(text)
    assert amount.unit == unit
    assert amount.canonical == pytest.approx(canonical, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("2,5 ng/mL", "comma between digits", id="decimal_comma"),
        pytest.param("1,000 IU/mL", "comma between digits", id="thousands_comma"),
        pytest.param("25", "not a number with a unit", id="no_unit"),
        pytest.param("ng/mL", "not a number with a unit", id="no_number"),
        pytest.param("", "not a number with a unit", id="empty"),
        pytest.param("25 ng/mL/h", "unit 'ng/mL/h' is not known", id="compound"),
        pytest.param("25 furlong", "unit 'furlong' is not known", id="unknown_unit"),
        pytest.param("1000 U/mL", "does not say which unit of activity", id="bare_u"),
        pytest.param("1000 units/mg", "does not say which unit of activity", id="vendor_units"),
        pytest.param("1 kU/mL", "does not say which unit of activity", id="kilo_u"),
        pytest.param("nan ng/mL", "not a finite amount", id="nan"),
        pytest.param("-inf ng/mL", "not a finite amount", id="minus_infinity"),
        pytest.param("1e999 ng/mL", "^'1e999 ng/mL' is not a finite amount", id="overflow"),
        pytest.param("10^400 mL", r"^'10\^400 mL' is not a finite amount", id="power_overflow"),
    ],
)
def test_refuses_what_is_ambiguous(text: str, match: str) -> None:
    with pytest.raises(QuantityError, match=match):
        Amount.parse(text)


@pytest.mark.parametrize(
    ("value", "match"),
    [(25, "25 .* has no unit"), (None, "nothing .* has no unit"), (float("nan"), "nan .* not finite")],
)
def test_a_value_that_is_no_text_has_no_unit(value: object, match: str) -> None:
    with pytest.raises(QuantityError, match=match):
        Amount.parse(value)  # type: ignore[arg-type]


@given(amounts)
def test_text_reads_back_exactly(amount: Amount) -> None:
    again = Amount.parse(str(amount), substance="IL-2")
    assert (again.magnitude, again.unit, again.substance) == (amount.magnitude, amount.unit, amount.substance)


@given(amounts)
def test_json_and_pickle_read_back_exactly(amount: Amount) -> None:
    class Holder(BaseModel):
        amount: Amount

    again = Holder.model_validate_json(Holder(amount=amount).model_dump_json()).amount
    assert again.of("IL-2").magnitude == amount.magnitude
    assert pickle.loads(pickle.dumps(amount)) == amount


@given(magnitudes, st.sampled_from([("ng/mL", "µg/mL", 1e-3), ("mL", "µL", 1e3), ("h", "min", 60.0)]))
def test_the_same_amount_in_two_units_is_equal(magnitude: float, units: tuple[str, str, float]) -> None:
    unit, other, by = units
    there = Amount(magnitude * by, other)
    assert Amount(magnitude, unit).to(other) == pytest.approx(magnitude * by, rel=1e-12)
    assert there.to(unit) == pytest.approx(magnitude, rel=1e-12)


def test_equal_amounts_have_equal_hashes() -> None:
    assert {Amount(25, "ng/mL"), Amount(0.025, "µg/mL"), Amount(25, "µg/L")} == {Amount(25, "ng/mL")}
    assert Amount(25, "ng/mL") != Amount(25.0001, "ng/mL")
    assert Amount(1, "mL") != "1 mL"


def test_activity_belongs_to_one_substance() -> None:
    il2, il15 = Amount(1000, "IU/mL", substance="IL-2"), Amount(1000, "IU/mL", substance="IL-15")
    assert il2 != il15
    assert il2.canonical == il15.canonical == 1.0
    assert il2.of("IL-15") == il15
    with pytest.raises(QuantityError, match="does not say of which substance"):
        _ = Amount(1000, "IU/mL").canonical


def test_activity_never_converts_to_mass_by_itself() -> None:
    with pytest.raises(QuantityError, match="1000 IU/mL measures activity concentration, but ng/mL measures mass"):
        Amount(1000, "IU/mL", substance="IL-2").to("ng/mL")


def test_an_amount_never_changes() -> None:
    with pytest.raises(AttributeError, match="never changes"):
        Amount(1, "mL").magnitude = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "good", "bad", "match"),
    [
        (Volume, "1 mL", "0 mL", r"0 mL must be above 0 mL"),
        (Volume, "1 mL", "1 mg", r"1 mg measures mass, not volume.*10 mL"),
        (RemainingVolume, "0 mL", "-1 mL", r"-1 mL must be at least 0 mL"),
        (Concentration, "25 ng/mL", "25 ng", r"25 ng measures mass, not mass concentration or"),
        (Concentration, "1 IU/mL", "-25 ng/mL", r"-25 ng/mL must be above 0"),
        (Share, "10 % v/v", "10 mL", r"10 mL measures volume, not fraction"),
        (CellDensity, "1e5 cells/mL", "1e5 cells", r"1e5 cells measures cells, not cell density"),
        (Duration, "3 d", "3 mL", r"3 mL measures volume, not time"),
        (SpecificActivity, "1.64e7 IU/mg", "1 IU/mL", r"not specific activity"),
    ],
)
def test_a_field_takes_one_kind_within_bounds(kind: type, good: str, bad: str, match: str) -> None:
    class Holder(BaseModel):
        value: kind  # type: ignore[valid-type]

    assert Holder(value=good).value == Amount.parse(good)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match=match):
        Holder(value=bad)  # type: ignore[call-arg]


def test_a_share_of_a_culture_may_be_a_percent_alone() -> None:
    class Exchange(BaseModel):
        share: Share
        dose: Concentration

    assert Exchange(share="50 %", dose="10 % v/v").share == Amount(50, "% v/v")  # type: ignore[arg-type]
    with pytest.raises(
        ValidationError, match=r"'%' does not say of what: .*write % v/v; or, for % w/v or % w/w"
    ) as told:
        Exchange(share="50 % v/v", dose="10 %")  # type: ignore[arg-type]
    assert [error["loc"] for error in told.value.errors()] == [("dose",)]
    patterns = {name: field["pattern"] for name, field in Exchange.model_json_schema()["properties"].items()}
    assert re.search(patterns["share"], "50 %")
    assert re.search(patterns["share"], "50 % v/v")
    assert not re.search(patterns["dose"], "10 %")
    assert re.search(patterns["dose"], "10 % v/v")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.00001 µg/mL", "10 pg/mL"),
        ("61.09756 ng/mL", "61.1 ng/mL"),
        ("999.7 ng/mL", "1 µg/mL"),
        ("0.025 µg/mL", "25 ng/mL"),
        ("1000 IU/mL", "1000 IU/mL"),
        ("16.4e6 IU/mg", "1.64e7 IU/mg"),
        ("100000 cells/mL", "1e5 cells/mL"),
        ("12345 µL", "12.3 mL"),
        ("0.1 v/v", "10 % v/v"),
        ("3.5 d", "3.5 d"),
        ("0 mL", "0 mL"),
        ("0 ng/mL", "0 ng/mL"),
        ("-0.0 µg/µL", "0 µg/µL"),
        ("0.004 pg/mL", "4 fg/mL"),
        ("0.0004 fg/mL", "4e-4 fg/mL"),
        ("-250 µL", "-250 µL"),
    ],
)
def test_display_chooses_prefix_and_digits(text: str, shown: str) -> None:
    assert Amount.parse(text, substance="IL-2").display() == shown


@given(amounts)
def test_display_keeps_the_size(amount: Amount) -> None:
    again = Amount.parse(amount.display(), substance="IL-2")
    assert again.kind is amount.kind
    assert again.canonical == pytest.approx(amount.canonical, rel=6e-3)


@pytest.mark.parametrize(
    ("magnitude", "text"), [(25, "25 mL"), (0.1, "0.1 mL"), (1e5, "1e5 mL"), (123456, "123456 mL")]
)
def test_text_is_short(magnitude: float, text: str) -> None:
    assert str(Amount(magnitude, "mL")) == text


def test_canonical_units_are_their_own() -> None:
    for kind in Kind:
        assert Amount(1, kind.value, substance="IL-2").canonical == 1.0
