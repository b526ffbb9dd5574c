"""One killing-assay plate as Markdown, for the Prefect user interface."""

from __future__ import annotations

import base64

from nkloop.assays.models import AssayResult
from nkloop.reports.markdown import markdown_table, markdown_text
from nkloop.reports.numbers import fixed
from nkloop.reports.plate_map import plate_svg

_PICTURE_SCALE = 1.5


def assay_markdown(result: AssayResult) -> str:
    """Verdict, plate map, curves and quality figures of one plate; the picture travels inside as a data URI."""
    parts = [
        f"# {markdown_text(result.barcode)}: {result.verdict}",
        "\n".join(f"- {markdown_text(reason)}" for reason in result.reasons),
        f"![plate map of {markdown_text(result.barcode)}]({_picture(result)})",
        "## Killing",
        markdown_table(
            ("sample", "ET50 (true E:T)", "AUC (0 to 1)"),
            [(c.sample, c.et50_text or c.reason, fixed(c.auc)) for c in result.curves],
        ),
        "## Plate quality",
        markdown_table(
            ("figure", "value", "limit", "outcome", "reason"),
            [(q.name, fixed(q.value), q.limit, q.outcome, q.reason) for q in result.quality],
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _picture(result: AssayResult) -> str:
    import vl_convert  # slow to import

    png = vl_convert.svg_to_png(plate_svg(result, name="plate"), scale=_PICTURE_SCALE)
    return "data:image/png;base64," + base64.b64encode(png).decode()
