"""From what a person says (recipe, stage, day, arms, vessels, contents) to the request of a planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

from nkloop.errors import LabwareError, PlanError
from nkloop.feedback.models import Arm
from nkloop.labware.bags import BagCatalogue
from nkloop.labware.models import LabwareType
from nkloop.recipes.models import ErrorLimits, Ingredient, Recipe, Stage
from nkloop.worklists.bag_beginnings import prepared_ml
from nkloop.worklists.bag_plans import BagDosingPlan, BagDosingRequest, BagFeeding, BagTransfer
from nkloop.worklists.bag_seeding import new_vessel
from nkloop.worklists.bag_transfer import plan_transfer
from nkloop.worklists.bag_volumes import held_volumes
from nkloop.worklists.base_errors import BaseOffError
from nkloop.worklists.builder import round_up
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dosing_request import added_ingredients
from nkloop.worklists.held_bags import CLOSED, held_in
from nkloop.worklists.medium_contents import (
    BASE_MEDIUM,
    NO_MEDIUM,
    medium_per_ul,
    suspension_per_ul,
    suspension_words,
)
from nkloop.worklists.medium_request import LEAST_ML
from nkloop.worklists.medium_vessels import usable_ul
from nkloop.worklists.mixtures import BaseShortError
from nkloop.worklists.models import CELLS_OUT_MINUTES
from nkloop.worklists.plans import Aim, CulturePosition, DonorTube, DosingPlan, DosingRequest, MediumSource
from nkloop.worklists.positions import OuterWells, assign_positions, outer_wells
from nkloop.worklists.present_table import Present
from nkloop.worklists.stage_day import SEED_SHARE, Action, feeding_of

PLATES = {
    "plate-6": "corning_6_wellplate_16.8ml_flat",
    "plate-24": "corning_24_wellplate_3.4ml_flat",
    "plate-48": "corning_48_wellplate_1.6ml_flat",
    "plate-96": "corning_96_wellplate_360ul_flat",
}
"""What people call the culture plates, and their load names."""
FULL_SHARE = 0.75
"""Share of the working volume a well is filled to when nobody says otherwise."""
BASE_TUBE, BASE_TROUGH = "opentrons_6_tuberack_nest_50ml_conical", "nest_1_reservoir_195ml"
Plan = TypeVar("Plan", DosingPlan, BagDosingPlan)
KnownBase = Callable[[MediumSource, float, ErrorLimits | None], MediumSource | None]
"""Adds its predicted errors to a base medium; is given what people take of it beside the robot, in µL, and limits it
has to be made within. Limits of None take it as it is; the answer is None when it cannot be made within them."""
_ATTEMPTS = 3
"""Another base medium changes the doses, so that the vessels may need a still better one."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for, whatever the vessel."""

    recipe: Recipe
    stage: Stage
    arms: tuple[Arm, ...]
    donors: tuple[str, ...]
    use_until: date
    seed: int
    name: str
    components: tuple[str, ...] = ()
    in_base: tuple[str, ...] = ()
    """What all arms have alike and the base medium brings, though arms could add it."""
    hours_since_dose: float = 0.0
    error_limits: ErrorLimits | None = None
    """Largest predicted errors; those of the recipe when None."""
    present: Mapping[str, Present] = field(default_factory=dict)
    """Contents per well or bag; empty for new vessels."""
    held_stage: str = ""
    """Stage whose medium the vessels hold, when it is another than the one planned."""
    suspended_in: str = ""
    """What the cells of new vessels come in: `base`, `none`, or a stage; empty for `none` in plates, `base` in bags."""

    @property
    def suspension(self) -> dict[str, float]:
        """Contents of what the cells of new vessels come in, canonical per µL.

        Raises:
            PlanError: it is no medium that is known.
        """
        without = {i.component for i in self.added}
        return suspension_per_ul(self.recipe, self.stage, self.suspended_in, without)

    @property
    def added(self) -> tuple[Ingredient, ...]:
        """What the arms add.

        Raises:
            PlanError: a named component cannot be added, or one that an arm changes is not named.
        """
        return added_ingredients(self.recipe, self.stage, self.components, self.name, self.arms, self.in_base)


