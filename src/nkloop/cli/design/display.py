"""A design as a person reads it: its plates, and the cells to prepare with what is counted in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nkloop.assays.designs import CellDemand, Design


def cells_sentence(one: CellDemand) -> str:
    """`arm-1/U1: prepare 1.28e6 cells, 1.18e6 of them viable; 1.11e6 go into 30 wells.`"""
    from nkloop.quantities.display import number

    viable = "all counted as viable" if one.role == "target" else f"{number(one.viable_needed)} of them viable"
    wells = f"{number(one.cells_in_wells)} go into {one.wells} wells"
    return f"{one.name}: prepare {number(one.cells_needed)} cells, {viable}; {wells}."


def show(made: Design, written: tuple[Path, ...], *, whose: str) -> None:
    """Print a design.

    Args:
        made: the design.
        written: files that were written.
        whose: who takes the cells to prepare: a bench, or a person.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from nkloop.quantities.display import number

    console = Console()
    plates = Table("plate", "lines", "arms", "wells used", "seed", title="Plates", title_justify="left")
    for layout in made.layouts:
        used = sum(w.role not in {"empty", "medium_ring"} for w in layout.wells)
        arms = ", ".join(s.name for s in layout.samples)
        seed = "fixed" if layout.seed is None else str(layout.seed)
        plates.add_row(layout.barcode, ", ".join(layout.lines), escape(arms), f"{used} of {layout.plate_wells}", seed)
    console.print(plates)
    heads = ("cells", "role", "wells", "in wells", "prepare", "of them viable")
    cells = Table(*heads, title=f"Cells to prepare, {whose}", title_justify="left")
    for need in made.demand:
        counts = (need.cells_in_wells, need.cells_needed, need.viable_needed)
        cells.add_row(escape(need.name), need.role, str(need.wells), *(number(count) for count in counts))
    console.print(cells)
    for told in _counted(made):
        console.print(told, soft_wrap=True)
    console.print(f"Effectors are given within about {made.stagger_minutes:.1f} min (estimated).")
    console.print(f"Robot: {made.robot}", soft_wrap=True)
    for warning in made.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)
    if not written:
        console.print("Write the layout with --csv FILE, the map with --picture FILE.")


def _counted(made: Design) -> tuple[str, ...]:
    """What the numbers count."""
    beyond = {one.role: one.beyond for one in made.demand}
    told = beyond.values() if len(set(beyond.values())) == 1 else [f"{role}s: {what}" for role, what in beyond.items()]
    return (
        "Prepare counts all effectors, viable or not, as nominal E:T does; targets are counted as viable.",
        f"Counted beyond the wells: {'; '.join(dict.fromkeys(told))}.",
    )
