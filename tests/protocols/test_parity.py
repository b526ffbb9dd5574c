"""One plan, every device: what each would really do, read from its own commands, gives the same wells.

Of each shipped procedure a small plan is made. Its worklist for the Flex runs on the Flex and, literally the same, on
the STAR. An OT-2 has other pipettes, tips and slots, so its worklist is planned anew from the same inputs. Flex and
OT-2 are read through Opentrons' analysis, a STAR and an EVO from their firmware commands, an OT-2 under PyLabRobot from
the calls to its server. Each is replayed through the contents ledger and compared well by well, component by component.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nkloop.drivers.pylabrobot.simulation import resolution_ul, simulate
from nkloop.labware import Catalogue
from nkloop.vendor import VendorClient
from nkloop.worklists.analysis_check import Done, compare_ends, compare_steps, read_commands, replay
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.models import Procedure, Uncertainty, Worklist
from nkloop.worklists.protocol_files import protocol_path
from nkloop.worklists.uncertainty import predict

HERE = Path(__file__).parent
PROTOCOLS = HERE.parents[1] / "protocols"
PROCEDURES: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
Spot = tuple[str, str]
Wells = dict[Spot, tuple[float, dict[str, float]]]
"""Labware and well to volume (µL) and amount of each component."""
TARGETS: dict[Procedure, frozenset[str]] = {
    "medium_preparation": frozenset({"MEDIUM-1"}),
    "cytokine_dosing": frozenset({"P-1"}),
    "cytotoxicity_assay": frozenset({"ASSAY-1", "ASSAY-1-read"}),
}
"""Barcodes of the labware a procedure is for; what is left in tubes and troughs depends on the pipettes."""
DEVIATIONS = 2.0
"""Standard deviations of the random error that count as within it."""


@cache
def maker() -> Any:
    """`make_examples.py`, which lies beside this file and in no package."""
    spec = importlib.util.spec_from_file_location("make_examples", HERE / "make_examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def planned(procedure: Procedure, robot: str = "") -> tuple[Worklist, BenchDeck]:
    """A small plan of a procedure, for the Flex or in the folder `ot2`; the same inputs for both."""
    make = maker()
    plans: dict[Procedure, Callable[[], Worklist]] = {
        "medium_preparation": lambda: make.medium("20 mL", robot=robot).worklist,
        "cytokine_dosing": lambda: make.cytokine_dosing(robot, 2, ("U1",)),
        "cytotoxicity_assay": lambda: make.cytotoxicity_assay(robot, ("reference/U1",)),
    }
    return plans[procedure](), make.shipped(robot)[3]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(PROTOCOLS.parent / "labware")


def wells_of(worklist: Worklist, done: Done, catalogue: Catalogue) -> Wells:
    """Volume and components of every well after a device's own operations."""
    ledger = replay(worklist, done, catalogue)
    return {(nickname, well): (held.volume_ul, held.amounts) for nickname, well, held in ledger.wells()}


def differences(one: Wells, other: Wells, per_transfer_ul: float, n_transfers: int) -> list[str]:
    """Wells that differ by more than the rounding of every transfer and 1 % (the systematic error of a pipette)."""
    found = []
    for place in sorted(one.keys() | other.keys()):
        (volume, parts), (volume_2, parts_2) = one.get(place, (0.0, {})), other.get(place, (0.0, {}))
        slack = per_transfer_ul * n_transfers + 0.01 * volume
        if abs(volume - volume_2) > slack:
            found.append(f"{place}: {volume:g} and {volume_2:g} µL")
        for name in parts.keys() | parts_2.keys():
            amount, amount_2 = parts.get(name, 0.0), parts_2.get(name, 0.0)
            share = slack / volume if volume > 0 else 1.0
            if abs(amount - amount_2) > max(abs(amount), abs(amount_2)) * max(0.02, share) + 1e-9:
                found.append(f"{place}, {name}: {amount:g} and {amount_2:g}")
    return found