def base_of(wanted: Wanted, volume_ul: float, load_name: str = "") -> MediumSource:
    """The base medium of the stage without what the arms add, as it has to be prepared.

    Args:
        wanted: what is asked for.
        volume_ul: what stands there, dead volume included.
        load_name: labware it stands in; by the volume when empty.
    """
    added = {i.component for i in wanted.added}
    per_ul = medium_per_ul(wanted.stage, added)
    load_name = load_name or (BASE_TUBE if volume_ul <= 45_000 else BASE_TROUGH)
    return MediumSource(
        barcode=f"base-{wanted.stage.id}", load_name=load_name, well="A1", per_ul=per_ul, volume_ul=volume_ul
    )


def with_enough_base(
    wanted: Wanted,
    catalogue: LabwareLookup,
    plan: Callable[[MediumSource, Plan | None], Plan],
    known: KnownBase = lambda base, by_hand_ul, within: base,
) -> Plan:
    """Plan with as much base medium as the plan turns out to take, what stays behind counted twice: once in reserve.

    Where the vessels would go beyond their limits for its errors, it is made within stricter limits, and more of it
    where that takes more.

    Args:
        wanted: what is planned.
        catalogue: labware types by load name.
        plan: plans with a base medium, in the same way as a plan with more of it when one is given.
        known: the base medium with its own predicted errors.

    Raises:
        PlanError: more is needed than one vessel holds, or the plan is impossible.
    """
    most, tube = catalogue[BASE_TROUGH].working_volume_ul, catalogue[BASE_TUBE]
    ample = plan(base_of(wanted, most), None)
    drawn = most - ample.base_left_ul
    small = round_up(max(drawn, 1000 * LEAST_ML) + 2 * tube.dead_volume_ul)
    by_hand = ample.base_by_hand_ul if isinstance(ample, BagDosingPlan) else 0.0
    # one batch in one vessel: what people run in comes out of the vessel on the deck
    fits = small + 1000 * prepared_ml(by_hand) <= tube.working_volume_ul
    load_name, room = (BASE_TUBE, tube.working_volume_ul) if fits else (BASE_TROUGH, most)
    stays = 2 * catalogue[load_name].dead_volume_ul

    def exactly(like: Plan, drawn_ul: float) -> Plan:
        volume = min(room, round_up(max(drawn_ul, 1000 * LEAST_ML if fits else 0.0) + stays))
        base, most_ul = base_of(wanted, volume, load_name), usable_ul(catalogue[load_name])
        return _with_better_base(base, by_hand, lambda base: plan(base, like), known, most_ul)

    # what pays with eight channels out of a trough may not out of a tube
    may_differ = fits and isinstance(ample, DosingPlan) and bool(ample.compared)
    if not may_differ:
        with suppress(BaseShortError):
            return exactly(ample, drawn)
    # one channel pours from a tube, with other errors than eight from a trough: other dilutions may be taken
    full = plan(base_of(wanted, room, load_name), None)
    return exactly(full, room - full.base_left_ul)


def _with_better_base(
    base: MediumSource, by_hand_ul: float, plan: Callable[[MediumSource], Plan], known: KnownBase, most_ul: float
) -> Plan:
    """Plan with the base medium as it is, else with one within the limits that the vessels need, of at most so much."""
    refusal: BaseOffError | None = None
    within: ErrorLimits | None = None
    for _ in range(_ATTEMPTS):
        made = known(base, by_hand_ul, within)
        if made is None:
            break
        try:
            return plan(made).model_copy(update={"base_within": within})
        except BaseOffError as error:
            refusal, within = refusal or error, error.needed if within is None else within.stricter(error.needed)
    if refusal is None:
        raise AssertionError("a base medium is known without limits")
    remedy = (
        f"no base medium of up to {most_ul / 1000:g} mL, which its vessel holds, can be made as accurate; "
        "raise --max-cv or --max-bias, use stocks of another concentration, or feed larger volumes"
    )
    raise PlanError.from_problems(replace(one, remedy=remedy) for one in refusal.problems) from refusal


def plate_kind(vessel: str, catalogue: LabwareLookup) -> LabwareType:
    """A culture plate named as people name it, or by its load name.

    Raises:
        PlanError: the catalogue has no such plate.
    """
    kind: LabwareType | None = None
    with suppress(LabwareError, KeyError):
        kind = catalogue[PLATES.get(vessel, vessel)]
    if kind is None or kind.kind != "plate":
        remedy = f"use one of: {', '.join(PLATES)}, or the load name of a plate of labware/catalogue.yaml"
        raise PlanError(f"there is no plate '{vessel}'", where="vessel", remedy=remedy)
    return kind


