"""From harvested cultures to killing-assay plates: samples, layouts, worklists, the read, the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from nkloop.assays import analyse, lay_out
from nkloop.assays.checks import UNREAD
from nkloop.assays.layout import capacity
from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.methods import method_named, methods
from nkloop.assays.models import AssayResult, EffectorSample, Exclusion, PlateLayout
from nkloop.assays.panel import check_lines, line_named
from nkloop.assays.quality import reference_lysis
from nkloop.drivers.bench_file import BenchFile
from nkloop.drivers.reader_modes import lacking, require_readable
from nkloop.errors import AssayError, PlanError
from nkloop.frozen import FrozenModel
from nkloop.recipes.models import ErrorLimits, Recipe
from nkloop.records import Records
from nkloop.runs.reserved_plans import plan_on_stock
from nkloop.runs.session import Session
from nkloop.worklists.allowed_errors import allowed_errors
from nkloop.worklists.cytotoxicity import plan_cytotoxicity
from nkloop.worklists.plans import CytotoxicityPlan, CytotoxicityRequest, EffectorTube

PLATE_MODES = frozenset({"absorbance", "fluorescence", "luminescence"})
"""What plate readers measure; other methods are read by other instruments."""
EFFECTORS_PER_UL = 2000.0
"""All cells per µL of an effector tube: twice what the highest E:T needs, so that every level is a dilution."""
DETECTION_PLATE = "corning_96_wellplate_360ul_flat"
REFERENCE_EFFECTOR = EffectorSample(
    name="reference effector/PB-NK", arm="reference effector", donor="PB-NK", viability_percent=88, purity_percent=92
)
"""Cryopreserved peripheral-blood NK cells, thawed for every assay day; quality as of the bank's own release."""
REFERENCE_LOT = "reference:PB-NK"


class AssayDesign(FrozenModel):
    """How samples are put on plates."""

    method: str = "ldh"
    target_line: str = "K-562"
    ratios: tuple[float, ...] = (10, 5, 2.5, 1.25, 0.625, 0.3125)
    """Nominal E:T, highest first."""
    replicates: int = 2
    effector_replicates: int = 1
    targets_per_well: float = 1e4
    contact_minutes: float = 240
    seed: int | None = None

    @property
    def samples_per_plate(self) -> int:
        """How many samples share a plate and its controls."""
        return capacity(
            len(self.ratios), replicates=self.replicates, effector_replicates=self.effector_replicates, edge="ring"
        )

    @property
    def cells_needed(self) -> float:
        """Effector cells one sample takes, with 40 % for dilution remainders and dead volume."""
        wells = self.replicates + self.effector_replicates
        return 1.4 * wells * self.targets_per_well * sum(self.ratios) + 0.3 * EFFECTORS_PER_UL * 1000


