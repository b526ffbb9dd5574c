"""`nkloop design cytotoxicity`: plates for killing, ADCC, CAR and drug or antibody matrices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nkloop.cli.common import BenchOption, JsonFlag, WorkspaceOption, find_method, print_json, write_file
from nkloop.cli.design import options

if TYPE_CHECKING:
    from nkloop.assays.designs import Design


def cytotoxicity(
    arms: options.Arms,
    lines: options.Lines = "K-562",
    ratios: options.Ratios = "10,5,2.5,1.25,0.625,0.3125",
    plate: options.PlateWells = 96,
    kind: options.Kind = "killing",
    method: options.Method = "ldh",
    reference: options.Reference = "reference effector/PB-NK:92:88",
    antibody: options.Antibody = None,
    isotype: options.Isotype = None,
    drug: options.Drug = None,
    untransduced: options.Untransduced = "",
    antigen_negative: options.AntigenNegative = "",
    replicates: options.Replicates = 3,
    effector_replicates: options.EffectorReplicates = 2,
    controls: options.Controls = 6,
    edge: options.Edge = "ring",
    arrangement: options.Arrangement = "auto",
    seed: options.Seed = None,
    targets: options.Targets = 1e4,
    contact: options.Contact = 240,
    channels: options.Channels = 8,
    seconds: options.Seconds = 10,
    name: options.Name = "plate",
    csv: options.Csv = None,
    grid: options.Grid = None,
    picture: options.Picture = None,
    bench: BenchOption = "virtual",
    workspace: WorkspaceOption = Path(),
    json_output: JsonFlag = False,
) -> None:
    """Design the plates of a killing assay: every plate with all its controls, and the cells it takes."""
    from nkloop.assays.designs import DesignRequest, Dispensing, design
    from nkloop.cli.design.display import show
    from nkloop.cli.design.request import numbers, samples, split, treatments
    from nkloop.cli.design.robot_needs import with_robot_needs

    options.require_allowed(plate=plate, kind=kind, edge=edge, arrangement=arrangement, channels=channels)
    request = {
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
        "treatments": treatments(antibody, isotype, drug),
        "antigen_negative": split(antigen_negative),
        "edge": edge,
        "arrangement": arrangement,
        "seed": seed,
        "targets_per_well": targets,
        "contact_minutes": contact,
        "dispensing": Dispensing.model_validate({"channels": channels, "seconds": seconds}),
        "name": name,
    }
    made = design(DesignRequest.model_validate(request), find_method(method, workspace))
    made, whose = with_robot_needs(made, workspace, bench)
    written = _written(made, csv, grid, picture)
    if json_output:
        print_json({"seed": seed, **made.model_dump(mode="json")})
    else:
        show(made, written, whose=whose)


def _written(made: Design, csv: Path | None, grid: Path | None, picture: Path | None) -> tuple[Path, ...]:
    """Write the files asked for; returns their paths."""
    from nkloop.assays.layouts import layouts_to_csv

    if csv is not None:
        write_file(csv, layouts_to_csv(made.layouts))
    if grid is not None:
        write_file(grid, layouts_to_csv(made.layouts, "grid"))
    pictures = _draw(made, picture) if picture is not None else ()
    return tuple(path for path in (csv, grid, *pictures) if path is not None)


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
