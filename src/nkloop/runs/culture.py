"""The culture of one round: which arm and donor stands in which well, when it is fed, what is kept at a split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from nkloop.assays.measurements import CellCount
from nkloop.errors import PlanError
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe, Stage
from nkloop.worklists.plans import CulturePosition, DonorTube, WellFeeding

PLATE = "corning_24_wellplate_3.4ml_flat"
CULTURE_VOLUME_UL = 1500.0
"""Working volume of one culture well; the 24-well plates used take up to 1.9 mL."""
SEED_VOLUME_UL = 150.0
"""Volume of the donor's suspension that starts a well: a tenth, so the medium is diluted little."""
SPLIT_ABOVE = 1.5
"""A culture denser than this many times its seeding density is split instead of fed."""
LARGEST_EXCHANGE = 0.85
"""Share of a well that is exchanged at most: the tip must not touch the bottom."""


class Feeding(FrozenModel):
    """One feeding of the whole plate."""

    day: float
    stage_id: str
    is_first_of_stage: bool


def feeding_schedule(recipe: Recipe, every_days: float | None = None) -> tuple[Feeding, ...]:
    """Feedings of a whole culture in order; `every_days` replaces the recipe's own interval."""
    every = Amount(every_days, "d") if every_days else None
    return tuple(
        Feeding(day=day, stage_id=stage.id, is_first_of_stage=index == 0)
        for stage in recipe.stages
        for index, day in enumerate(stage.feeding_days(every))
    )


def stage_named(recipe: Recipe, stage_id: str) -> Stage:
    """A stage a person named.

    Raises:
        PlanError: the recipe has no such stage.
    """
    if stage_id not in recipe.stage_ids:
        raise PlanError(
            f"{recipe.id} has no stage '{stage_id}'", where="stage", remedy=f"use {', '.join(recipe.stage_ids)}"
        )
    return recipe.stage(stage_id)


def exchange(position: CulturePosition, count: CellCount, stage: Stage, *, is_first_of_stage: bool) -> WellFeeding:
    """Split a dense culture back to the stage's seeding density, otherwise exchange settled medium.

    The first feeding of a stage exchanges as much as the tip can reach, because the medium changes.
    """
    density = count.viable_per_ml / stage.seeding_density.to("cells/mL")
    refresh = stage.refresh.fraction.canonical
    share = LARGEST_EXCHANGE if is_first_of_stage else refresh
    is_split = density > SPLIT_ABOVE
    if is_split:
        share = min(LARGEST_EXCHANGE, max(refresh, 1 - 1 / density))
    volume = round(share * CULTURE_VOLUME_UL, 1)
    return WellFeeding(**position.model_dump(), remove_ul=volume, mixed=is_split, add_ul=volume)


@dataclass
class Culture:
    """The wells of one round from seeding to harvest."""

    barcode: str
    positions: tuple[CulturePosition, ...]
    started_at: datetime
    seeded_per_well: float = 0.0
    """CD34+ cells seeded into each well."""
    kept: dict[str, float] = field(default_factory=dict)
    """Well to the product of the fractions kept at its splits."""

    @property
    def wells(self) -> tuple[str, ...]:
        """Wells in use, in the order of the positions."""
        return tuple(position.well for position in self.positions)

    def time_of(self, day: float) -> datetime:
        """When a day of the culture begins."""
        return self.started_at + timedelta(days=day)

    def seeding(self, stage: Stage) -> tuple[tuple[WellFeeding, ...], float]:
        """The first feeding: fresh medium and cells in every well; also the donor tubes' density in cells/µL."""
        target = stage.seeding_density.canonical
        self.seeded_per_well = target * CULTURE_VOLUME_UL
        self.kept = dict.fromkeys(self.wells, 1.0)
        added = CULTURE_VOLUME_UL - SEED_VOLUME_UL
        wells = tuple(WellFeeding(**p.model_dump(), add_ul=added, seed_ul=SEED_VOLUME_UL) for p in self.positions)
        return wells, target * CULTURE_VOLUME_UL / SEED_VOLUME_UL

    def feed(self, counts: Mapping[str, CellCount], stage: Stage, feeding: Feeding) -> tuple[WellFeeding, ...]:
        """Decide what happens to every well, from its count, and note what is kept.

        Raises:
            PlanError: a well was not counted or never seeded.
        """
        missing = [w for w in self.wells if w not in counts or w not in self.kept]
        if missing:
            raise PlanError(
                f"wells {', '.join(missing)} of {self.barcode} have no count or were never seeded",
                remedy="seed and count every well of the culture before it is fed",
            )
        wells = tuple(
            exchange(p, counts[p.well], stage, is_first_of_stage=feeding.is_first_of_stage) for p in self.positions
        )
        for well in wells:
            if well.mixed:
                self.kept[well.well] *= 1 - well.remove_ul / CULTURE_VOLUME_UL
        return wells


def donor_tubes(donors: Sequence[str], cells_per_ul: float) -> tuple[DonorTube, ...]:
    """One tube of CD34+ cells per cord unit, all at the same density."""
    return tuple(DonorTube(donor=donor, cells_per_ul=cells_per_ul) for donor in donors)


def medium_needed_ml(recipe: Recipe, stage: Stage, n_wells: int, n_feedings: int, *, is_seeding: bool) -> float:
    """Base medium for some feedings of a stage: full wells at most, plus intermediates, arm tubes and a reserve.

    Arm tubes are made 15 % larger than needed and keep a dead volume; intermediates take about 1 mL per cytokine.
    """
    share = 1.0 if is_seeding else LARGEST_EXCHANGE
    exchanged = n_wells * CULTURE_VOLUME_UL * share * n_feedings
    overheads = n_feedings * (1.3 * 1000 * len(recipe.loop.vary) + 6 * 500)
    return math.ceil((1.2 * exchanged + overheads) / 1000)