def by_barcode(worklist: Worklist, wells: Wells, wanted: Collection[str]) -> Wells:
    """Wells of some labware, under its barcode; two plans may call it differently."""
    codes = {item.nickname: item.barcode for item in worklist.deck if item.barcode in wanted}
    return {(codes[name] or "", well): held for (name, well), held in wells.items() if name in codes}


def errors_of(worklist: Worklist, deck: BenchDeck, catalogue: Catalogue, wells: Wells) -> dict[Spot, Any]:
    """Predicted errors of the concentrations of a plan in these wells, under the barcodes."""
    names = {item.barcode: item.nickname for item in worklist.deck if item.barcode}
    asked = {(code, well): (names[code], well) for code, well in wells}
    told = predict(worklist, catalogue, deck, asked.values())
    return {spot: told[place] for spot, place in asked.items() if place in told}


def beyond_predicted(
    one: Wells, other: Wells, errors: Mapping[Spot, Mapping[str, Uncertainty]], errors_2: Mapping[Spot, Any]
) -> list[str]:
    """Concentrations that differ by more than both plans' predicted errors together, and volumes by more than 2 %."""
    found = []
    for place in sorted(one.keys() | other.keys()):
        (volume, parts), (volume_2, parts_2) = one.get(place, (0.0, {})), other.get(place, (0.0, {}))
        if volume <= 0 or volume_2 <= 0 or abs(volume - volume_2) > 0.02 * volume:
            found.append(f"{place}: {volume:g} and {volume_2:g} µL")
            continue
        for name in parts.keys() | parts_2.keys():
            per_ul, per_ul_2 = parts.get(name, 0.0) / volume, parts_2.get(name, 0.0) / volume_2
            told = [given[place][name] for given in (errors, errors_2) if name in given.get(place, {})]
            percent = sum(one.bias_percent + DEVIATIONS * one.cv_percent for one in told)
            if abs(per_ul - per_ul_2) > max(per_ul, per_ul_2) * percent / 100 + 1e-12:
                found.append(f"{place}, {name}: {per_ul:g} and {per_ul_2:g} per µL, {percent:.1f} % are predicted")
    return found


def assayed(wells: Wells) -> set[Spot]:
    """Wells of an assay that hold cells or what cells left; a row of medium around them is as the channels reach."""
    return {
        spot for spot, (_, parts) in wells.items() if any(name.startswith(("effector:", "line:")) for name in parts)
    }


async def analysed(worklist: Worklist, catalogue: Catalogue, vendor: VendorClient) -> Done:
    """What Opentrons' own software would do."""
    definitions = [found for item in worklist.deck if (found := catalogue.definition(item.load_name)) is not None]
    protocol = protocol_path(PROTOCOLS, worklist)
    analysis = await vendor.analyse(protocol, csv=to_csv(worklist), labware=definitions, values={})
    assert (analysis.result, list(analysis.errors)) == ("ok", [])
    done, problems = read_commands(worklist, analysis.commands, catalogue)
    assert problems == []
    return done


async def own_wells(worklist: Worklist, catalogue: Catalogue, model: str) -> tuple[Wells, Done]:
    """What a simulated device would leave, after its commands were compared with the worklist step by step."""
    found = await simulate(worklist, catalogue, model)
    assert (found.result, list(found.errors)) == ("ok", [])
    assert list(compare_steps(worklist, found.done, tolerance_ul=resolution_ul(model))) == []
    return wells_of(worklist, found.done, catalogue), found.done


