"""What a planned addition answers with: what every vessel gets, its tube and label, the composition, and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.quantities.display import number as scientific
from nkloop.quantities.display import volume_told
from nkloop.recipes.models import ProcessStep
from nkloop.worklists.addition_controls import thinned_percent
from nkloop.worklists.addition_layout import Laid, TubeKind
from nkloop.worklists.addition_plans import Addition, AdditionPlan, AdditionRequest, AdditionVessel
from nkloop.worklists.bag_plans import DoseLabel, DoseTubeFilling
from nkloop.worklists.composition import composition_row, refuse_off_target, refuse_uncertain
from nkloop.worklists.contents import Ledger
from nkloop.worklists.dosing_event import TOLERANCE_PERCENT
from nkloop.worklists.lots import LotUse, summed_uses
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.parts import in_order
from nkloop.worklists.plans import CompositionRow

_ALIKE_POINTS = 0.5
"""Points of percent by which a control may be thinned otherwise than the others and still be told as alike."""


@dataclass(frozen=True)
class AdditionRun:
    """The vessels of one robot run."""

    laid: Laid
    worklist: Worklist
    ledger: Ledger
    lot: Lot
    lots: tuple[LotUse, ...]
    errors: Mapping[tuple[str, str], Mapping[str, Uncertainty]]
    cells_out_minutes: float
    thawed_minutes: float | None
    """From the freezer to the last culture; None when nothing is thawed."""
    wanted: Mapping[str, float]
    """What each vessel that gets the component needs of it, in the unit of the lot times µL."""
    lost_ul: float
    """What stays in a dose tube and its line; 0 for a plate."""


def answer(
    request: AdditionRequest, step: ProcessStep, tubes: TubeKind | None, runs: Sequence[AdditionRun]
) -> AdditionPlan:
    """The plan out of its runs.

    Raises:
        PlanError: a vessel is off target, or its predicted error beyond the limits.
    """
    told = _Answer(request, step, tubes)
    additions = [one for number, run in enumerate(runs, start=1) for one in told.additions(run, number)]
    rows = [row for run in runs for row in told.rows(run)]
    refuse_off_target(request.name, rows, TOLERANCE_PERCENT)
    refuse_uncertain(rows, request.errors_allowed)
    thawed = [run.thawed_minutes for run in runs if run.thawed_minutes is not None]
    notes = dict.fromkeys((*told.notes(additions, runs), *(note for run in runs for note in run.laid.notes)))
    return AdditionPlan(
        parts=in_order([run.worklist for run in runs]),
        additions=tuple(additions),
        without=tuple(one.vessel for one in additions if one.is_control),
        tubes=tuple(one for number, run in enumerate(runs, start=1) for one in told.tubes_of(run, number)),
        composition=tuple(rows),
        lots=summed_uses([run.lots for run in runs]),
        cells_out_minutes=max(run.cells_out_minutes for run in runs),
        thawed_minutes=max(thawed, default=None),
        warnings=told.warnings(),
        notes=tuple(notes),
    )


class _Answer:
    """Tells one request's runs."""

    def __init__(self, request: AdditionRequest, step: ProcessStep, tubes: TubeKind | None) -> None:
        self.request, self.step, self.tubes = request, step, tubes
        self.component = step.component or ""
        self.wanted = step.amount or step.add_volume or Amount(0, "µL")

    def warnings(self) -> tuple[str, ...]:
        """What must be known before signing: an amount of the recipe that nobody has verified."""
        if self.step.verified_by is not None:
            return ()
        return (f"nobody has verified the {self.wanted} of step {self.step.id} yet",)

    # -- what every vessel gets ---------------------------------------------------------------------------------

    def additions(self, run: AdditionRun, part: int) -> Iterator[Addition]:
        """What each vessel of a run gets, controls last; volumes in µL."""
        laid, chain = run.laid, run.laid.chain
        for vessel, spot, volume in zip(laid.vessels, laid.spots, chain.volumes_ul, strict=True):
            of_stock = volume * chain.per_ul / chain.stock_per_ul
            yield self._addition(vessel, spot, volume, part, liquid=self.component, stock_ul=of_stock)
        for vessel, spot, volume in zip(laid.controls, laid.control_spots, laid.control_volumes_ul, strict=True):
            yield self._addition(vessel, spot, volume, part, liquid=laid.carrier, stock_ul=0.0, is_control=True)

    def _addition(
        self,
        vessel: AdditionVessel,
        spot: tuple[str, str],
        volume: float,
        part: int,
        *,
        liquid: str,
        stock_ul: float,
        is_control: bool = False,
    ) -> Addition:
        added = volume if self.tubes is None else self.tubes.delivered_ul(vessel.vessel)
        return Addition(
            vessel=vessel.vessel,
            arm=vessel.arm,
            donor=vessel.donor,
            part=part,
            liquid=liquid,
            is_control=is_control,
            cells=vessel.cells,
            wanted=0.0 if is_control else self.wanted.magnitude,
            unit=self.wanted.unit,
            stock_ul=stock_ul,
            volume_ul=volume,
            thinned_percent=round(thinned_percent(vessel.volume_ul, added), 2),
            tube="" if self.tubes is None else f"{spot[0]} {spot[1]}",
        )

    def rows(self, run: AdditionRun) -> Iterator[CompositionRow]:
        """What each vessel reaches, in the unit the recipe writes, as the ledger says."""
        for vessel, spot in zip(run.laid.vessels, run.laid.spots, strict=True):
            held = run.ledger.well(*spot)
            given = held.per_ul.get(self.component, 0.0) * (held.volume_ul - run.lost_ul)
            given -= vessel.per_ul.get(self.component, 0.0) * vessel.volume_ul if self.tubes is None else 0.0
            reached = given / run.wanted[vessel.vessel]
            yield composition_row(
                _words(vessel),
                self.component,
                target=self.wanted.magnitude,
                expected=reached * self.wanted.magnitude,
                unit=self.wanted.unit,
                share=reached,
                error=run.errors.get(spot, {}).get(self.component),
            )

    # -- tubes --------------------------------------------------------------------------------------------------

    def tubes_of(self, run: AdditionRun, part: int) -> Iterator[DoseTubeFilling]:
        """The dose tubes of closed vessels, controls after the others; nothing for a plate."""
        tubes, laid, prepared = self.tubes, run.laid, self.request.prepared
        if tubes is None or prepared is None:
            return
        every = zip((*laid.vessels, *laid.controls), (*laid.spots, *laid.control_spots), strict=True)
        for vessel, spot in every:
            is_control = vessel in laid.controls
            fill, delivered = tubes.fill_ul(vessel.vessel), tubes.delivered_ul(vessel.vessel)
            row = None if is_control else self._in_tube(run, spot)
            content = f"{laid.carrier}, without {self.component}"
            if row is not None:
                shown = Amount(row.expected, row.unit, substance=self.component).display()
                content = f"{self.component} {shown}"
            label = DoseLabel(
                batch=f"{vessel.vessel} {vessel.arm}/{vessel.donor}",
                step=self.request.name,
                content=f"{fill / 1000:.4g} mL: {content}",
                prepared=prepared,
                expires=prepared.date(),
                use=self._use_words(run.lot),
            )
            yield DoseTubeFilling(
                bag=vessel.vessel,
                arm=vessel.arm,
                donor=vessel.donor,
                part=part,
                rack=spot[0],
                well=spot[1],
                fill_ul=fill,
                delivered_ul=delivered,
                final_ul=vessel.volume_ul + delivered,
                concentrations=() if row is None else (row,),
                label=label,
            )

    def _use_words(self, lot: Lot) -> str:
        return f"at once, ≤ {self.request.thawed_minutes:g} min from the freezer" if lot.is_frozen else "same day"

    def _in_tube(self, run: AdditionRun, spot: tuple[str, str]) -> CompositionRow:
        """What a tube holds, in the unit of the lot."""
        own = run.lot.concentration
        # what is in a µL of the lot by its own unit, thinned as the ledger says
        share = run.ledger.well(*spot).per_ul.get(self.component, 0.0) / run.laid.chain.stock_per_ul
        return composition_row(
            f"tube {spot[1]}",
            self.component,
            target=share * own.magnitude,
            expected=share * own.magnitude,
            unit=own.unit,
            share=1.0,
            error=run.errors.get(spot, {}).get(self.component),
        )

    # -- in words -----------------------------------------------------------------------------------------------

    def notes(self, additions: Sequence[Addition], runs: Sequence[AdditionRun]) -> Iterator[str]:
        """One sentence per vessel, then how much everything is thinned and how long the thaw lasts."""
        lot = runs[0].lot
        for one in additions:
            where = f"{one.vessel} ({one.arm}/{one.donor})"
            if one.is_control:
                yield (
                    f"{where}: {volume_told(one.volume_ul)} of {one.liquid} and no {self.component}, because its arm "
                    f"of the recipe goes without step {self.step.id}; {_thinned_beside(one, additions)}."
                )
                continue
            given = f"{volume_told(one.stock_ul)} of lot {lot.id} ({lot.concentration})"
            if abs(one.volume_ul - one.stock_ul) >= 1e-6:
                given += f", as {one.volume_ul:g} µL of its dilution"
            yield f"{where}: {self._dose_words(one)} = {given}."
        yield self._thinned_words(additions)
        if (minutes := max((run.thawed_minutes or 0.0 for run in runs), default=0.0)) > 0:
            yield (
                f"{self.component} reaches the last culture about {minutes:.0f} min after it left the freezer (limit "
                f"{self.request.thawed_minutes:g} min)."
            )

    def _dose_words(self, one: Addition) -> str:
        if self.step.amount is None:
            return f"{one.wanted:g} {one.unit}"
        if self.step.amount.kind is not Kind.MULTIPLICITY:
            return f"{one.wanted:g} {one.unit} in the volume present"
        return f"{scientific(one.cells, 3)} viable cells × {one.wanted:g} {one.unit}"

    def _thinned_words(self, additions: Sequence[Addition]) -> str:
        shares = [one.thinned_percent for one in additions]
        low, high = min(shares), max(shares)
        told = f"{low:.2g} %" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g} %"
        return f"What is added thins everything else in the cultures by {told}."


def _thinned_beside(control: Addition, additions: Sequence[Addition]) -> str:
    """How much a control is thinned, compared with the vessels of its donor that get the component."""
    treated = [one for one in additions if not one.is_control]
    own = [one for one in treated if one.donor == control.donor]
    shares = [one.thinned_percent for one in own or treated]
    low, high, here = min(shares), max(shares), control.thinned_percent
    if max(high - here, here - low) <= _ALIKE_POINTS:
        return "everything else is thinned as in the others"
    beside = f"{low:.3g} %" if low == high else f"{low:.3g} to {high:.3g} %"
    return f"everything else is thinned by {here:.3g} %, beside {beside} in the others{' of its donor' if own else ''}"


def _words(vessel: AdditionVessel) -> str:
    return f"{vessel.vessel} ({vessel.arm}/{vessel.donor})"
