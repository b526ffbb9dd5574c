"""Options of `nkloop design cytotoxicity`: how each is written, and what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Arms = Annotated[
    str,
    typer.Option("--arms", help="Arms between commas: ARM, ARM/DONOR, or ARM/DONOR:PURITY:VIABILITY:CD16 in percent."),
]
Lines = Annotated[str, typer.Option("--lines", help="Target lines of the panel, between commas.")]
Ratios = Annotated[str, typer.Option("--ratios", help="Nominal E:T, highest first, between commas.")]
PlateWells = Annotated[int, typer.Option("--plate", help="Wells of a plate: 96 or 384.")]
Kind = Annotated[str, typer.Option("--kind", help="killing, adcc, car or drug-matrix.")]
Method = Annotated[str, typer.Option("--method", help="Assay method, for example ldh.")]
Reference = Annotated[str, typer.Option("--reference", help="Reference effector, written as an arm; empty for none.")]
Antibody = Annotated[
    list[str] | None, typer.Option("--antibody", help="NAME:DOSE[,DOSE]:UNIT; may be given several times.")
]
Isotype = Annotated[list[str] | None, typer.Option("--isotype", help="Isotype control, NAME:DOSE:UNIT.")]
Drug = Annotated[list[str] | None, typer.Option("--drug", help="NAME:DOSE,DOSE,…:UNIT; may be given several times.")]
Untransduced = Annotated[
    str, typer.Option("--untransduced", help="Arms that are the control of the CAR arms, between commas.")
]
AntigenNegative = Annotated[
    str, typer.Option("--antigen-negative", help="Lines without the antigen of the CAR, between commas.")
]
Replicates = Annotated[int, typer.Option("--replicates", help="Wells per condition.", min=1, max=12)]
EffectorReplicates = Annotated[
    int, typer.Option("--effector-replicates", help="Effector-only wells per E:T and arm.", min=1, max=12)
]
Controls = Annotated[
    int, typer.Option("--controls", help="Spontaneous and maximum wells per line and plate.", min=2, max=24)
]
Edge = Annotated[str, typer.Option("--edge", help="ring: medium in the outer wells; all: use them.")]
Arrangement = Annotated[
    str, typer.Option("--arrangement", help="columns (the robot's map), blocks (randomised) or auto.")
]
Seed = Annotated[int | None, typer.Option("--seed", help="Randomise; the same seed gives the same plates.")]
Targets = Annotated[float, typer.Option("--targets", help="Target cells per well.", min=1)]
Contact = Annotated[float, typer.Option("--contact", help="Contact time in minutes.", min=1)]
Channels = Annotated[int, typer.Option("--channels", help="Wells given effectors at once: 1 or 8.")]
Seconds = Annotated[float, typer.Option("--seconds", help="Time of one stroke in seconds.", min=0.1)]
Name = Annotated[str, typer.Option("--name", help="Plates are called NAME-1, NAME-2, …")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the layout as a long table.")]
Grid = Annotated[Path | None, typer.Option("--grid", help="Write the layout as grids for a spreadsheet.")]
Picture = Annotated[
    Path | None, typer.Option("--picture", help="Write the plate maps: .html, or .svg and .png per plate.")
]
ALLOWED: dict[str, tuple[object, ...]] = {
    "--plate": (96, 384),
    "--kind": ("killing", "adcc", "car", "drug-matrix"),
    "--edge": ("ring", "all"),
    "--arrangement": ("auto", "columns", "blocks"),
    "--channels": (1, 8),
}
"""What options with a choice take."""


def require_allowed(**given: object) -> None:
    """Refuse a choice that is none; each is named as its option is.

    Raises:
        AssayError: every one is named with what is allowed.
    """
    from nkloop.errors import AssayError, Problem

    problems = [
        Problem(f"'{value}' is not allowed", f"--{name}", f"use one of: {', '.join(map(str, ALLOWED[f'--{name}']))}")
        for name, value in given.items()
        if value not in ALLOWED[f"--{name}"]
    ]
    if problems:
        raise AssayError.from_problems(problems)
