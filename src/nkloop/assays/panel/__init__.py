"""The tumour panel: lines a killing assay may be run against, and whether a lab's culture of one may be used today."""

from nkloop.assays.panel.files import line_named, load_panel, panel
from nkloop.assays.panel.models import CulturedLine, LineStock, StockLimits, TumourLine
from nkloop.assays.panel.stock import check_lines, line_problems, load_line_stock

__all__ = [
    "CulturedLine",
    "LineStock",
    "StockLimits",
    "TumourLine",
    "check_lines",
    "line_named",
    "line_problems",
    "load_line_stock",
    "load_panel",
    "panel",
]
