"""Cells to prepare of a design that a robot can carry out: those its plan takes on a bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nkloop.assays.designs import Design

BY_HAND = "pipetted by hand"


def with_robot_needs(made: Design, workspace: Path, bench: str) -> tuple[Design, str]:
    """The design with the cells that `nkloop plan cytotoxicity` asks for on this bench, and whose they are.

    A design that no robot can carry out, or that this bench cannot (no lots, another reader, too many cells in one
    tube), keeps what a person takes, and says so.
    """
    from nkloop.cli.common import find_workspace
    from nkloop.drivers.bench import load_bench_file
    from nkloop.errors import NkloopError
    from nkloop.labware import Catalogue
    from nkloop.runs.cell_needs import cells_to_prepare, plan_samples
    from nkloop.runs.session import bench_path
    from nkloop.runs.stock import planning_lots

    if not made.can_run_on_robot:
        return made, BY_HAND
    try:
        found = find_workspace(workspace)
        file = load_bench_file(bench_path(found, bench))
        inventory, catalogue = planning_lots(found, bench), Catalogue.load(found.labware)
        plans = [plan_samples(layout, inventory, file.deck, catalogue) for layout in made.layouts]
    except NkloopError as error:
        told = f"bench {bench} cannot carry it out, so the cells are counted for pipetting by hand: {error}"
        return made.model_copy(update={"warnings": (*made.warnings, told)}), BY_HAND
    return made.model_copy(update={"demand": cells_to_prepare(made.layouts, plans)}), f"as bench {bench} takes them"
