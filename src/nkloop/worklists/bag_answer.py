"""What planned doses of bags answer with: tubes and labels, what every bag holds and with what error, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nkloop.inventory.models import Lot
from nkloop.quantities.display import volume_told
from nkloop.worklists.bag_asked import BagAsked
from nkloop.worklists.bag_plans import (
    BagDosingPlan,
    BagFeeding,
    DoseLabel,
    DoseTubeFilling,
)
from nkloop.worklists.bag_seeding import by_hand_ul, suspended_in_base_ul
from nkloop.worklists.base_errors import dosed_and_brought, in_vessel, refuse_brought
from nkloop.worklists.base_errors import note as error_note
from nkloop.worklists.carry_over import (
    Carried,
    brought_by_stocks,
    brought_with,
    refuse_carry_over,
    summed,
    unknown_words,
    unlimited_words,
)
from nkloop.worklists.composition import (
    composition_rows,
    refuse_off_target,
    refuse_uncertain,
)
from nkloop.worklists.contents import Ledger
from nkloop.worklists.dose import blended
from nkloop.worklists.dosing_event import BASE, TOLERANCE_PERCENT
from nkloop.worklists.lots import LotUse, summed_uses
from nkloop.worklists.mixtures import Made
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.parts import in_order
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.strength import at_concentration
from nkloop.worklists.undosed import (
    carried_note,
    carried_warnings,
    is_known,
    remains_warnings,
    undosed_rows,
    undosed_warnings,
)


@dataclass(frozen=True)
class BagRun:
    """The tubes of one robot run."""

    bags: tuple[BagFeeding, ...]
    worklist: Worklist
    minutes_out: float
    """Longest time the cells of one vessel are outside the incubator."""
    made: tuple[Made, ...]
    """The mixture of each bag, in the order of the bags."""
    ledger: Ledger
    """What the wells hold when the run has ended."""
    lots: tuple[LotUse, ...]
    errors: Mapping[tuple[str, str], Mapping[str, Uncertainty]]
    """Predicted errors of each component of a tube, by nickname and well."""
    notes: tuple[str, ...]
    stocks: Mapping[str, Lot]
    """Lot by component or liquid."""


class BagAnswer(BagAsked):
    """The answer to one request."""

    def result(self, runs: Sequence[BagRun]) -> BagDosingPlan:
        """The plan out of its runs.

        Raises:
            PlanError: a bag is off target, or its predicted error beyond the limits.
        """
        tubes: list[DoseTubeFilling] = []
        rows: list[CompositionRow] = []
        for number, run in enumerate(runs, start=1):
            for bag, made in zip(run.bags, run.made, strict=True):
                tubes.append(self._filling(bag, made, run, number))
                rows += self._in_bag(bag, made, run)
                rows += self._beside(bag, made, run)
        brought = [(bag, told) for run in runs for bag, told in self._brought(run)]
        refuse_carry_over(self.request.recipe, brought)
        doses, base_rows = dosed_and_brought(rows, self.request.base)
        limits = self.request.errors_allowed
        refuse_uncertain([*(row for tube in tubes for row in tube.concentrations), *doses], limits)
        refuse_brought(base_rows, self.request.base, limits)
        last = runs[-1].ledger.well(BASE, self.request.base.well).volume_ul
        by_hand = by_hand_ul(self.bags)
        return BagDosingPlan(
            base_by_hand_ul=by_hand,
            cells_out_minutes=max(run.minutes_out for run in runs),
            vessel_labels=tuple(self._vessel_label(bag) for run in runs for bag in run.bags if bag.transfer),
            parts=in_order([run.worklist for run in runs]),
            tubes=tuple(tubes),
            composition=tuple(rows),
            base_left_ul=last,
            lots=summed_uses([run.lots for run in runs]),
            notes=(
                *self._by_hand_note(by_hand),
                *error_note(
                    self.request.base, by_hand=bool(by_hand), kept=any(bag.seeding is None for bag in self.bags)
                ),
                *carried_note([bag.kept_ul / self.tasks.final_ul(bag) for bag in self.bags], self.before),
                *dict.fromkeys(note for run in runs for note in run.notes),
            ),
            warnings=(
                *unlimited_words(self.request.recipe, (t for _, t in brought)),
                *unknown_words(self.request.recipe, self.request.base),
                *remains_warnings(rows),
                *undosed_warnings(
                    rows,
                    TOLERANCE_PERCENT,
                    "what was there, or the cells came in, keeps it off",
                    "drain more of what was there, or bring the cells in a smaller volume",
                ),
                *carried_warnings(rows, self.stage, self.before),
                *self._settling_warning(),
            ),
        )

    def _settling_warning(self) -> tuple[str, ...]:
        if not any(bag.is_settled for bag in self.bags) or self.settling_minutes:
            return ()
        return (f"stage {self.stage.id} states no settling time: cells may be drained with the medium",)

    def _by_hand_note(self, by_hand_ul: float) -> tuple[str, ...]:
        if not by_hand_ul:
            return ()
        cells = suspended_in_base_ul(self.bags)
        told = f", {volume_told(cells)} of it to suspend the cells in" if cells else ""
        return (f"Base medium people run in: {volume_told(by_hand_ul)} in all{told}.",)

    def _brought(self, run: BagRun) -> Iterator[tuple[str, Carried]]:
        """What the buffers of all stocks bring into each vessel, those of the base medium included."""
        for bag, made in zip(run.bags, run.made, strict=True):
            held = self._held(bag, self._delivered(made, run))
            dosed = brought_by_stocks(self.ingredients, run.stocks, held)
            yield self.words(bag), summed([*dosed, *brought_with(self.request.base, held)])

    def _vessel_label(self, bag: BagFeeding) -> DoseLabel:
        source = bag.transfer.from_bag if bag.transfer is not None else ""
        final, kind = self.tasks.final_ul(bag), self.known.bag(bag.kind)
        return DoseLabel(
            batch=f"{bag.bag} {bag.arm}/{bag.donor}",
            step=self.request.name,
            content=f"culture from {source}, {final / 1000:.4g} mL ({kind.name})",
            prepared=self.request.prepared,
            expires=self.request.use_until,
        )

    def _filling(self, bag: BagFeeding, made: Made, run: BagRun, part: int) -> DoseTubeFilling:
        wanted = [at_concentration(i, made.mixture.per_ul[i.component]) for i in self.ingredients]
        present = [i for i in wanted if i.amount.magnitude > 0]
        tube, delivered = self._delivered(made, run)
        rows = composition_rows(present, tube, f"tube {made.spot[1]}", run.errors.get(made.spot))
        content = ", ".join(f"{i.component} {i.amount.display()}" for i in present) or "base medium only"
        label = DoseLabel(
            batch=f"{bag.bag} {bag.arm}/{bag.donor}",
            step=self.request.name,
            content=f"{self.fill_ul / 1000:.4g} mL: {content}",
            prepared=self.request.prepared,
            expires=self.request.use_until,
        )
        return DoseTubeFilling(
            bag=bag.bag,
            arm=bag.arm,
            donor=bag.donor,
            part=part,
            rack=made.spot[0],
            well=made.spot[1],
            fill_ul=made.volume_ul,
            delivered_ul=delivered,
            final_ul=self.tasks.final_ul(bag),
            final_cells_per_ul=self.tasks.final_cells_per_ul(bag),
            concentrations=rows,
            label=label,
        )

    def _in_bag(self, bag: BagFeeding, made: Made, run: BagRun) -> tuple[CompositionRow, ...]:
        """What the bag reaches with what the ledger says is in the tube."""
        final, targets = self.tasks.final_ul(bag), self.targets(bag)
        tube, delivered = self._delivered(made, run)
        reached, errors = {}, {}
        for name in targets:
            dosed = tube.get(name, 0.0) * delivered
            reached[name] = (bag.present_per_ul.get(name, 0.0) * bag.kept_ul + dosed) / final
            error = run.errors.get(made.spot, {}).get(name)
            if error is not None and reached[name] > 0:
                share = dosed / final / reached[name]
                errors[name] = Uncertainty(cv_percent=error.cv_percent * share, bias_percent=error.bias_percent * share)
        wanted = [at_concentration(i, targets[i.component]) for i in self.ingredients]
        text = self.place_words(bag)
        rows = composition_rows(wanted, reached, text, errors)
        refuse_off_target(text, rows, TOLERANCE_PERCENT)
        return rows

    def _delivered(self, made: Made, run: BagRun) -> tuple[Mapping[str, float], float]:
        """What reaches the vessel from its tube: contents per µL, and volume."""
        return run.ledger.well(*made.spot).per_ul, made.volume_ul - self.lost_ul

    def _held(self, bag: BagFeeding, dose: tuple[Mapping[str, float], float]) -> dict[str, float]:
        """Contents of the vessel afterwards, per µL."""
        return blended(((bag.present_per_ul, bag.kept_ul), (self.request.base.per_ul, bag.medium_ul), dose))

    def _beside(self, bag: BagFeeding, made: Made, run: BagRun) -> tuple[CompositionRow, ...]:
        """What the bag holds beside the doses, where it is known what was in it."""
        if not is_known(self.request.recipe, bag.present_per_ul):
            return ()
        dose = self._delivered(made, run)
        held = self._held(bag, dose)
        text = self.place_words(bag)
        names = {i.component for i in self.ingredients}
        # cells of new vessels come in the same batch when nobody says otherwise
        is_suspended_in_it = bag.seeding is not None and not bag.seeding.suspended_in
        by_hand = bag.medium_ul + (bag.kept_ul if is_suspended_in_it else 0.0)
        amounts = {name: value * self.tasks.final_ul(bag) for name, value in held.items()}
        errors = in_vessel(self.request.base, by_hand, dose, run.errors.get(made.spot, {}), amounts)
        return undosed_rows(self.request.recipe, self.stage, names, held, text, errors)
