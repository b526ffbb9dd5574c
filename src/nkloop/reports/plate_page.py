"""The report of one killing-assay plate: verdict, numbers per sample, map, quality, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from nkloop.assays.methods import method_named
from nkloop.assays.models import AssayResult
from nkloop.assays.summary import sample_rows
from nkloop.errors import AssayError
from nkloop.reports import theme
from nkloop.reports.numbers import moment
from nkloop.reports.page import picture, render
from nkloop.reports.plate_map import ROLE_CODES, plate_parts
from nkloop.reports.plate_pictures import plate_pictures


@theme.unchecked
def plate_html(result: AssayResult, history: Sequence[float] = ()) -> str:
    """One self-contained HTML page: no script, no request, equal text for an equal result.

    Args:
        result: the analysed plate.
        history: mean lysis of the reference effector on earlier plates, oldest first, for its control chart.
    """
    pictures = plate_pictures(result, history)
    del pictures["Plate"]
    used = {well.role for well in result.layout.wells}
    return render(
        "plate.html",
        running_head=f"Plate {result.barcode}",
        title=f"Plate {result.barcode}",
        simulated=False,
        result=result,
        samples=sample_rows(result),
        all_samples=() if result.all_wells is None else sample_rows(result.all_wells),
        maps=[picture(part) for part in plate_parts(result, name="plate-map")],
        charts=[
            (heading, picture(theme.svg(chart, name=f"chart-{number}", description=heading)))
            for number, (heading, chart) in enumerate(pictures.items(), start=1)
        ],
        roles=[said for role, said in ROLE_CODES.items() if role in used and said[0]],
        names=[(number, s.name) for number, s in enumerate(result.layout.samples, start=1)],
        facts=_facts(result),
        flagged=[well for well in result.lysis if well.flags],
    )


def _facts(result: AssayResult) -> list[tuple[str, str]]:
    layout, read = result.layout, result.reading
    try:
        title = method_named(result.method).title
    except AssayError:
        # a lab's own method, whose file is not at hand where the report is written
        title = result.method
    facts = [
        ("Method", title),
        ("Target lines", ", ".join(layout.lines)),
        ("Targets per well", f"{layout.targets_per_well:g}"),
        ("Contact", f"{layout.contact_minutes:g} min"),
        ("Layout seed", "none, fixed order" if layout.seed is None else str(layout.seed)),
    ]
    if read is not None:
        facts += [
            ("Reading", f"{read.file} ({read.format})"),
            ("File (SHA-256)", read.file_sha256),
            ("Instrument", " ".join(p for p in (read.instrument, read.serial_number) if p) or "not told by the file"),
            ("Read at", moment(read.read_at) if read.read_at else "not told by the file"),
        ]
    return facts
