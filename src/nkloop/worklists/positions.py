"""Which culture well belongs to which arm and donor: arms randomised in blocks, one donor per block."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.labware.models import LabwareType
from nkloop.worklists.plans import CulturePosition, WellFeeding

OuterWells = Literal["use", "medium", "avoid"]
"""What the wells at the plate's edge are for: cultures, medium against evaporation, or nothing."""


def outer_wells(labware: LabwareType) -> tuple[str, ...]:
    """Wells of the first and last row and column."""
    first, last = labware.wells[0][0], labware.wells[labware.rows - 1][0]
    return tuple(well for well in labware.wells if well[0] in (first, last) or int(well[1:]) in (1, labware.columns))


def usable_wells(labware: LabwareType, outer: OuterWells) -> tuple[str, ...]:
    """Wells cultures may stand in, column by column."""
    edge = set(outer_wells(labware)) if outer != "use" else set()
    return tuple(well for well in labware.wells if well not in edge)


def assign_positions(
    arms: Sequence[Arm],
    donors: Sequence[str],
    labware: LabwareType,
    seed: int,
    *,
    replicates: int = 1,
    outer: OuterWells = "use",
) -> tuple[CulturePosition, ...]:
    """Randomise arms within blocks of neighbouring wells; each donor has one block per replicate.

    Every block holds every arm once, the reference among them, so that a difference between blocks (donor, place on
    the plate) is no difference between arms.

    Args:
        arms: recipe variants of the round, the reference among them.
        donors: in the order named.
        labware: culture plate.
        seed: the same seed gives the same positions.
        replicates: wells of each arm and donor.
        outer: whether the wells at the edge hold cultures.

    Raises:
        PlanError: the plate has fewer usable wells than arms times donors times replicates.
    """
    wells = usable_wells(labware, outer)
    needed = len(arms) * len(donors) * replicates
    if needed > len(wells):
        times = f" in {replicates} replicates" if replicates > 1 else ""
        usable = "" if outer == "use" else f", {len(wells)} of them away from the edge"
        most = len(wells) // max(1, len(donors) * replicates)
        raise PlanError(
            f"{len(arms)} arms of {len(donors)} donors{times} need {needed} wells, {labware.load_name} has "
            f"{len(labware.wells)}{usable}",
            where="positions",
            remedy=f"use at most {most} arms, or a plate with more wells",
        )
    generator = np.random.default_rng(seed)
    positions = []
    for block, (donor, replicate) in enumerate((d, r) for d in donors for r in range(1, replicates + 1)):
        block_wells = wells[block * len(arms) : (block + 1) * len(arms)]
        order = generator.permutation(len(arms))
        positions += [
            CulturePosition(arm=arms[index].name, donor=donor, well=well, replicate=replicate)
            for index, well in zip(order, block_wells, strict=True)
        ]
    return tuple(positions)


def map_csv(
    positions: Sequence[CulturePosition],
    *,
    plate: str,
    seed: int,
    outer: OuterWells = "use",
    levels: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The positions as a table: one line per well with plate, seed and policy, in the order of the plate.

    Args:
        positions: the wells.
        plate: barcode of the plate.
        seed: of the positions.
        outer: what the wells at the edge are used for.
        levels: in what each arm differs from the reference, in words, by its name.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["plate", "well", "donor", "replicate", "arm", "seed", "outer_wells", "levels"])
    for one in positions:
        writer.writerow([plate, one.well, one.donor, one.replicate, one.arm, seed, outer, levels.get(one.arm, "")])
    return out.getvalue()


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
            **position.model_dump(),
            present_ul=present_ul,
            remove_ul=remove_ul,
            mixed=position.well in mixed_wells,
            add_ul=add_ul,
            seed_ul=seed_ul,
        )
        for position in positions
    )
