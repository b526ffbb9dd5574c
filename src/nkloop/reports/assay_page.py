"""One killing-assay plate as Markdown, for the Prefect user interface."""

from __future__ import annotations

import base64

from nkloop.assays.models import AssayResult
from nkloop.reports.markdown import markdown_table, markdown_text
from nkloop.reports.numbers import fixed
from nkloop.reports.plate_map import plate_svg
from nkloop.reports.quality_titles import quality_title


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
            ("figure", "value", "outcome", "limit"),
            [(quality_title(q.name), fixed(q.value), q.outcome, q.limit) for q in result.quality],
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _picture(result: AssayResult) -> str:
    """The plate map on white, whatever the page's own background is."""
    drawn = plate_svg(result, name="plate")
    start = drawn.index(">", drawn.index("<svg")) + 1
    on_white = f'{drawn[:start]}<rect width="100%" height="100%" fill="#ffffff"/>{drawn[start:]}'
    return "data:image/svg+xml;base64," + base64.b64encode(on_white.encode()).decode()
