"""Cutouts of a robot's deck and what is mounted on them. Only that of a Flex can be set."""

from __future__ import annotations

from typing import Any

from nkloop.virtual.robot.refusals import invalid_deck

CUTOUTS = tuple(f"cutout{row}{column}" for column in "123" for row in "ABCD")
PLAIN_FIXTURE = {"1": "singleLeftSlot", "2": "singleCenterSlot", "3": "singleRightSlot"}
MODULE_FIXTURES = frozenset(
    {
        "heaterShakerModuleV1",
        "temperatureModuleV2",
        "magneticBlockV1",
        "absorbanceReaderV1",
        "thermocyclerModuleV2Front",
    }
)
TRASH_FIXTURE = "trashBinAdapter"
FIXTURES = frozenset(
    {
        *PLAIN_FIXTURE.values(),
        *MODULE_FIXTURES,
        TRASH_FIXTURE,
        "thermocyclerModuleV2Rear",
        "stagingAreaRightSlot",
        "stagingAreaSlotWithMagneticBlockV1",
        "stagingAreaSlotWithWasteChuteRightAdapterCovered",
        "stagingAreaSlotWithWasteChuteRightAdapterNoCover",
        "wasteChuteRightAdapterCovered",
        "wasteChuteRightAdapterNoCover",
    }
)
"""Fixture ids of the Flex deck definition (`ot3_standard`, schema 5) in Opentrons shared data."""

Fixture = dict[str, Any]
OT2_CUTOUTS = tuple(f"cutout{number}" for number in range(1, 13))
OT2_SLOT, OT2_TRASH = "singleStandardSlot", "fixedTrashSlot"
"""Fixtures of the OT-2 deck definition (`ot2_standard`, schema 5): nothing on it can be configured."""


def ot2_fixtures() -> list[Fixture]:
    """The one deck an OT-2 has."""
    trash = OT2_CUTOUTS[-1]
    return [{"cutoutFixtureId": OT2_TRASH if c == trash else OT2_SLOT, "cutoutId": c} for c in OT2_CUTOUTS]


def plain_fixture(cutout: str) -> Fixture:
    """A cutout with nothing but its slot."""
    return {"cutoutFixtureId": PLAIN_FIXTURE[cutout[-1]], "cutoutId": cutout}


def area_name(model: str, slot: str) -> str:
    """Name of the addressable area a module needs, as error messages tell it."""
    return f"{model.replace('Module', '')}{slot}" if model != "absorbanceReaderV1" else f"{model}{slot}"


def check_fixtures(fixtures: list[Fixture]) -> None:
    """Refuse a deck that cannot exist.

    Raises:
        Refusal: a fixture that no Flex has, a cutout left out, or a cutout with two fixtures.
    """
    for fixture in fixtures:
        if fixture["cutoutFixtureId"] not in FIXTURES:
            raise invalid_deck(
                {
                    "deckConfigurationProblem": "UnrecognizedCutoutFixtureError",
                    "cutout_fixture_id": fixture["cutoutFixtureId"],
                    "allowed_cutout_fixture_ids": sorted(FIXTURES),
                }
            )
    named = [fixture["cutoutId"] for fixture in fixtures]
    missing = sorted(set(CUTOUTS) - set(named))
    if missing:
        raise invalid_deck({"deckConfigurationProblem": "UnoccupiedCutoutError", "cutout_id": missing[0]})
    if len(named) > len(CUTOUTS):
        twice = next(cutout for cutout in named if named.count(cutout) > 1)
        raise invalid_deck({"deckConfigurationProblem": "OvercrowdedCutoutError", "cutout_id": twice})
