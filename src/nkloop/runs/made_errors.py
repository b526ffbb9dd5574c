"""How far off a medium is that an earlier run prepared: predicted from what that run really did."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nkloop.errors import PlanError, RecordError
from nkloop.inventory import Inventory
from nkloop.records import Records
from nkloop.runs.contents import known_contents
from nkloop.runs.possible import reached_wells
from nkloop.runs.stock import is_recorded, opened
from nkloop.runs.ways import fates_in
from nkloop.worklists.base_errors import assumed
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.carry_over import brought_in
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.dosing_event import TOLERANCE_PERCENT
from nkloop.worklists.models import PreparedErrors, Worklist
from nkloop.worklists.plans import MediumSource
from nkloop.worklists.uncertainty import predict
from nkloop.workspace import Workspace

_TOLERANCE = TOLERANCE_PERCENT / 100


def with_recorded_errors(
    base: MediumSource, records: Records, lots: Inventory, catalogue: LabwareLookup, deck: BenchDeck
) -> MediumSource:
    """The medium with the predicted errors of the run that prepared it, or that a later run on it was planned with.

    Where no run tells them, or it was prepared in pieces after an interruption, they are assumed, and it says so. What
    stock buffers brought into it comes from the run that prepared it.

    Args:
        base: as it stands.
        records: with the runs.
        lots: of the bench, with the buffers of their stocks.
        catalogue: labware types by load name.
        deck: of the bench.
    """
    found: MediumSource | None = None
    for run in reversed(records.journal.with_labware((base.barcode,))):
        worklist = records.journal.worklist(run.worklist_hash)
        item = next((item for item in worklist.deck if item.barcode == base.barcode), None)
        if item is None or run.state == "planned":
            continue
        spot = item.nickname, base.well
        stood = any((one.labware, one.well) == spot for one in worklist.fillings)
        done = [fate.step for fate in fates_in(run, worklist, records) if fate.what == "done"]
        reached = any(spot in reached_wells(step, worklist, catalogue, is_target=True) for step in done)
        if reached and stood:
            return found or assumed(base, f"run {run.id} made only a part of it")
        if reached:
            did = worklist.model_copy(update={"steps": tuple(done)})
            # who drew from it may have been planned before it was made, and then knows nothing of its errors
            made = (
                found
                if found is not None and found.prepared_by
                else _predicted(base, did, spot, run.id, catalogue, deck)
            )
            return made.model_copy(update={"brought": brought_in(did, spot, lots, catalogue)})
        if found is None and stood and (known := _planned_with(worklist, base.lot)) is not None:
            told = {"errors": known.errors, "errors_from": known.origin, "prepared_by": known.run}
            found = base.model_copy(update=told)
    return found or assumed(base, "no run tells how it was made")


def recorded_base(
    base: MediumSource,
    lacks: Collection[str],
    workspace: Workspace,
    lots: Inventory,
    catalogue: LabwareLookup,
    deck: BenchDeck,
) -> tuple[MediumSource | None, MediumSource]:
    """The base medium as it stands, with the predicted errors of the run that prepared it in this workspace.

    Looked for under the barcode of the dosing and those that were taken in its place, the last one first.

    Args:
        base: as a dosing takes it.
        lacks: components that must not be in it, because the arms add them.
        workspace: with its records.
        lots: of the bench, with the buffers of their stocks.
        catalogue: labware types by load name.
        deck: of the bench.

    Returns:
        None when no run prepared one, or none serves: too little is left, or other contents. And the base medium as it
        would be made anew, in a vessel of its own, which tells the last one that does not serve and why.
    """
    if not is_recorded(workspace):
        return None, base
    with opened(workspace) as records:
        *used, free = records.vessels.of_series(base.barcode)
        told = ""
        for barcode in reversed(used):
            named = base.model_copy(update={"barcode": barcode})
            made, why = _as_recorded(named, lacks, records, lots, catalogue, deck)
            if made is not None:
                return made, base.model_copy(update={"barcode": free})
            told = told or (passed_over(barcode, why) if why else "")
    return None, base.model_copy(update={"barcode": free, "passed_over": told})


def passed_over(barcode: str, why: str) -> str:
    """How a plan tells that a recorded base medium does not serve."""
    return f"{barcode} that stands there is passed over, because {why}"


def _as_recorded(
    base: MediumSource,
    lacks: Collection[str],
    records: Records,
    lots: Inventory,
    catalogue: LabwareLookup,
    deck: BenchDeck,
) -> tuple[MediumSource | None, str]:
    """A base medium of this very barcode where it serves; why it does not, empty when none is known to stand there."""
    try:
        known = known_contents(records, catalogue, deck, base.barcode)
    except RecordError:
        return None, ""
    held = known.wells.get(base.well)
    if held is None or held.volume_ul <= 0:
        return None, ""
    # what it stands there with in reserve may be used up; the vessel it stands in keeps back what it keeps back
    planned, stands_in = (catalogue[name].dead_volume_ul for name in (base.load_name, known.load_name))
    needed = base.volume_ul - 2 * planned + stands_in
    if held.volume_ul < needed:
        return None, f"{held.volume_ul / 1000:.4g} mL of it are left, {needed / 1000:.4g} mL are needed"
    if not _serves(held.per_ul, base.per_ul, lacks):
        return None, "it holds another medium than the one needed"
    stands = {"load_name": known.load_name, "per_ul": held.per_ul, "volume_ul": round(held.volume_ul, 3)}
    return with_recorded_errors(base.model_copy(update=stands), records, lots, catalogue, deck), ""


def _serves(held: Mapping[str, float], wanted: Mapping[str, float], lacks: Collection[str]) -> bool:
    near = all(abs(held.get(name, 0.0) - value) <= _TOLERANCE * value for name, value in wanted.items())
    return near and not any(held.get(name, 0.0) for name in lacks)


def _predicted(
    base: MediumSource, did: Worklist, spot: tuple[str, str], run: str, catalogue: LabwareLookup, deck: BenchDeck
) -> MediumSource:
    try:
        errors = predict(did, catalogue, deck, [spot])[spot]
    except PlanError as error:
        return assumed(base, error.problems[0].message)
    told = {"errors": errors, "errors_from": f"of run {run}, which prepared it", "prepared_by": run}
    return base.model_copy(update=told)


def _planned_with(worklist: Worklist, lot: str) -> PreparedErrors | None:
    return next((one for one in worklist.prepared if lot in one.lots), None)