def lay_out_plates(samples: Sequence[EffectorSample], design: AssayDesign, prefix: str) -> tuple[PlateLayout, ...]:
    """Plates `<prefix>-1`, `<prefix>-2`, … with every sample once and all controls on each.

    Raises:
        AssayError: the samples do not fit the design, or the target line is not in the panel.
    """
    target_line = line_named(design.target_line).name
    n_plates = -(-len(samples) // design.samples_per_plate) if samples else 0
    if not n_plates:
        raise AssayError("there is no sample to test", remedy="give at least one sample with enough cells")
    return lay_out(
        samples,
        reference=REFERENCE_EFFECTOR,
        method=design.method,
        target_line=target_line,
        barcodes=[f"{prefix}-{number}" for number in range(1, n_plates + 1)],
        ratios=design.ratios,
        replicates=design.replicates,
        effector_replicates=design.effector_replicates,
        targets_per_well=design.targets_per_well,
        contact_minutes=design.contact_minutes,
        seed=design.seed,
    )


async def plate_label(session: Session, wanted: str = "") -> str:
    """Label of the plates of one assay: the one wanted, or one of its own made from date and time of the bench."""
    return wanted or session.records.vessels.give(f"killing-{await session.bench.clock.now():%Y%m%d-%H%M%S}")


class Label(FrozenModel):
    """Label of the plates of one assay, kept so that a flow that is resumed goes on with the same plates."""

    text: str


def refuse_used_labels(records: Records, layouts: Sequence[PlateLayout]) -> None:
    """Keep two plates from sharing a label: results, wells and runs are told apart by it.

    Raises:
        PlanError: a plate of this label has been read or has a result.
    """
    used = {result.barcode for result in records.results.results()}
    read = {reading.barcode for reading in records.results.readings()}
    taken = [plate.barcode for plate in layouts if plate.barcode in used or detection_barcode(plate) in read]
    if taken:
        raise PlanError(
            f"{'a plate' if len(taken) == 1 else 'plates'} labelled {', '.join(taken)} "
            f"{'has' if len(taken) == 1 else 'have'} been read already",
            where="plate label",
            remedy="give another label, or none to have one made from date and time",
        )


def detection_barcode(layout: PlateLayout) -> str:
    """Barcode of the plate that is read; the assay plate itself keeps the cells."""
    return f"{layout.barcode}-read"


def plate_request(
    layout: PlateLayout,
    lots: Mapping[str, str],
    use_until: date,
    densities: Mapping[str, float] | None = None,
    *,
    errors: ErrorLimits | None = None,
    recipe: Recipe | None = None,
) -> CytotoxicityRequest:
    """The request for one plate.

    Args:
        layout: the plate.
        lots: sample name to the identity of its effector tube; the reference effector has its own.
        use_until: end of use of the bench liquids.
        densities: cells per µL of effector tubes that differ from `EFFECTORS_PER_UL`, by sample name.
        errors: largest predicted errors of the cells of a well; the package's own when None.
        recipe: of the effectors; its revision stands on the run sheet and in the run's record.
    """
    samples = [*layout.samples, *([layout.reference] if layout.reference else [])]
    known = densities or {}
    return CytotoxicityRequest(
        name=f"LDH release {layout.barcode} against {layout.target_line}",
        layout=layout,
        effectors=tuple(
            EffectorTube(
                sample=s.name,
                lot=lots.get(s.name, REFERENCE_LOT),
                cells_per_ul=known.get(s.name, EFFECTORS_PER_UL),
            )
            for s in samples
        ),
        targets_per_ul=layout.targets_per_well / 100,
        detection_barcode=detection_barcode(layout),
        use_until=use_until,
        error_limits=errors or ErrorLimits(),
        recipe_revision=recipe.revision_id if recipe else None,
    )


async def plan_plate(
    session: Session, layout: PlateLayout, lots: dict[str, str], *, recipe: Recipe | None = None, reservation: str = ""
) -> CytotoxicityPlan:
    """Plan one plate.

    Args:
        session: bench and lots.
        layout: the plate.
        lots: sample name to the identity of its effector tube.
        recipe: of the effectors; its limits of predicted error hold, the package's own when None.
        reservation: name the plan was reserved under; found by itself when the plan is the same.

    Raises:
        AssayError: a target line may not be used today, with the reason.
        BenchError: the bench's reader does not read what the method needs.
        PlanError: the plate does not fit the bench.
        ShortageError: no valid lot of a bench liquid holds enough.
    """
    require_reader(layout, session.bench_file)
    check_lines(layout.lines, session.lines, await session.today())
    now = await session.bench.clock.now()
    errors = allowed_errors(recipe.error_limits if recipe else ErrorLimits(), session.bench_file.deck)
    request = plate_request(layout, lots, (now + timedelta(days=1)).date(), errors=errors, recipe=recipe)
    return plan_on_stock(
        session,
        now,
        lambda stocks: plan_cytotoxicity(request, stocks, session.bench_file.deck, session.catalogue),
        reservation=reservation,
    )


def read_request(layout: PlateLayout) -> ReadRequest:
    """What the reader measures, as the method says."""
    read = method_named(layout.method).read
    return ReadRequest(
        barcode=detection_barcode(layout),
        load_name=DETECTION_PLATE,
        mode=read.mode,
        wavelength_nm=read.wavelength_nm,
        reference_wavelength_nm=read.reference_wavelength_nm,
        excitation_nm=read.excitation_nm,
        emission_nm=read.emission_nm,
    )


def require_reader(layout: PlateLayout, bench: BenchFile) -> None:
    """Refuse a plate the bench's reader cannot read, before anything is pipetted.

    Raises:
        BenchError: mode or wavelength are not among those of the bench file.
    """
    if method_named(layout.method).read.mode in PLATE_MODES:
        reader = bench.plate_reader
        named = reader.model or f"the reader of bench {bench.name}"
        remedy = _other_ways(layout, bench)
        require_readable(read_request(layout), reader.modes, f"method {layout.method}: {named}", remedy=remedy)


def _other_ways(layout: PlateLayout, bench: BenchFile) -> str:
    """What can be done about a plate the reader of a bench cannot read."""
    modes = bench.plate_reader.modes
    others = [
        name
        for name, method in methods().items()
        if method.read.mode in PLATE_MODES
        and not lacking(read_request(layout.model_copy(update={"method": name})), modes)
    ]
    told = f"it can read {', '.join(others)}" if others else "it can read none of the shipped methods"
    return (
        f"plan the plate for a bench with another reader; {told}; a reader with filters made to order: write what it "
        f"has into plate_reader.modes of devices/{bench.name}.yaml"
    )


def discarded_wells(records: Records, layout: PlateLayout) -> tuple[Exclusion, ...]:
    """Wells of an assay plate, or of the plate read from it, that a person discarded after an interrupted run."""
    read = {place.well for place in layout.wells if place.role not in UNREAD}
    found: dict[str, Exclusion] = {}
    for barcode in (layout.barcode, detection_barcode(layout)):
        for one in records.decisions.discarded(barcode):
            if one.well in read:
                found.setdefault(one.well, Exclusion(well=one.well, reason=one.reason, by=one.by, at=one.at))
    return tuple(found.values())


def reference_history(records: Records, layout: PlateLayout) -> tuple[float, ...]:
    """Mean lysis (%) of the reference effector on earlier plates of this method and line, oldest first.

    Rejected plates are left out: a plate that failed says nothing of the reference.
    """
    found = []
    for result in records.results.results():
        same = (result.method, result.target_line) == (layout.method, layout.target_line)
        if same and result.verdict != "rejected" and result.barcode != layout.barcode:
            mean = reference_lysis(result.lysis, result.layout)
            found += [mean] if mean is not None else []
    return tuple(found)


def analyse_reading(
    layout: PlateLayout, reading: Reading, history: Sequence[float] = (), exclusions: Sequence[Exclusion] = ()
) -> AssayResult:
    """Lysis, quality, curves and verdict of one plate.

    Args:
        layout: the plate.
        reading: what was read of it.
        history: mean lysis of the reference effector on earlier plates.
        exclusions: wells that do not count, `discarded_wells` for example.

    Raises:
        ReadingError: the reading does not belong to the layout.
    """
    if reading.barcode != detection_barcode(layout):
        raise AssayError(
            f"the reading is of plate {reading.barcode}, the layout belongs to {detection_barcode(layout)}",
            remedy="read the right plate",
        )
    return analyse(
        layout, reading.values, saturated=reading.saturated, reference_history=history, exclusions=exclusions
    )
