"""Plans one killing-assay plate (LDH release): effector dilutions, targets, controls, lysis, detection.

Order on the plate: medium into empty wells, effectors with a new set of tips for each column of the block (or well by
well from the lowest E:T to the highest with one tip per sample), then targets, with new tips for every column, or
dropped from the rim where they go well by well, so that no tip brings one cell type into the source of the other.
Eight channels work wherever a block column can hold what a plate column receives (`plate_columns`). Cells are mixed
before every draw of eight channels and every fourth draw of one, because they settle within minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

from nkloop.assays.methods import method_named
from nkloop.errors import PlanError, Problem
from nkloop.inventory.models import Lot
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.builder import DeckFullError, WorklistBuilder
from nkloop.worklists.cells_out import busy_minutes
from nkloop.worklists.composition import held_to
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.cytotoxicity_plate import Plate
from nkloop.worklists.cytotoxicity_readout import ASSAY, LYSIS_MINUTES, plan_detection
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.lots import LotUse, Stocks, lot_uses, summed_uses, with_lots
from nkloop.worklists.models import Worklist
from nkloop.worklists.operator_tasks import with_preparation
from nkloop.worklists.part_lots import lots_over
from nkloop.worklists.parts import in_order
from nkloop.worklists.plans import CytotoxicityPlan, CytotoxicityRequest
from nkloop.worklists.plate_columns import has_effectors
from nkloop.worklists.time_rules import time_problems


@dataclass(frozen=True)
class _Run:
    """One robot run of the plate."""

    worklist: Worklist
    lots: tuple[LotUse, ...]
    plate: Plate | None
    """The plate with its cells; None for a read-out of its own."""


def plan_cytotoxicity(
    request: CytotoxicityRequest, inventory: Stocks, deck: BenchDeck, catalogue: LabwareLookup
) -> CytotoxicityPlan:
    """Plan one plate of any layout, with eight channels as far as tips, block and cells suffice.

    A plate that needs more tips or slots than the deck holds is cut between lysis and centrifugation: nothing is
    waited for there, and a person holds the plate anyway.

    Raises:
        PlanError: a sample has no tube or too few cells, volumes do not fit, the deck is too small, cells would stand
            outside too long, or the wells would begin their contact too far apart.
        ShortageError: no valid lot of a bench liquid holds enough.
    """
    problems = list(_request_problems(request))
    if problems:
        raise PlanError.from_problems(problems)
    planner = _Planner(request, deck, catalogue)
    runs = lots_over(planner.runs, inventory, request.use_until, lambda made: [run.lots for run in made])
    if late := [one for run in runs for one in time_problems(run.worklist, busy_minutes(run.worklist, deck))]:
        raise PlanError.from_problems(late)
    plate = next(run.plate for run in runs if run.plate is not None)
    tips = sum((tips_by_rack(run.worklist) for run in runs), Counter[str]())
    return CytotoxicityPlan(
        parts=in_order([run.worklist for run in runs]),
        effectors=tuple(plate.needs),
        targets_ul=plate.targets_ul,
        dispense_order=tuple(plate.order),
        tips=dict(tips),
        lots=summed_uses([run.lots for run in runs]),
    )


class _Planner:
    """Plans the runs of one plate."""

    def __init__(self, request: CytotoxicityRequest, deck: BenchDeck, catalogue: LabwareLookup) -> None:
        self.request, self.deck, self.catalogue = request, deck, catalogue
        self.method = method_named(request.layout.method)

    def runs(self, stocks: Stocks) -> tuple[_Run, ...]:
        """One run, or two where the deck does not hold everything at once."""
        request = self.request
        cells, colour = (request.assay_medium, request.lysis_buffer), (request.substrate, request.stop_solution)
        with suppress(DeckFullError):
            return (self._run((*cells, *colour), stocks, lambda lots: self._widest(lots, is_cut=False)),)
        first = self._run(cells, stocks, lambda lots: self._widest(lots, is_cut=True))
        return first, self._run(colour, stocks, lambda lots: self._read_out(lots, first.worklist))

    def _run(
        self, liquids: tuple[str, ...], stocks: Stocks, plan: Callable[[dict[str, Lot]], tuple[Worklist, Plate | None]]
    ) -> _Run:
        planned, plate, lots = with_lots(liquids, stocks, self.request.use_until, plan)
        values = {"unverified": tuple(f"{one} of {self.method.name}" for one in self.method.unverified)}
        held = held_to(planned, self.request.error_limits).model_copy(update=values)
        worklist = with_preparation(held, self.catalogue)
        return _Run(worklist, lot_uses(worklist, lots, self.catalogue), plate)

    def _builder(self) -> WorklistBuilder:
        return WorklistBuilder(self.request.name, "cytotoxicity_assay", self.deck, self.catalogue)

    def _widest(self, lots: dict[str, Lot], *, is_cut: bool) -> tuple[Worklist, Plate]:
        """The plan that uses eight channels most; block columns take more tips and cells than single wells do."""

        def attempt(*, effectors: bool, targets: bool, parts: bool) -> tuple[Worklist, Plate]:
            plate = Plate(
                self.request,
                lots,
                self._builder(),
                wide_effectors=effectors,
                wide_targets=targets,
                parts=parts,
                is_cut=is_cut,
            )
            return plate.plan(), plate

        # Targets keep their eight channels longest: adding them starts the contact, well after well.
        for effectors, parts in product((True, False), repeat=2) if self.deck.pipette(8) is not None else ():
            with suppress(DeckFullError):
                return attempt(effectors=effectors, targets=True, parts=parts)
        return attempt(effectors=False, targets=False, parts=False)

    def _read_out(self, lots: dict[str, Lot], before: Worklist) -> tuple[Worklist, None]:
        ledger = follow(before, self.catalogue)
        standing = [(well, held) for nickname, well, held in ledger.wells() if nickname == ASSAY]
        for parts in (True, False) if self.deck.pipette(8) is not None else (False,):
            with suppress(DeckFullError):
                return plan_detection(self._builder(), self.request, lots, standing, parts=parts), None
        raise DeckFullError(
            "the read-out alone needs more tips or slots than the deck holds",
            where=self.request.name,
            remedy="lay out fewer wells per plate, or take modules off the deck",
        )


def tips_by_rack(worklist: Worklist) -> Counter[str]:
    """Tips a worklist uses, per rack type."""
    racks = {item.nickname: item.load_name for item in worklist.deck}
    used: Counter[str] = Counter()
    for step in worklist.steps:
        if step.tip:
            used[racks[step.tip.partition(":")[0]]] += step.channels
    return used


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
