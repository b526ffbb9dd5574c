"""Numbers as people read them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nkloop.quantities import Amount
from nkloop.reports import numbers


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (1234.5, 3, "1230"), (0.012345, 3, "0.0123"), (-2.5, 2, "\u22122.5"), (0, 3, "0"), (None, 3, "–"),
        (math.nan, 3, "–"), (math.inf, 3, "–"), (99.96, 3, "100.0"), (12, 3, "12.0"),
    ],
)  # fmt: skip
def test_figure(value: float | None, digits: int, said: str) -> None:
    assert numbers.figure(value, digits) == said


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_figure_is_close_to_its_value(value: float) -> None:
    assert float(numbers.figure(value)) == pytest.approx(value, rel=0.006)


@given(st.floats(allow_nan=True, allow_infinity=True))
@example(1.7950000000000001e308)
def test_nothing_ever_shows_a_power_of_ten_or_not_a_number(value: float) -> None:
    for shown in (numbers.figure(value), numbers.fixed(value), numbers.signed(value), numbers.plain(value)):
        assert not re.search(r"nan|inf|e[+-]", shown)
        assert "-" not in shown
        assert "," not in shown


@pytest.mark.parametrize(
    ("value", "said"), [(0.126, "+0.13"), (-0.126, "\u22120.13"), (0.001, "0.00"), (-0.001, "0.00")]
)
def test_signed(value: float, said: str) -> None:
    assert numbers.signed(value) == said


def test_interval() -> None:
    assert numbers.interval(-0.1, 0.25) == "\u22120.10 to +0.25"
    assert numbers.interval(None, 0.25) == "–"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (13_000, "13 mL"), (1_500, "1.5 mL"), (52.25, "52.25 µL"), (0.5, "0.5 µL"), (999.99, "1 mL"),
        (9_999_999, "10 L"), (19_897_800, "19.9 L"), (1_989_000, "1.989 L"),
    ],
)  # fmt: skip
def test_volume(value: float, said: str) -> None:
    assert numbers.volume(value) == said


@given(st.floats(min_value=1e-3, max_value=1e8))
@example(999.99)
@example(999.95)
@example(999_950.0)
@example(1e6)
def test_a_volume_reads_back_as_what_it_is_and_never_as_a_thousand(value: float) -> None:
    said = Amount.parse(numbers.volume(value))
    assert said.to("µL") == pytest.approx(value, rel=5.001e-4)
    assert said.magnitude < 1000 or said.unit == "L"


@pytest.mark.parametrize(
    ("minutes", "said"), [(0.00035, "0.021 s"), (1, "60 s"), (42, "42 min"), (240, "4.0 h"), (50_400, "35 d")]
)
def test_duration(minutes: float, said: str) -> None:
    assert numbers.duration(minutes) == said


def test_moments() -> None:
    when = datetime(2026, 3, 2, 8, 5, tzinfo=UTC)
    assert numbers.moment(when) == "2026-03-02 08:05 UTC"
    assert numbers.moment(None) == "–"
    assert numbers.length(when, when + timedelta(hours=3)) == "3.0 h"
    assert numbers.length(when, None) == "–"


def test_words() -> None:
    assert numbers.count(1, "plate") == "1 plate"
    assert numbers.count(1200, "plate") == "1200 plates"
    assert numbers.listing(["a", "b", "c"]) == "a, b and c"
    assert numbers.listing([]) == ""
    assert numbers.fold(3.1) == "1300×"
    assert numbers.factor(0.5) == "×0.50"
