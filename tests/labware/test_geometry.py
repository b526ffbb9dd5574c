"""Our own geometry checks: what the maker's accept and must not."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from itertools import combinations
from math import pi
from pathlib import Path
from typing import Any

import pytest

from nkloop.labware.catalogue import Catalogue
from nkloop.labware.geometry import TOLERANCE_MM, _Well, check_geometry
from nkloop.labware.models import LabwareType
from nkloop.vendor.client import VendorClient

FOLDER = Path(__file__).parents[2] / "labware"
CATALOGUE = Catalogue.load(FOLDER)
COSTAR = "nkloop_costar3799_96_wellplate_330ul_round"
Json = dict[str, Any]


def told(definition: Json, **wanted: Any) -> str:
    entry = LabwareType.model_validate(CATALOGUE[COSTAR].model_dump() | wanted)
    return "\n".join(map(str, check_geometry(definition, entry)))


@pytest.fixture
def costar() -> Json:
    return copy.deepcopy(CATALOGUE.definition(COSTAR)) or {}


def well(name: str, **changed: Any) -> Callable[[Json], Any]:
    return lambda definition: definition["wells"][name].update(changed)


def test_the_plate_of_our_own_is_sound(costar: Json) -> None:
    assert check_geometry(costar, CATALOGUE[COSTAR]) == ()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        pytest.param(lambda d: d.update(schemaVersion=3), "schema version 3 is not 2", id="schema"),
        pytest.param(lambda d: d.update(namespace=""), "the namespace is missing", id="namespace"),
        pytest.param(lambda d: d["wells"].pop("A1"), "there is no well A1", id="no A1"),
        pytest.param(lambda d: d["ordering"][0].append("Z9"), "the ordering names Z9", id="unknown in ordering"),
        pytest.param(lambda d: d["ordering"][0].pop(), "well H1 is not in the ordering", id="missing in ordering"),
        pytest.param(lambda d: d["ordering"][0].append("A1"), "names a well twice", id="twice in ordering"),
        pytest.param(lambda d: d["ordering"][0].reverse(), "G1 lies behind H1", id="front to back"),
        pytest.param(well("H12", x=126), "H12 reaches from 122.57 to 129.43 mm in x, outside 0 to 127.76", id="right"),
        pytest.param(well("H1", y=3), "H1 reaches from -0.43 to 6.43 mm in y", id="front"),
        pytest.param(well("C3", depth=12), "C3 reaches from 2.92 to 14.92 mm in height, outside 0 to 14.22", id="deep"),
        pytest.param(well("C3", z=-1), "C3 reaches from -1.00 to 10.30 mm in height", id="through the floor"),
        pytest.param(well("B2", x=20), "wells B1 and B2 overlap by 1.24 mm", id="overlap"),
        pytest.param(well("B2", totalLiquidVolume=0), "B2 holds 0 µL, must be above 0", id="no volume"),
        pytest.param(well("B2", totalLiquidVolume=200), "B2 holds 200 µL, the catalogue 330 µL", id="other volume"),
        pytest.param(well("B2", x=float("nan")), "B2 is incomplete .*not finite", id="not a number"),
        pytest.param(well("B2", diameter=0), "B2 reaches from", id="no width"),
        pytest.param(lambda d: d["wells"]["B2"].pop("diameter"), "B2 is incomplete .*diameter", id="no diameter"),
        pytest.param(lambda d: d.update(version=2), "the definition says 2, the catalogue 1", id="version"),
        pytest.param(lambda d: d["brand"].update(brandId=["3798"]), "catalogue number 3799 is not among", id="number"),
        pytest.param(lambda d: d.pop("wells"), "not a labware definition of schema 2 .*wells", id="no wells"),
    ],
)
def test_each_fault_is_told(costar: Json, spoil: Callable[[Json], Any], sentence: str) -> None:
    spoil(costar)
    problems = "\n".join(map(str, check_geometry(costar, CATALOGUE[COSTAR])))
    assert re.search(sentence, problems), problems


def test_rows_and_columns_are_those_of_the_catalogue(costar: Json) -> None:
    assert "the wells are not the 4 rows and 6 columns" in told(costar, rows=4, columns=6)


def test_round_and_square_wells_are_compared(costar: Json) -> None:
    square = {"shape": "rectangular", "xDimension": 13.0, "yDimension": 6.0}
    costar["wells"]["B2"].update(square)
    assert "wells A1" not in told(costar)
    assert "wells B1 and B2 overlap by 0.93 mm" in told(costar)
    costar["wells"]["B3"].update(square)
    assert "wells B2 and B3 overlap by 4.00 mm" in told(costar)


def test_the_plate_holds_what_its_catalogue_entry_says() -> None:
    # A cylinder over a hemisphere, with the upper diameter, is more than the nominal volume; a cone would be less.
    radius, depth = 6.86 / 2, 11.3
    roomiest = pi * radius**2 * (depth - radius) + 2 / 3 * pi * radius**3
    assert 330 < roomiest < 330 * 1.2


@pytest.mark.vendor
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("load_name", CATALOGUE.load_names)
async def test_every_labware_used_is_sound(vendor: VendorClient, load_name: str) -> None:
    entry = CATALOGUE[load_name]
    definition = CATALOGUE.definition(load_name)
    if definition is None:
        definition = await vendor.labware_definition(load_name, entry.namespace, entry.version)
    assert check_geometry(definition, entry) == ()
    assert await vendor.validate_labware(json.loads(json.dumps(definition))) == ()


def by_every_pair(definition: Json) -> list[str]:
    """The slow way: every pair of wells."""
    wells = [_Well.read(name, raw) for name, raw in definition["wells"].items()]
    found = [(one.overlap_mm(other), one.name, other.name) for one, other in combinations(wells, 2)]
    found = [pair for pair in found if pair[0] > TOLERANCE_MM]
    if not found:
        return []
    overlap, one, other = max(found, key=lambda pair: pair[0])
    more = f", as do {len(found) - 1} other pairs" if len(found) > 1 else ""
    return [f"wells {one} and {other} overlap by {overlap:.2f} mm{more}"]


@pytest.mark.parametrize("seed", range(12))
def test_looking_at_neighbours_only_misses_no_overlap(costar: Json, seed: int) -> None:
    chance = random.Random(seed)
    for name in chance.sample(sorted(costar["wells"]), k=seed):
        changed: Json = {"x": chance.uniform(10, 110), "y": chance.uniform(10, 70), "diameter": chance.uniform(3, 40)}
        if chance.random() < 0.5:
            size = {axis: chance.uniform(2, 60) for axis in ("xDimension", "yDimension")}
            changed |= {"shape": "rectangular", **size}
        costar["wells"][name].update(changed)
    told = [problem.message for problem in check_geometry(costar) if "overlap" in problem.message]
    assert told == by_every_pair(costar)
