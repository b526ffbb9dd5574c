"""`nkloop design cytotoxicity`: plates for killing, ADCC, CAR and drug or antibody matrices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nkloop.cli.common import JsonFlag, WorkspaceOption, find_method, print_json, write_file

if TYPE_CHECKING:
    from nkloop.assays.designs import Design

Kind = Literal["killing", "adcc", "car", "drug-matrix"]


def cytotoxicity(
    arms: Annotated[
        str,
        typer.Option(
            "--arms", help="Arms between commas: ARM, ARM/DONOR, or ARM/DONOR:PURITY:VIABILITY:CD16 in percent."
        ),
    ],
    lines: Annotated[str, typer.Option("--lines", help="Target lines of the panel, between commas.")] = "K-562",
    ratios: Annotated[
        str, typer.Option("--ratios", help="Nominal E:T, highest first, between commas.")
    ] = "10,5,2.5,1.25,0.625,0.3125",
    plate: Annotated[int, typer.Option("--plate", help="Wells of a plate: 96 or 384.")] = 96,
    kind: Annotated[str, typer.Option("--kind", help="killing, adcc, car or drug-matrix.")] = "killing",
    method: Annotated[str, typer.Option("--method", help="Assay method, for example ldh.")] = "ldh",
    reference: Annotated[
        str, typer.Option("--reference", help="Reference effector, written as an arm; empty for none.")
    ] = "reference effector/PB-NK:92:88",
    antibody: Annotated[
        list[str] | None, typer.Option("--antibody", help="NAME:DOSE[,DOSE]:UNIT; may be given several times.")
    ] = None,
    isotype: Annotated[list[str] | None, typer.Option("--isotype", help="Isotype control, NAME:DOSE:UNIT.")] = None,
    drug: Annotated[
        list[str] | None, typer.Option("--drug", help="NAME:DOSE,DOSE,…:UNIT; may be given several times.")
    ] = None,
    untransduced: Annotated[
        str, typer.Option("--untransduced", help="Arms that are the control of the CAR arms, between commas.")
    ] = "",
    antigen_negative: Annotated[
        str, typer.Option("--antigen-negative", help="Lines without the antigen of the CAR, between commas.")
    ] = "",
    replicates: Annotated[int, typer.Option("--replicates", help="Wells per condition.", min=1, max=12)] = 3,
    effector_replicates: Annotated[
        int, typer.Option("--effector-replicates", help="Effector-only wells per E:T and arm.", min=1, max=12)
    ] = 2,
    controls: Annotated[
        int, typer.Option("--controls", help="Spontaneous and maximum wells per line and plate.", min=2, max=24)
    ] = 6,
    edge: Annotated[str, typer.Option("--edge", help="ring: medium in the outer wells; all: use them.")] = "ring",
    arrangement: Annotated[
        str, typer.Option("--arrangement", help="columns (the robot's map), blocks (randomised) or auto.")
    ] = "auto",
    seed: Annotated[int | None, typer.Option("--seed", help="Randomise; the same seed gives the same plates.")] = None,
    targets: Annotated[float, typer.Option("--targets", help="Target cells per well.", min=1)] = 1e4,
    contact: Annotated[float, typer.Option("--contact", help="Contact time in minutes.", min=1)] = 240,
    channels: Annotated[int, typer.Option("--channels", help="Wells given effectors at once: 1 or 8.")] = 8,
    seconds: Annotated[float, typer.Option("--seconds", help="Time of one stroke in seconds.", min=0.1)] = 10,
    name: Annotated[str, typer.Option("--name", help="Plates are called NAME-1, NAME-2, …")] = "plate",
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the layout as a long table.")] = None,
    grid: Annotated[Path | None, typer.Option("--grid", help="Write the layout as grids for a spreadsheet.")] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write the plate maps: .html, or .svg and .png per plate.")
    ] = None,
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Design the plates of a killing assay: every plate with all its controls, and the cells it takes."""
    from nkloop.assays.designs import DesignRequest, Dispensing, design
    from nkloop.assays.layouts import layouts_to_csv
    from nkloop.cli.design.request import numbers, samples, series, split

    choices = {"--plate": (plate, (96, 384)), "--kind": (kind, ("killing", "adcc", "car", "drug-matrix")),
               "--edge": (edge, ("ring", "all")), "--arrangement": (arrangement, ("auto", "columns", "blocks")),
               "--channels": (channels, (1, 8))}  # fmt: skip
    for option, (given, allowed) in choices.items():
        _refuse_unknown(option, given, allowed)
    request = DesignRequest.model_validate(
        {
            "kind": kind,
            "method": method,
            "plate_wells": plate,
            "samples": samples(split(arms), split(untransduced), kind),
            "reference": samples([reference], (), "killing")[0] if reference.strip() else None,
            "lines": split(lines),
            "ratios": numbers(ratios, "--ratios"),
            "replicates": replicates,
            "effector_replicates": effector_replicates,
            "control_replicates": controls,
            "treatments": (
                *series(antibody or (), "antibody"),
                *series(isotype or (), "isotype"),
                *series(drug or (), "drug"),
            ),
            "antigen_negative": split(antigen_negative),
            "edge": edge,
            "arrangement": arrangement,
            "seed": seed,
            "targets_per_well": targets,
            "contact_minutes": contact,
            "dispensing": Dispensing.model_validate({"channels": channels, "seconds": seconds}),
            "name": name,
        }
    )
    made = design(request, find_method(method, workspace))
    if csv is not None:
        write_file(csv, layouts_to_csv(made.layouts))
    if grid is not None:
        write_file(grid, layouts_to_csv(made.layouts, "grid"))
    pictures = _draw(made, picture) if picture is not None else ()
    if json_output:
        print_json({"seed": seed, **made.model_dump(mode="json")})
    else:
        _show(made, tuple(p for p in (csv, grid, *pictures) if p is not None))