def plate_positions(
    wanted: Wanted, vessel: str, catalogue: LabwareLookup, *, replicates: int, outer: OuterWells
) -> tuple[CulturePosition, ...]:
    """Where every arm of every donor stands on a plate named as people name it.

    Raises:
        PlanError: the plate is not known or too small.
    """
    kind = plate_kind(vessel, catalogue)
    return assign_positions(wanted.arms, wanted.donors, kind, wanted.seed, replicates=replicates, outer=outer)


def plate_request(
    wanted: Wanted,
    vessel: str,
    positions: Sequence[CulturePosition],
    catalogue: LabwareLookup,
    base: MediumSource,
    *,
    action: Action,
    volume_ul: float | None,
    outer: OuterWells,
    barcode: str,
    cells_out_minutes: float,
    aim: Aim = "vessel",
) -> DosingRequest:
    """The request for one culture plate.

    Raises:
        PlanError: an action cannot be done with what stands in a well.
    """
    wanted = replace(wanted, suspended_in=wanted.suspended_in or NO_MEDIUM)
    kind = plate_kind(vessel, catalogue)
    full = FULL_SHARE * kind.working_volume_ul if volume_ul is None else volume_ul
    wells = tuple(
        feeding_of(p, action, wanted.stage, full, wanted.present.get(p.well), p.well, volume_ul) for p in positions
    )
    density = wanted.stage.seeding_density.canonical / SEED_SHARE
    edge = outer_wells(kind) if outer == "medium" and action == "seed" else ()
    is_moving = action == "transfer"
    return DosingRequest(
        name=wanted.name,
        recipe=wanted.recipe,
        stage_id=wanted.stage.id,
        arms=wanted.arms,
        plate_barcode=barcode,
        plate_load_name=kind.load_name,
        wells=wells,
        base=base,
        components=wanted.components,
        in_base=wanted.in_base,
        aim=aim,
        hours_since_dose=wanted.hours_since_dose,
        held_stage=wanted.held_stage,
        new_plate_barcode=f"{barcode}-new" if is_moving else "",
        new_plate_load_name=kind.load_name if is_moving else "",
        medium_wells=edge,
        medium_wells_ul=full if edge else 0.0,
        cells_out_minutes=cells_out_minutes,
        donors=_tubes(wanted, density) if action == "seed" else (),
        use_until=wanted.use_until,
        seed=wanted.seed,
        error_limits=wanted.error_limits,
    )


def _tubes(wanted: Wanted, cells_per_ul: float) -> tuple[DonorTube, ...]:
    words = suspension_words(wanted.stage, wanted.suspended_in)
    told: dict[str, Any] = {"cells_per_ul": cells_per_ul, "per_ul": wanted.suspension, "suspended_in": words}
    told["is_in_base"] = wanted.suspended_in == BASE_MEDIUM
    return tuple(DonorTube(donor=donor, **told) for donor in wanted.donors)


def bag_names(wanted: Wanted) -> tuple[str, ...]:
    """One bag for each arm of each donor, named after both."""
    return tuple(f"{donor}-{arm.name}" for donor in wanted.donors for arm in wanted.arms)


def moved_names(wanted: Wanted) -> dict[str, str]:
    """What vessels of this plan may be called once their cultures were moved, each to its name in `bag_names`."""
    return {
        called: name for name in bag_names(wanted) for stage in wanted.recipe.stages for called in _moved(name, stage)
    }


def _moved(name: str, stage: Stage) -> tuple[str, ...]:
    """Names of the vessels a culture is moved to in a stage, one after another."""
    return tuple(f"{name}-{stage.id}{number}" for number in ("", *(f"-{again}" for again in range(2, 10))))


def _next_name(name: str, label: str, stage: Stage) -> str:
    names = _moved(name, stage)
    return names[names.index(label) + 1] if label in names[:-1] else names[0]


