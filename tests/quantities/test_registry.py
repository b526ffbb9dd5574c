"""Our own short list of units converts everything that can be written, and as pint's long one does."""

import pint
import pytest

from nkloop.quantities import Amount, Kind
from nkloop.quantities.registry import factor
from nkloop.quantities.units import spellings, unit_of

OURS = {Kind.ACTIVITY, Kind.ACTIVITY_CONCENTRATION, Kind.SPECIFIC_ACTIVITY}
OURS |= {Kind.TRANSDUCING_UNITS, Kind.TITRE, Kind.MULTIPLICITY}


@pytest.fixture(scope="module")
def pints() -> "pint.UnitRegistry[float]":
    units: pint.UnitRegistry[float] = pint.UnitRegistry()
    for line in ("cells = [cell_count]", "volume_percent = 0.01"):
        units.define(line)
    return units


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in OURS])
def test_every_unit_is_worth_what_pint_says(pints: "pint.UnitRegistry[float]", kind: Kind) -> None:
    canonical = unit_of(kind.value).pint
    for unit in {unit_of(spelling).pint for spelling in spellings(kind)}:
        for one, other in ((unit, canonical), (canonical, unit)):
            theirs = pints.Quantity(1.0, one).to(other).magnitude
            assert factor(one, other, None) == float(f"{theirs:.14g}"), (one, other)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in OURS])
def test_activities_and_titres_convert_within_their_substance(kind: Kind) -> None:
    for spelling in spellings(kind):
        amount = Amount(3.0, spelling, substance="SCF")
        assert Amount(amount.canonical, kind.value, substance="SCF").to(spelling) == pytest.approx(3.0, rel=1e-12)