def _refuse_unknown(option: str, given: object, allowed: tuple[object, ...]) -> None:
    if given not in allowed:
        from nkloop.errors import AssayError

        raise AssayError(
            f"'{given}' is not allowed", where=option, remedy=f"use one of: {', '.join(str(a) for a in allowed)}"
        )


def _draw(made: Design, path: Path) -> tuple[Path, ...]:
    """Write the maps; several plates as SVG or PNG get one file each, numbered."""
    from nkloop.errors import AssayError
    from nkloop.reports.layout_map import layout_png, layout_svg, layouts_html

    suffix = path.suffix.lower()
    if suffix == ".html":
        write_file(path, layouts_html(made.layouts))
        return (path,)
    if suffix not in {".svg", ".png"}:
        raise AssayError(
            f"a picture cannot be written as '{path.suffix}'", where="--picture", remedy="use .svg, .png or .html"
        )
    several = len(made.layouts) > 1
    written = []
    for number, layout in enumerate(made.layouts, start=1):
        target = path.with_stem(f"{path.stem}-{number}") if several else path
        if suffix == ".svg":
            write_file(target, layout_svg(layout))
        else:
            write_file(target, layout_png(layout))
        written.append(target)
    return tuple(written)


def _show(made: Design, written: tuple[Path, ...]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    plates = Table("plate", "lines", "arms", "wells used", "seed", title="Plates", title_justify="left")
    for layout in made.layouts:
        used = sum(w.role not in {"empty", "medium_ring"} for w in layout.wells)
        arms = ", ".join(s.name for s in layout.samples)
        seed = "fixed" if layout.seed is None else str(layout.seed)
        plates.add_row(layout.barcode, ", ".join(layout.lines), escape(arms), f"{used} of {layout.plate_wells}", seed)
    console.print(plates)
    cells = Table("cells", "role", "wells", "needed", title="Cells to prepare", title_justify="left")
    for need in made.demand:
        cells.add_row(escape(need.name), need.role, str(need.wells), f"{need.cells_needed:.3g}")
    console.print(cells)
    console.print(f"Effectors are given within about {made.stagger_minutes:.1f} min (estimated).")
    console.print(f"Robot: {made.robot}", soft_wrap=True)
    for warning in made.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    for path in written:
        console.print(f"Written: {path}", soft_wrap=True)
    if not written:
        console.print("Write the layout with --csv FILE, the map with --picture FILE.")
