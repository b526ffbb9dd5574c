"""The three plans behind `nkloop plan dosing`: a dose for a plate, dose tubes for closed vessels, a process step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nkloop.cli.plan.bench_clock import bench_now

if TYPE_CHECKING:
    from datetime import datetime

    from nkloop.cli.plan.dosing_options import Asked
    from nkloop.cli.plan.planned import Planned
    from nkloop.drivers.bench_file import BenchFile
    from nkloop.inventory import Inventory
    from nkloop.labware import Catalogue
    from nkloop.labware.bags import BagCatalogue
    from nkloop.recipes.error_limits import ErrorLimits
    from nkloop.worklists.addition_plans import AdditionPlan
    from nkloop.worklists.bag_plans import BagDosingPlan, BagDosingRequest, DoseTubeFilling
    from nkloop.worklists.dosing_assembly import KnownBase, Wanted
    from nkloop.worklists.plans import CulturePosition, DosingPlan, DosingRequest, MediumSource
    from nkloop.worklists.present_table import Present
    from nkloop.worklists.stage_day import Action
    from nkloop.workspace import Workspace


@dataclass(frozen=True)
class RecordsTold:
    """What the records say to a table of contents; empty where they say nothing against it."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person said to them."""

    def on(self, made: Planned) -> Planned:
        """A plan that tells it, on its sheet, too."""
        return replace(
            made,
            warnings=(*self.warnings, *made.warnings),
            notes=(*made.notes, *self.notes),
            on_sheet=(*made.on_sheet, *self.warnings, *self.notes),
        )


