"""One worklist, every device: what each would really do, read from its own commands, gives the same wells.

A STAR and an EVO are read from their firmware commands, an OT-2 and a Flex through Opentrons' analysis, an OT-2 under
PyLabRobot from the calls to its server. Each is replayed through the contents ledger and compared well by well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nkloop.drivers.pylabrobot.simulation import resolution_ul, simulate
from nkloop.labware import Catalogue
from nkloop.vendor import VendorClient
from nkloop.worklists.analysis_check import Done, compare_ends, compare_steps, read_commands, replay
from nkloop.worklists.csv_format import from_csv, to_csv
from nkloop.worklists.models import Procedure, Worklist
from nkloop.worklists.protocol_files import protocol_path

PROTOCOLS = Path(__file__).resolve().parents[2] / "protocols"
PROCEDURES: tuple[Procedure, ...] = ("medium_preparation", "cytokine_dosing", "cytotoxicity_assay")
Wells = dict[tuple[str, str], tuple[float, dict[str, float]]]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(PROTOCOLS.parent / "labware")


def shipped(procedure: Procedure, folder: str = "") -> Worklist:
    """The example worklist that stands beside a protocol."""
    path = PROTOCOLS / folder / f"{procedure}.example.csv"
    return from_csv(path.read_text(encoding="utf-8"), name=procedure, procedure=procedure)


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


async def own_wells(worklist: Worklist, catalogue: Catalogue, model: str) -> tuple[Wells, Done]:
    """What a simulated device would leave, after its commands were compared with the worklist step by step."""
    found = await simulate(worklist, catalogue, model)
    assert (found.result, list(found.errors)) == ("ok", [])
    assert list(compare_steps(worklist, found.done, tolerance_ul=resolution_ul(model))) == []
    return wells_of(worklist, found.done, catalogue), found.done


@pytest.mark.vendor
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("procedure", PROCEDURES)
async def test_a_star_does_with_a_worklist_of_a_flex_what_the_flex_does(
    procedure: Procedure, catalogue: Catalogue, vendor: VendorClient
) -> None:
    worklist = shipped(procedure)
    definitions = [found for item in worklist.deck if (found := catalogue.definition(item.load_name)) is not None]
    analysis = await vendor.analyse(
        protocol_path(PROTOCOLS, worklist), csv=to_csv(worklist), labware=definitions, values={}
    )
    assert analysis.result == "ok"
    flex, problems = read_commands(worklist, analysis.commands, catalogue)
    assert problems == []
    star, done = await own_wells(worklist, catalogue, "star")
    n = max(len(operations) for operations in done.values())
    assert differences(wells_of(worklist, flex, catalogue), star, resolution_ul("star"), n) == []


@pytest.mark.vendor
@pytest.mark.asyncio(loop_scope="session")
async def test_an_ot2_does_the_same_under_pylabrobot_as_under_its_own_software(
    catalogue: Catalogue, vendor: VendorClient
) -> None:
    worklist = shipped("cytokine_dosing", "ot2")
    definitions = [found for item in worklist.deck if (found := catalogue.definition(item.load_name)) is not None]
    analysis = await vendor.analyse(
        protocol_path(PROTOCOLS, worklist), csv=to_csv(worklist), labware=definitions, values={}
    )
    own, problems = read_commands(worklist, analysis.commands, catalogue)
    assert problems == []
    under_plr, _ = await own_wells(worklist, catalogue, "ot2")
    assert differences(wells_of(worklist, own, catalogue), under_plr, resolution_ul("ot2"), 1) == []


@pytest.mark.parametrize("procedure", ["medium_preparation", "cytotoxicity_assay"])
async def test_an_ot2_under_pylabrobot_does_what_was_planned(procedure: Procedure, catalogue: Catalogue) -> None:
    """The Opentrons analysis of these worklists, which takes ten seconds each, is compared by `nkloop check`."""
    worklist = shipped(procedure, "ot2")
    _, done = await own_wells(worklist, catalogue, "ot2")
    assert list(compare_ends(worklist, done, catalogue)) == []


@pytest.mark.parametrize("model", ["star", "evo150"])
async def test_a_worklist_of_an_ot2_gives_the_same_wells_elsewhere(model: str, catalogue: Catalogue) -> None:
    worklist = shipped("cytokine_dosing", "ot2")
    ot2, _ = await own_wells(worklist, catalogue, "ot2")
    there, done = await own_wells(worklist, catalogue, model)
    n = max(len(operations) for operations in done.values())
    assert differences(ot2, there, resolution_ul(model), n) == []


async def test_a_device_that_pipettes_elsewhere_is_found(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison must be able to fail: a STAR whose plungers move 2 % too far."""
    from nkloop.drivers.pylabrobot import simulation

    right = simulation.simulation_settings

    def off(model: str, worklist: Worklist, labware: Catalogue) -> object:
        settings = right(model, worklist, labware)
        classes = settings.liquid_classes[0]
        wrong = tuple(p.model_copy(update={"commanded_ul": 1.02 * p.wanted_ul}) for p in classes.correction)
        return settings.model_copy(update={"liquid_classes": (classes.model_copy(update={"correction": wrong}),)})

    worklist = shipped("cytokine_dosing")
    monkeypatch.setattr(simulation, "simulation_settings", off)
    found = await simulate(worklist, catalogue, "star")
    assert found.result == "ok"
    problems = list(compare_steps(worklist, found.done, tolerance_ul=resolution_ul("star")))
    assert "the robot would aspirate 694.6 µL" in problems[0].message