@pytest.mark.vendor
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("procedure", PROCEDURES)
async def test_one_plan_gives_the_same_wells_on_flex_star_and_ot2(
    procedure: Procedure, catalogue: Catalogue, vendor: VendorClient
) -> None:
    worklist, deck = planned(procedure)
    flex = wells_of(worklist, await analysed(worklist, catalogue, vendor), catalogue)
    star, done = await own_wells(worklist, catalogue, "star")
    n = max(len(operations) for operations in done.values())
    assert differences(flex, star, resolution_ul("star"), n) == []

    own, own_deck = planned(procedure, "ot2")
    ot2 = wells_of(own, await analysed(own, catalogue, vendor), catalogue)
    targets = TARGETS[procedure]
    one, other = by_barcode(worklist, flex, targets), by_barcode(own, ot2, targets)
    if procedure == "cytotoxicity_assay":
        spots = assayed(one)
        assert spots == assayed(other)
        one, other = ({spot: wells[spot] for spot in spots} for wells in (one, other))
    assert {code for code, _ in one} == targets
    errors = errors_of(worklist, deck, catalogue, one), errors_of(own, own_deck, catalogue, other)
    assert beyond_predicted(one, other, *errors) == []


async def test_a_dose_given_twice_is_beyond_what_is_predicted(catalogue: Catalogue) -> None:
    """The comparison between two plans must be able to fail, for a dose as for a volume."""
    worklist, deck = planned("cytokine_dosing")
    wells = {
        (item.barcode or "", "A1"): (1000.0, {"IL-7": 20.0, "GBGM": 900.0})
        for item in worklist.deck
        if item.barcode == "P-1"
    }
    errors = errors_of(worklist, deck, catalogue, wells)
    doubled = {spot: (volume, {**parts, "IL-7": 40.0}) for spot, (volume, parts) in wells.items()}
    assert beyond_predicted(wells, wells, errors, errors) == []
    [told] = beyond_predicted(wells, doubled, errors, errors)
    assert "IL-7: 0.02 and 0.04 per µL" in told
    [short] = beyond_predicted(wells, {spot: (970.0, held[1]) for spot, held in wells.items()}, errors, errors)
    assert short == "('P-1', 'A1'): 1000 and 970 µL"
    assert beyond_predicted(wells, {}, errors, errors) == ["('P-1', 'A1'): 1000 and 0 µL"]


@pytest.mark.parametrize("procedure", PROCEDURES)
async def test_an_ot2_under_pylabrobot_does_what_was_planned(procedure: Procedure, catalogue: Catalogue) -> None:
    """As its own software does: the plan it is compared with is the one Opentrons' analysis is held to above."""
    worklist, _ = planned(procedure, "ot2")
    _, done = await own_wells(worklist, catalogue, "ot2")
    assert list(compare_ends(worklist, done, catalogue)) == []


async def test_a_worklist_of_an_ot2_gives_the_same_wells_on_an_evo(catalogue: Catalogue) -> None:
    worklist, _ = planned("cytokine_dosing", "ot2")
    ot2, _ = await own_wells(worklist, catalogue, "ot2")
    there, done = await own_wells(worklist, catalogue, "evo150")
    n = max(len(operations) for operations in done.values())
    assert differences(ot2, there, resolution_ul("evo150"), n) == []


async def test_a_device_that_pipettes_elsewhere_is_found(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison must be able to fail: a STAR whose plungers move 2 % too far."""
    from nkloop.drivers.pylabrobot import simulation

    right = simulation.simulation_settings

    def off(model: str, worklist: Worklist, labware: Catalogue) -> object:
        settings = right(model, worklist, labware)
        classes = settings.liquid_classes[0]
        wrong = tuple(p.model_copy(update={"commanded_ul": 1.02 * p.wanted_ul}) for p in classes.correction)
        return settings.model_copy(update={"liquid_classes": (classes.model_copy(update={"correction": wrong}),)})

    worklist, _ = planned("cytokine_dosing")
    monkeypatch.setattr(simulation, "simulation_settings", off)
    found = await simulate(worklist, catalogue, "star")
    assert found.result == "ok"
    problems = list(compare_steps(worklist, found.done, tolerance_ul=resolution_ul("star")))
    assert "the robot would aspirate" in problems[0].message