@dataclass(frozen=True)
class Planning:
    """Plans what was asked for on one bench; each plan comes with the table that `--map` writes."""

    found: Workspace
    catalogue: Catalogue
    file: BenchFile
    asked: Asked

    def plan(self, inventory: Inventory, wanted: Wanted) -> tuple[Planned, str]:
        """The plan the options ask for.

        Raises:
            PlanError: it cannot be carried out as asked.
            ShortageError: the stock does not suffice.
        """
        if not self._is_plate:
            self._require_bag()
            self._refuse_of_plates()
        self._refuse_kind_as_barcode()
        if self.asked.step is not None:
            self._refuse_beside_step()
            return self._step(inventory, wanted)
        return self._plate(inventory, wanted) if self._is_plate else self._bags(inventory, wanted)

    @property
    def _now(self) -> datetime:
        """The time of the bench."""
        return bench_now(self.found, self.asked.bench)

    @property
    def _is_plate(self) -> bool:
        """Whether the cultures are in the wells of a plate, named as people name it or by its load name."""
        name = self.asked.vessel
        return name.startswith("plate") or (name in self.catalogue and self.catalogue[name].kind == "plate")

    def _require_bag(self) -> None:
        """Refuse a vessel that is no plate and no closed one, before anything is asked about it.

        Raises:
            PlanError: there is no such vessel.
        """
        from nkloop.errors import PlanError
        from nkloop.labware.bags import BagCatalogue
        from nkloop.worklists.dosing_assembly import PLATES

        closed = [bag.name for bag in BagCatalogue.load(self.found.labware).bags]
        if self.asked.vessel not in {"bag", "bioreactor", *closed}:
            raise PlanError(
                f"there is no bag '{self.asked.vessel}', and no plate of that name",
                where="vessel",
                remedy=f"use one of: {', '.join(PLATES)}, bag, bioreactor, {', '.join(closed)}, or the load name of a "
                "plate of labware/catalogue.yaml",
            )

    def _refuse_kind_as_barcode(self) -> None:
        """Refuse the name of a kind of plate where the barcode of one plate is asked for.

        Raises:
            PlanError: `--plate` names a labware of the catalogue.
        """
        from nkloop.errors import PlanError
        from nkloop.worklists.dosing_assembly import PLATES

        name = self.asked.plate
        if name in PLATES or name in self.catalogue:
            raise PlanError(
                f"'{name}' is a kind of labware, --plate is the barcode of the one culture plate",
                where="--plate",
                remedy=f"name the kind with --vessel {name}, and give --plate what stands on the plate's label",
            )

    def _refuse_beside_step(self) -> None:
        """Refuse options that a process step does not heed: the recipe says how much is added.

        Raises:
            PlanError: one of them is given.
        """
        from nkloop.errors import PlanError

        for option, given in (("--volume", self.asked.volume), ("--action", self.asked.action)):
            if given is not None:
                raise PlanError(
                    f"{option} {given} means nothing beside --step {self.asked.step}",
                    where=option,
                    remedy="leave it out: the recipe says how much the step adds; dose or feed in a plan of its own",
                )

    def _step(self, inventory: Inventory, wanted: Wanted) -> tuple[Planned, str]:
        """A process step of the recipe that adds something: the component, or its carrier where an arm goes without."""

        from nkloop.errors import PlanError
        from nkloop.labware.bags import BagCatalogue
        from nkloop.worklists.addition_assembly import addition_request, additions_csv
        from nkloop.worklists.additions import plan_addition
        from nkloop.worklists.dosing_assembly import bag_names, moved_names, plate_kind
        from nkloop.worklists.present_table import read_present

        asked = self.asked
        if asked.present is None:
            raise PlanError(
                f"step {asked.step} needs the cell counts of the vessels",
                where="present",
                remedy="give --present TABLE",
            )
        bags = BagCatalogue.load(self.found.labware)
        positions = self._positions(wanted) if self._is_plate else ()
        names, kind = ([one.well for one in positions], "well") if self._is_plate else (bag_names(wanted), "bag")
        called = {} if self._is_plate else moved_names(wanted)
        table = read_present(asked.present, (), names, kind, called=called)
        records_told = self._against_records(table)
        wanted = replace(wanted, present=table)
        request = addition_request(
            wanted,
            asked.step or "",
            vessel=asked.vessel,
            positions=positions,
            plate_load_name=plate_kind(asked.vessel, self.catalogue).load_name if self._is_plate else "",
            barcode=asked.plate,
            tube=asked.tube,
            dose_ul=asked.dose_ul,
            cells_out_minutes=asked.cells_out_minutes,
            bags=bags,
            prepared=self._now.replace(second=0, microsecond=0),
            thawed_minutes=asked.thawed_minutes,
            day=asked.day,
        )
        plan = plan_addition(request, inventory, self.file.deck, self.catalogue, bags)
        out = f"Cells are outside the incubator for about {_cells_out(plan, ' at a time')}."
        more = {
            "additions": [one.model_dump(mode="json") for one in plan.additions],
            "without": list(plan.without),
            "tubes": [one.model_dump(mode="json") for one in plan.tubes],
            "thawed_minutes": plan.thawed_minutes,
        }
        kinds = () if self._is_plate else self._guesses(bags, None, wanted)
        made = self._answer(inventory, plan, (out, *kinds, *_tube_notes(plan.tubes, len(plan.parts))), more)
        return replace(records_told.on(made), tubes=plan.tubes), additions_csv(plan)

    def _plate(self, inventory: Inventory, wanted: Wanted) -> tuple[Planned, str]:
        """A dose for the wells of a plate, with the map of positions."""
        from nkloop.worklists.arms import levels_told
        from nkloop.worklists.constants import settled
        from nkloop.worklists.dosing import plan_dosing
        from nkloop.worklists.dosing_assembly import plate_request, with_enough_base
        from nkloop.worklists.positions import map_csv

        positions, outer = self._positions(wanted), self.asked.outer_wells
        table = self._table(wanted, [one.well for one in positions], "well")
        records_told = self._against_records(table)
        wanted = self._with_present(wanted, table)
        action, aim = self._action(wanted), self.asked.aimed_at

        def request(wanted: Wanted, base: MediumSource) -> DosingRequest:
            return plate_request(
                wanted,
                self.asked.vessel,
                positions,
                self.catalogue,
                base,
                action=action,
                volume_ul=self.asked.volume_ul,
                outer=outer,
                barcode=self.asked.plate,
                cells_out_minutes=self.asked.cells_out_minutes,
                aim=aim,
            )

        wanted, told = settled(wanted, self.asked.constants, request)
        plan = with_enough_base(
            wanted,
            self.catalogue,
            lambda base, like: plan_dosing(request(wanted, base), inventory, self.file.deck, self.catalogue, like=like),
            self._known_base(wanted, inventory),
        )
        notes = (
            *told,
            f"{action}: {len(positions)} wells, {len(wanted.arms)} arms, donors as blocks, seed {wanted.seed}.",
            f"Cells are outside the incubator for about {_cells_out(plan, ' at a time')}.",
        )
        levels = {arm.name: levels_told(wanted.recipe, arm) for arm in wanted.arms}
        rows = [{**one.model_dump(), "seed": wanted.seed, "levels": levels[one.arm]} for one in positions]
        more = {"positions": rows, "dosed": _names(wanted), "feeding": plan.feeding, "weighed_eur": plan.cost_eur}
        more |= _within(plan)
        made = records_told.on(self._answer(inventory, plan, notes, more))
        return made, map_csv(positions, plate=self.asked.plate, seed=wanted.seed, outer=outer, levels=levels)

    def _bags(self, inventory: Inventory, wanted: Wanted) -> tuple[Planned, str]:
        """Dose tubes for closed vessels, with the table of tubes."""

        from nkloop.labware.bags import BagCatalogue
        from nkloop.worklists.bag_doses import plan_bag_doses
        from nkloop.worklists.bag_plans import tubes_csv
        from nkloop.worklists.constants import settled
        from nkloop.worklists.dosing_assembly import bag_names, bag_request, with_enough_base

        bags = BagCatalogue.load(self.found.labware)
        wanted = self._with_present(wanted, self._table(wanted, bag_names(wanted), "bag"))
        action = self._action(wanted)
        prepared = self._now.replace(second=0, microsecond=0)

        def request(wanted: Wanted, base: MediumSource) -> BagDosingRequest:
            return bag_request(
                wanted,
                self.asked.vessel,
                bags,
                base,
                action=action,
                volume_ul=self.asked.volume_ul,
                dose_ul=self.asked.dose_ul,
                tube=self.asked.tube,
                prepared=prepared,
                from_vessel=self.asked.from_vessel,
                cells_out_minutes=self.asked.cells_out_minutes,
            )

        wanted, told = settled(wanted, self.asked.constants, request)
        plan = with_enough_base(
            wanted,
            self.catalogue,
            lambda base, _: plan_bag_doses(request(wanted, base), inventory, self.file.deck, self.catalogue, bags),
            self._known_base(wanted, inventory),
        )
        out = f"The cells of a vessel are outside the incubator for about {_cells_out(plan)}."
        kinds = self._guesses(bags, action, wanted)
        tubes_told = _tube_notes(plan.tubes, len(plan.parts))
        notes = (*told, f"{action}: {len(plan.tubes)} vessels.", *kinds, out, *tubes_told)
        tubes = [one.model_dump(mode="json") for one in plan.tubes]
        more = {"tubes": tubes, "base_by_hand_ul": plan.base_by_hand_ul, "dosed": _names(wanted)}
        made = self._answer(inventory, plan, notes, more | _within(plan))
        return replace(made, tubes=plan.tubes, vessel_labels=plan.vessel_labels), tubes_csv(plan.tubes)

    def _guesses(self, bags: BagCatalogue, action: Action | None, wanted: Wanted) -> tuple[str, ...]:
        """Which bags' kind is inferred from what they hold."""
        from nkloop.worklists.held_bags import guesses_note

        if action == "transfer":
            return guesses_note(bags, self.asked.from_vessel, wanted.present, "--from-vessel")
        return guesses_note(bags, self.asked.vessel, wanted.present, "--vessel")

    def _refuse_of_plates(self) -> None:
        """Refuse options that mean something for plates only."""
        from nkloop.errors import PlanError

        given = {
            "--replicates": (self.asked.replicates != 1, "name the cord unit of each bag in --donors"),
            "--outer": (self.asked.outer != "use", "leave it out"),
            "--aim": (self.asked.aimed_at != "vessel", "leave it out: what a bag holds afterwards is the aim"),
            "--present-as-told": (
                self.asked.present_as_told is not None,
                "leave it out: only the table of a plate is held against the records",
            ),
            "--plate": (self.asked.plate != "culture-1", "leave it out: bags are named after donor and arm"),
        }
        for option, (is_given, remedy) in given.items():
            if is_given:
                raise PlanError(
                    f"{option} is about wells of a plate, {self.asked.vessel} has none", where=option, remedy=remedy
                )

    def _answer(self, inventory: Inventory, plan: Any, notes: tuple[str, ...], more: dict[str, Any]) -> Planned:
        from nkloop.cli.plan.planned import Planned, protocol_of
        from nkloop.runs.costs import plan_cost
        from nkloop.runs.stock_use import containers_of, take_out
        from nkloop.worklists.duration import estimate_minutes
        from nkloop.worklists.parts import between_notes, worklists_of

        parts = worklists_of(plan.parts)
        cost = plan_cost(inventory, plan.lots)
        return Planned(
            title=parts[0].name if len(parts) == 1 else parts[0].name.rpartition(", part")[0],
            parts=parts,
            composition=plan.composition,
            lots=plan.lots,
            warnings=plan.warnings,
            notes=(*notes, *plan.notes, *between_notes(plan.parts)),
            verdicts=(),
            protocol=protocol_of(parts, self.found),
            robot_minutes=tuple(estimate_minutes(part, self.file.deck) for part in parts),
            price_eur=None if cost.without_price else round(cost.eur, 2),
            unpriced=cost.without_price,
            take_out=take_out(inventory, parts),
            containers=containers_of(inventory, parts),
            deck=self.file.deck,
            simulated=self.file.simulated,
            bench=self.file.name,
            more=more,
        )

    def _positions(self, wanted: Wanted) -> tuple[CulturePosition, ...]:
        from nkloop.worklists.dosing_assembly import plate_positions

        asked = self.asked
        return plate_positions(
            wanted, asked.vessel, self.catalogue, replicates=asked.replicates, outer=asked.outer_wells
        )

    def _table(self, wanted: Wanted, vessels: Any, kind: str) -> dict[str, Present]:
        """What the table says the vessels hold; empty without a table."""
        from nkloop.worklists.dosing_assembly import moved_names
        from nkloop.worklists.present_table import read_present

        if self.asked.present is None:
            return {}
        also = [i for stage in (wanted.stage, *wanted.recipe.stages) for i in stage.medium.additives]
        called = moved_names(wanted) if kind == "bag" else {}
        return read_present(self.asked.present, wanted.added, vessels, kind, also, called)

    def _with_present(self, wanted: Wanted, table: dict[str, Present]) -> Wanted:
        from nkloop.worklists.medium_contents import medium_per_ul, stage_held

        asked = self.asked
        wanted = replace(wanted, suspended_in=asked.suspended_in or "")
        if asked.present is None:
            return wanted
        held = stage_held(wanted.recipe, wanted.stage, asked.day_in(wanted.stage), asked.from_stage)
        taken = medium_per_ul(held)
        present = {name: one.model_copy(update={"per_ul": {**taken, **one.per_ul}}) for name, one in table.items()}
        return replace(wanted, present=present, held_stage=held.id)

    def _against_records(self, table: dict[str, Present]) -> RecordsTold:
        """What the records say to a table of a plate; nothing of bags, which have no barcode.

        Raises:
            PlanError: a volume cannot be by the records, and nobody said why it is; or a reason is missing.
        """
        from nkloop.cli.plan.own_stock import against_records

        if not self._is_plate:
            return RecordsTold()
        warning, note = against_records(
            self.found, self.asked.bench, self.asked.plate, table, self.asked.present_as_told, self.catalogue, self.file
        )
        return RecordsTold(warning, note)

    def _known_base(self, wanted: Wanted, inventory: Inventory) -> KnownBase:
        """How the base medium gets its predicted errors: of the run that made it, else of the plan it is ordered by."""
        from nkloop.runs.made_errors import passed_over, recorded_base
        from nkloop.worklists.base_medium import BaseMaker, order_of

        def known(base: MediumSource, by_hand_ul: float, within: ErrorLimits | None) -> MediumSource | None:
            deck, catalogue = self.file.deck, self.catalogue
            made, base = recorded_base(base, _names(wanted), self.found, inventory, catalogue, deck)
            if made is not None and within is not None:
                told = passed_over(made.barcode, "its predicted errors are too large for these vessels")
                made, base = None, base.model_copy(update={"passed_over": told})
            if made is None:
                order = order_of(base, wanted.stage, _names(wanted), by_hand_ul, catalogue)
                limits = wanted.error_limits or wanted.recipe.error_limits
                maker = BaseMaker(base, order, wanted.recipe, inventory, deck, catalogue, self._now.date())
                made = maker.ordered(limits, within)
                if made is None or within is not None:
                    return made
            # what people take of the batch does not stand on the deck
            return made.model_copy(update={"volume_ul": base.volume_ul}) if by_hand_ul else made

        return known

    def _action(self, wanted: Wanted) -> Action:
        from typing import cast, get_args

        from nkloop.errors import PlanError
        from nkloop.worklists.stage_day import Action, action_of_day

        by_day = action_of_day(wanted.stage, self.asked.day_in(wanted.stage), has_contents=bool(wanted.present))
        if self.asked.action is None:
            return by_day
        if self.asked.action not in get_args(Action):
            known = ", ".join(get_args(Action))
            raise PlanError(f"there is no action '{self.asked.action}'", where="action", remedy=f"use one of: {known}")
        return cast("Action", self.asked.action)


