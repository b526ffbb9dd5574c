"""The look of every picture, and the way a chart becomes SVG or PNG.

Colours are Okabe and Ito's set (Color Universal Design, 2008), readable by colour-blind people; every meaning
that a colour carries is carried by a shape, a dash or a text as well, so that a grey print says the same.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from functools import lru_cache, wraps
from html import escape
from threading import Thread
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import altair as alt

Given = ParamSpec("Given")
Made = TypeVar("Made")
INK = "#1b1f24"
FAINT = "#667079"
GRID = "#e3e7eb"
REFERENCE = "#1b1f24"
VARIANT = "#0072b2"
BEST = "#d55e00"
WARNING = "#b00020"
FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
WIDTH = 760
"""Width in pixels a full-width picture is designed for; near the text width of an A4 page, so print keeps the size."""
VEGALITE = "6.4"
"""Version of the chart language that pictures are drawn with."""


def configuration() -> dict[str, Any]:
    """Vega-Lite configuration: fonts, sizes, colours."""
    return {
        "font": FONT,
        "background": "white",
        "view": {"stroke": "#c9d0d6"},
        "axis": {
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelColor": INK,
            "titleColor": INK,
            "gridColor": GRID,
            "domainColor": "#9aa4ad",
            "tickColor": "#9aa4ad",
            "labelLimit": 180,
        },
        "axisQuantitative": {"labelFlush": False, "labelOverlap": True},
        "legend": {
            "labelFontSize": 11,
            "titleFontSize": 11,
            "labelColor": INK,
            "titleColor": INK,
            "titleAlign": "left",
            "titleOrient": "left",
            "orient": "bottom",
            "symbolSize": 70,
        },
        "header": {"labelFontSize": 12, "labelColor": INK, "titleColor": INK, "labelFontWeight": "bold"},
        "title": {"fontSize": 12, "color": INK, "anchor": "start", "fontWeight": "bold"},
        "text": {"font": FONT, "fontSize": 11, "color": INK},
    }


def svg(picture: alt.TopLevelMixin | str, *, name: str = "picture", description: str = "") -> str:
    """SVG text of a chart (or of SVG text), safe to put into a page beside others.

    Args:
        picture: An Altair chart, or SVG text made elsewhere.
        name: Prefix for the identifiers inside; give each picture of a page its own.
        description: What the picture shows, for screen readers.
    """
    text = picture if isinstance(picture, str) else _plain_svg(_rendered(picture), description)
    return _own_identifiers(text, name)


def unchecked(make: Callable[Given, Made]) -> Callable[Given, Made]:
    """Build the charts of a page without validating every object by schema; the tests validate every chart."""

    @wraps(make)
    def made(*given: Given.args, **named: Given.kwargs) -> Made:
        from altair.utils.schemapi import debug_mode

        with debug_mode(False):
            return make(*given, **named)

    return made


def warm_up() -> Thread:
    """Start the renderer in the background, for a command that will draw at its end.

    The first picture waits most of a second for a JavaScript engine, which needs nothing of this process meanwhile.
    """
    thread = Thread(target=_drawn, args=(json.dumps({"data": {"values": []}, "mark": "point"}),), name="renderer")
    thread.start()
    return thread


def png_data_uri(picture: alt.TopLevelMixin | str, *, scale: float = 2.0) -> str:
    """`data:image/png;base64,…` of a chart or of SVG text, for places that show Markdown only."""
    import vl_convert

    image = vl_convert.svg_to_png(svg(picture), scale=scale)
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _rendered(chart: alt.TopLevelMixin) -> str:
    return _drawn(json.dumps({**chart.to_dict(validate=False), "config": configuration()}))


@lru_cache(maxsize=64)
def _drawn(spec: str) -> str:
    """The same chart stands on the page of a run and in the report of its campaign; drawing it takes the most time."""
    import vl_convert  # loads a JavaScript engine: only rendering needs it

    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGALITE))


def _plain_svg(text: str, description: str) -> str:
    """Without the marks a chart library needs for itself; they are half of the text."""
    bare = re.sub(r' (?:role|aria-[a-z]+|class)="[^"]*"', "", text)
    opening = f'<svg role="img" aria-label="{escape(description or "chart", quote=True)}" '
    return bare.replace("<svg ", opening, 1)


def _own_identifiers(text: str, name: str) -> str:
    """Name every identifier anew, in order, and every reference to it.

    Two pictures of a page would share clip paths else, and the renderer numbers on from picture to picture.
    """
    known: dict[str, str] = {}
    for identifier in re.findall(r'\bid="([^"]+)"', text):
        known.setdefault(identifier, f"{name}-{len(known) + 1}")

    def renamed(match: re.Match[str]) -> str:
        return f"{match[1]}{known.get(match[2], match[2])}{match[3]}"

    return re.sub(r'(\bid="|url\(#|href="#)([^")]+)([")])', renamed, text)
