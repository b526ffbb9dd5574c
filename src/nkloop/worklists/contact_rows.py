"""How many effectors and targets stand in every well of a killing assay when the contact begins."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.assays.models import PlateLayout
from nkloop.worklists.contents import LabwareLookup, Ledger
from nkloop.worklists.models import Worklist
from nkloop.worklists.plans import CompositionRow

PLATE = "assay"


def contact_rows(worklist: Worklist, layout: PlateLayout, catalogue: LabwareLookup) -> tuple[CompositionRow, ...]:
    """Cells wanted by the layout against cells the ledger finds before the first incubation, per well."""
    ledger = Ledger.of(worklist, catalogue)
    for step in worklist.steps:
        if step.operator is not None and step.operator.kind == "incubate":
            break
        ledger.apply(step)
    held = {well: contents.amounts for nickname, well, contents in ledger.wells() if nickname == PLATE}
    return tuple(_rows(layout, held))


def _rows(layout: PlateLayout, held: dict[str, dict[str, float]]) -> Iterator[CompositionRow]:
    for one in sorted(layout.wells, key=lambda w: (w.well[0], int(w.well[1:]))):
        amounts = held.get(one.well, {})
        cells = {name: amount for name, amount in amounts.items() if name.startswith(("effector:", "target:"))}
        for name, found in sorted(cells.items()):
            kind, _, who = name.partition(":")
            ratio = one.nominal_ratio or 0.0
            wanted = layout.targets_per_well * (ratio if kind == "effector" else 1.0)
            if wanted > 0:
                yield CompositionRow(
                    destination=f"{one.well} ({one.role.replace('_', ' ')})",
                    component=f"{kind} {who}",
                    target=wanted,
                    expected=round(found, 1),
                    unit="cells",
                    deviation_percent=round(100 * (found / wanted - 1), 2) + 0.0,
                )
