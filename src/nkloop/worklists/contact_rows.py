"""How many effectors and targets stand in every well of a killing assay when the contact begins, and how surely."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nkloop.assays.models import PlateLayout
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.composition import composition_row
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.ledger_check import follow
from nkloop.worklists.models import Uncertainty, Worklist
from nkloop.worklists.plans import CompositionRow
from nkloop.worklists.uncertainty import predict

PLATE = "assay"


def contact_rows(
    worklist: Worklist, layout: PlateLayout, catalogue: LabwareLookup, deck: BenchDeck
) -> tuple[CompositionRow, ...]:
    """Cells wanted by the layout against cells the ledger finds before the first incubation, per well.

    The predicted errors are those of the cell density in the well, which the limits of a plate are held to.

    Args:
        worklist: the run that seeds the plate.
        layout: what is wanted.
        catalogue: labware types by load name.
        deck: gives the accuracy tables that the errors are predicted with.

    Raises:
        PlanError: a volume is below the accuracy table of its pipette.
    """
    seeding = _before_contact(worklist)
    ledger = follow(seeding, catalogue)
    held = {well: contents.amounts for nickname, well, contents in ledger.wells() if nickname == PLATE}
    errors = predict(seeding, catalogue, deck, [(PLATE, well) for well in held])
    return tuple(_rows(layout, held, {well: errors.get((PLATE, well), {}) for well in held}))


def _before_contact(worklist: Worklist) -> Worklist:
    """Its steps up to the first incubation: lysis and detection afterwards change volumes, not what met."""
    ends = (n for n, step in enumerate(worklist.steps) if step.operator and step.operator.kind == "incubate")
    return worklist.model_copy(update={"steps": worklist.steps[: next(ends, len(worklist.steps))]})


def _rows(
    layout: PlateLayout, held: Mapping[str, Mapping[str, float]], errors: Mapping[str, Mapping[str, Uncertainty]]
) -> Iterator[CompositionRow]:
    for one in sorted(layout.wells, key=lambda w: (w.well[0], int(w.well[1:]))):
        amounts = held.get(one.well, {})
        cells = {name: amount for name, amount in amounts.items() if name.startswith(("effector:", "target:"))}
        for name, found in sorted(cells.items()):
            kind, _, who = name.partition(":")
            ratio = one.nominal_ratio or 0.0
            wanted = layout.targets_per_well * (ratio if kind == "effector" else 1.0)
            if wanted > 0:
                yield composition_row(
                    f"{one.well} ({one.role.replace('_', ' ')})",
                    f"{kind} {who}",
                    target=wanted,
                    expected=round(found, 1),
                    unit="cells",
                    share=found / wanted,
                    error=errors.get(one.well, {}).get(name),
                )