def _cells_out(plan: DosingPlan | BagDosingPlan | AdditionPlan, each: str = "") -> str:
    limit = plan.parts[0].worklist.limits.cells_out_minutes
    return f"{plan.cells_out_minutes:.0f} min{each} (limit {limit:g} min)"


def _within(plan: DosingPlan | BagDosingPlan) -> dict[str, Any]:
    """What the base medium has to be made within, where that is stricter than the limits of the plan."""
    return {"base_within": plan.base_within.model_dump()} if plan.base_within else {}


def _names(wanted: Wanted) -> list[str]:
    return [i.component for i in wanted.added]


def _tube_notes(tubes: tuple[DoseTubeFilling, ...], n_parts: int) -> tuple[str, ...]:
    """One sentence per tube, and once what stands on all their labels."""
    if not tubes:
        return ()
    label = tubes[0].label
    use = label.use or f"by {label.expires}"
    common = (
        f"Labels: {label.step}; prepared {label.prepared:%Y-%m-%d} (the time is written when it is filled), use {use}."
    )
    return (*(_tube_note(one, n_parts) for one in tubes), common)


def _tube_note(tube: DoseTubeFilling, n_parts: int) -> str:
    from nkloop.quantities.display import number

    part = f", part {tube.part}" if n_parts > 1 else ""
    cells = tube.final_cells_per_ul
    counted = "" if cells is None else f" at {number(1000 * cells)} cells/mL"
    return (
        f"Tube {tube.well} ({tube.rack}{part}) for {tube.label.batch}: {tube.label.content}; "
        f"{tube.delivered_ul / 1000:.4g} mL of it reach the vessel, which then holds {tube.final_ul / 1000:.4g} mL"
        f"{counted}."
    )