def bag_request(
    wanted: Wanted,
    vessel: str,
    bags: BagCatalogue,
    base: MediumSource,
    *,
    action: Action,
    volume_ul: float | None,
    dose_ul: float,
    tube: str,
    prepared: datetime,
    from_vessel: str = "bag",
    cells_out_minutes: float = CELLS_OUT_MINUTES,
) -> BagDosingRequest:
    """The request for closed vessels: one for each arm of each donor.

    Args:
        vessel: a vessel of `labware/bags.yaml`, or `bag` or `bioreactor`: for a new one the smallest whose range holds
            its volume, for one that is in use the smallest that can hold what is in it now.
        volume_ul: volume of new bags, what bags are topped up to, or that of the vessel a culture is moved to.
        from_vessel: what cultures are moved out of, named in the same way.
        cells_out_minutes: longest time the cells of one vessel stay outside the incubator.

    Raises:
        PlanError: a bag's volume is not known, or a culture cannot be thinned or moved as asked.
        LabwareError: no vessel of that name or for that volume is known.
    """
    wanted = replace(wanted, suspended_in=wanted.suspended_in or BASE_MEDIUM)
    made = []
    for name, (donor, arm) in zip(bag_names(wanted), ((d, a) for d in wanted.donors for a in wanted.arms), strict=True):
        present = wanted.present.get(name)
        held = wanted.suspension if present is None else present.per_ul
        told: dict[str, Any] = {"arm": arm.name, "donor": donor, "present_per_ul": held}
        label = name if present is None else present.label or name
        if action == "transfer":
            move = _transfer(wanted, label, present, bags, from_vessel, volume_ul, dose_ul)
            final = move.moved_ul + move.rinse_ul + move.medium_ul + dose_ul
            told |= {"present_ul": move.moved_ul, "medium_ul": move.rinse_ul + move.medium_ul, "transfer": move}
            label = _next_name(name, label, wanted.stage)
            told["kind"] = _new_kind(bags, vessel, final)
        else:
            told |= _bag_volumes(wanted, label, present, action, volume_ul, dose_ul)
            told["kind"] = (
                _new_kind(bags, vessel, told["present_ul"] + told["medium_ul"] + dose_ul)
                if present is None
                else held_in(bags, vessel, label, present).name
            )
        made.append(BagFeeding(bag=label, **told))
    return BagDosingRequest(
        name=wanted.name,
        recipe=wanted.recipe,
        stage_id=wanted.stage.id,
        arms=wanted.arms,
        bags=tuple(made),
        base=base,
        components=wanted.components,
        in_base=wanted.in_base,
        tube=tube,
        dose_ul=dose_ul,
        hours_since_dose=wanted.hours_since_dose,
        held_stage=wanted.held_stage,
        prepared=prepared,
        cells_out_minutes=cells_out_minutes,
        use_until=wanted.use_until,
        seed=wanted.seed,
        error_limits=wanted.error_limits,
    )


def _new_kind(bags: BagCatalogue, vessel: str, final_ul: float) -> str:
    """A vessel nothing is in yet: the one that is named, or the smallest whose range holds what it will hold."""
    return bags.smallest(vessel, final_ul / 1000).name if vessel in CLOSED else vessel


def _transfer(
    wanted: Wanted,
    name: str,
    present: Present | None,
    bags: BagCatalogue,
    from_vessel: str,
    volume_ul: float | None,
    dose_ul: float,
) -> BagTransfer:
    if present is None:
        raise PlanError(
            "transfer needs to know what stands there", where=f"bag {name}", remedy="give a table with --present"
        )
    source = held_in(bags, from_vessel, name, present, "--from-vessel")
    return plan_transfer(name, present, source, wanted.stage, volume_ul=volume_ul, dose_ul=dose_ul)


def _bag_volumes(
    wanted: Wanted, name: str, present: Present | None, action: Action, volume_ul: float | None, dose_ul: float
) -> dict[str, Any]:
    if present is None:
        if action != "seed":
            raise PlanError(
                f"{action} needs to know what stands there", where=f"bag {name}", remedy="give a table with --present"
            )
        if volume_ul is None:
            raise PlanError(
                f"the volume of bag {name} is not known",
                where="volume",
                remedy='give the volume of new bags with --volume "100 mL", or what bags hold with --present',
            )
        other = wanted.suspended_in != BASE_MEDIUM
        words = suspension_words(wanted.stage, wanted.suspended_in) if other else ""
        return new_vessel(name, wanted.stage, volume_ul, dose_ul, words)
    if action == "seed":
        raise PlanError(
            f"bag {name} holds {present.volume_ul / 1000:g} mL already, seed is for new bags",
            where="action",
            remedy="leave out --present, or exchange, top-up, dilute, split or transfer",
        )
    return held_volumes(name, action, wanted.stage, present, volume_ul=volume_ul, dose_ul=dose_ul)
