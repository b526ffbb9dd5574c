"""Plans one killing-assay plate (LDH release): effector dilutions, targets, controls, lysis, detection.

Order on the plate: medium into empty wells, effectors with a new set of tips for each column of the block (or well by
well from the lowest E:T to the highest with one tip per sample), then targets, with new tips for every column or well
that already holds effectors, so that no tip brings one cell type into the source of the other. Eight channels work
wherever a block column can hold what a plate column receives (`plate_columns`). Cells are mixed before every draw,
because they settle within minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product

from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.composition import held_to
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.cytotoxicity_plate import Plate
from nkloop.worklists.cytotoxicity_readout import LYSIS_MINUTES
from nkloop.worklists.lots import Stocks, lot_uses, with_lots
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import CytotoxicityPlan, CytotoxicityRequest
from nkloop.worklists.plate_columns import has_effectors

STAGGER_LIMIT_PERCENT = 5.0


def plan_cytotoxicity(
    request: CytotoxicityRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup
) -> CytotoxicityPlan:
    """Plan one plate of any layout, with eight channels as far as tips, block and cells suffice.

    Raises:
        PlanError: a sample has no tube or too few cells, volumes do not fit, or the deck is too small.
        ShortageError: no valid lot of a bench liquid holds enough.
    """
    problems = list(_request_problems(request))
    if problems:
        raise PlanError.from_problems(problems)

    def plan(lots: dict[str, Lot]) -> tuple[Worklist, Plate]:
        return _widest(request, lots, deck, catalogue)

    names = (request.assay_medium, request.lysis_buffer, request.substrate, request.stop_solution)
    planned, plate, lots = with_lots(names, inventory, request.use_until, plan)
    worklist = held_to(planned, request.error_limits)
    return CytotoxicityPlan(
        worklist=worklist,
        effectors=tuple(plate.needs),
        targets_ul=plate.targets_ul,
        dispense_order=tuple(plate.order),
        tips=tips_by_rack(worklist),
        lots=lot_uses(worklist, lots, catalogue),
        warnings=_warnings(
            request.layout.contact_minutes, stagger_minutes(busy_minutes(worklist, deck), plate.contacts)
        ),
    )


def _widest(
    request: CytotoxicityRequest, lots: dict[str, Lot], deck: BenchDeck, catalogue: LabwareLookup
) -> tuple[Worklist, Plate]:
    """The plan that uses eight channels most; block columns take more tips and cells than single wells do."""

    def attempt(*, effectors: bool, targets: bool, parts: bool) -> tuple[Worklist, Plate]:
        builder = WorklistBuilder(request.name, "cytotoxicity_assay", deck, catalogue)
        plate = Plate(request, lots, builder, wide_effectors=effectors, wide_targets=targets, parts=parts)
        return plate.plan(), plate

    # Targets keep their eight channels longest: adding them starts the contact, well after well.
    for effectors, parts in product((True, False), repeat=2) if deck.pipette(8) is not None else ():
        with suppress(DeckFullError):
            return attempt(effectors=effectors, targets=True, parts=parts)
    return attempt(effectors=False, targets=False, parts=False)


def tips_by_rack(worklist: Worklist) -> dict[str, int]:
    """Tips a worklist uses, per rack type."""
    racks = {item.nickname: item.load_name for item in worklist.deck}
    used: Counter[str] = Counter()
    for step in worklist.steps:
        if step.tip:
            used[racks[step.tip.partition(":")[0]]] += step.channels
    return dict(used)


def stagger_minutes(minutes: Mapping[int, float], contacts: Sequence[int]) -> float:
    """Estimated time from the first to the last contact of effectors with targets.

    Args:
        minutes: of each step of the worklist, by its number.
        contacts: numbers of the steps that bring targets to effectors, in order.
    """
    if not contacts:
        return 0.0
    return sum(time for number, time in minutes.items() if contacts[0] < number <= contacts[-1])


def _request_problems(request: CytotoxicityRequest) -> Iterator[Problem]:
    layout, tubes = request.layout, {tube.sample for tube in request.effectors}
    for sample in dict.fromkeys(well.sample for well in layout.wells if well.sample and has_effectors(well)):
        if sample not in tubes:
            yield Problem(f"no tube of effector sample '{sample}'", request.name, "name its lot and cell density")
    if layout.contact_minutes <= LYSIS_MINUTES:
        yield Problem(
            f"contact of {layout.contact_minutes:g} min is not longer than the {LYSIS_MINUTES} min of lysis",
            request.name,
            "use the 4 h of the method",
        )
    needed = layout.targets_per_well / request.target_ul
    if request.targets_per_ul < needed * 0.999:
        yield Problem(
            f"{layout.target_line} at {request.targets_per_ul:g} cells/µL is too thin for {needed:g} cells/µL",
            request.name,
            "concentrate the target cells",
        )


def _warnings(contact_minutes: float, stagger: float) -> tuple[str, ...]:
    share = 100 * stagger / contact_minutes
    if share <= STAGGER_LIMIT_PERCENT:
        return ()
    return (
        f"adding targets takes about {stagger:.0f} min, {share:.0f} % of the contact time "
        f"(limit {STAGGER_LIMIT_PERCENT:g} %): compare wells column by column",
    )
