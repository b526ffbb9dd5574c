"""Which culture well belongs to which arm and donor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.labware.models import LabwareType
from nkloop.worklists.plans import CulturePosition, WellFeeding


def assign_positions(
    arms: Sequence[Arm], donors: Sequence[str], labware: LabwareType, seed: int
) -> tuple[CulturePosition, ...]:
    """Randomise arms within a block of neighbouring wells per donor.

    Args:
        arms: recipe variants of the round, the reference among them.
        donors: one block each, in the order named.
        labware: culture plate.
        seed: the same seed gives the same positions.

    Raises:
        PlanError: the plate has fewer wells than arms times donors.
    """
    needed, wells = len(arms) * len(donors), labware.wells
    if needed > len(wells):
        raise PlanError(
            f"{len(arms)} arms of {len(donors)} donors need {needed} wells, {labware.load_name} has {len(wells)}",
            where="positions",
            remedy=f"use at most {len(wells) // max(1, len(donors))} arms, or a plate with more wells",
        )
    generator = np.random.default_rng(seed)
    positions = []
    for block, donor in enumerate(donors):
        block_wells = wells[block * len(arms) : (block + 1) * len(arms)]
        order = generator.permutation(len(arms))
        positions += [
            CulturePosition(arm=arms[index].name, donor=donor, well=well)
            for index, well in zip(order, block_wells, strict=True)
        ]
    return tuple(positions)


def feedings(
    positions: Sequence[CulturePosition],
    *,
    add_ul: float,
    remove_ul: float = 0.0,
    seed_ul: float = 0.0,
    present_ul: float = 0.0,
    mixed_wells: Sequence[str] = (),
) -> tuple[WellFeeding, ...]:
    """The same feeding for every position; wells in `mixed_wells` lose suspended cells instead of supernatant."""
    return tuple(
        WellFeeding(
            arm=position.arm,
            donor=position.donor,
            well=position.well,
            present_ul=present_ul,
            remove_ul=remove_ul,
            mixed=position.well in mixed_wells,
            add_ul=add_ul,
            seed_ul=seed_ul,
        )
        for position in positions
    )
