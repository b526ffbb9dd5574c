"""Where wells stand: block after block of columns, at random within a block or in order."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nkloop.assays.designs.contents import Wanted
from nkloop.assays.designs.models import Edge
from nkloop.assays.models import LayoutWell

ROWS = {96: "ABCDEFGH", 384: "ABCDEFGHIJKLMNOP"}
COLUMNS = {96: 12, 384: 24}


def places(plate_wells: int, edge: Edge) -> tuple[str, ...]:
    """Wells that may hold something, column by column; with a ring the outer wells hold medium only."""
    rows, columns = ROWS[plate_wells], COLUMNS[plate_wells]
    inner = (rows[1:-1], range(2, columns)) if edge == "ring" else (rows, range(1, columns + 1))
    return tuple(f"{row}{column}" for column in inner[1] for row in inner[0])


def placed(
    wells: Sequence[Wanted], plate_wells: int, edge: Edge, chance: random.Random | None
) -> tuple[LayoutWell, ...]:
    """Every well of the plate, row by row; wells of one block stand together, so a drift hits whole replicates.

    Every block holds one replicate of everything and its share of the controls. With `chance` the order within each
    block is random, without it is the order given.
    """
    free = iter(places(plate_wells, edge))
    made: dict[str, LayoutWell] = {}
    for block in sorted({w.block for w in wells}):
        members = [w for w in wells if w.block == block]
        if chance is not None:
            chance.shuffle(members)
        for wanted in members:
            name = next(free)
            made[name] = wanted.at(name, blocks=True)
    allowed = set(places(plate_wells, edge))
    for row in ROWS[plate_wells]:
        for column in range(1, COLUMNS[plate_wells] + 1):
            name = f"{row}{column}"
            made.setdefault(name, LayoutWell(well=name, role="empty" if name in allowed else "medium_ring"))
    return tuple(made[f"{row}{c}"] for row in ROWS[plate_wells] for c in range(1, COLUMNS[plate_wells] + 1))
