"""Reports: what a campaign or a run did, as one page a person wants to look at.

Charts need slow imports, so each function is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nkloop.reports.assay_page import assay_markdown
    from nkloop.reports.campaign_page import campaign_html
    from nkloop.reports.deck_map import deck_svg
    from nkloop.reports.labels import labels_html, run_labels
    from nkloop.reports.markdown import proposal_markdown
    from nkloop.reports.pictures import culture_svg, curves_svg, score_svg
    from nkloop.reports.plate_map import plate_svg
    from nkloop.reports.run_page import run_html
    from nkloop.reports.run_sheet import run_sheets
    from nkloop.reports.run_sheet_page import run_sheet_html, sheets_markdown
    from nkloop.reports.theme import png_data_uri, svg

__all__ = [
    "assay_markdown",
    "campaign_html",
    "culture_svg",
    "curves_svg",
    "deck_svg",
    "labels_html",
    "plate_svg",
    "png_data_uri",
    "proposal_markdown",
    "run_html",
    "run_labels",
    "run_sheet_html",
    "run_sheets",
    "score_svg",
    "sheets_markdown",
    "svg",
]

_HOMES = {
    "assay_page": ("assay_markdown",),
    "campaign_page": ("campaign_html",),
    "deck_map": ("deck_svg",),
    "labels": ("labels_html", "run_labels"),
    "markdown": ("proposal_markdown",),
    "pictures": ("culture_svg", "curves_svg", "score_svg"),
    "plate_map": ("plate_svg",),
    "run_page": ("run_html",),
    "run_sheet": ("run_sheets",),
    "run_sheet_page": ("run_sheet_html", "sheets_markdown"),
    "theme": ("png_data_uri", "svg"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"nkloop.reports.{home}"), name)
    raise AttributeError(f"module 'nkloop.reports' has no attribute {name!r}")
