"""Rectangles, texts and the frame of a hand-made SVG; every text is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nkloop.reports import theme


def frame(parts: Iterable[str], *, width: float, height: float, name: str, description: str) -> str:
    """An SVG of fixed aspect that says what it shows, on white: the page around it may be dark."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(description)}" id="{escape(name)}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" font-family="{theme.FONT}">'
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def text(
    x: float,
    y: float,
    said: str,
    *,
    size: float = 11,
    colour: str = theme.INK,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """One line of text; nothing when there is nothing to say."""
    if not said:
        return ""
    weight = ' font-weight="bold"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}"{place}{weight}>{escape(said)}</text>'


def box(
    x: float, y: float, width: float, height: float, *, fill: str, stroke: str, thickness: float = 1, radius: float = 0,
    dash: str = "",
) -> str:  # fmt: skip
    """A rectangle, its corners rounded by `radius`."""
    round_corner = f' rx="{radius:.3g}"' if radius else ""
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<rect x="{x:.4g}" y="{y:.4g}" width="{width:.4g}" height="{height:.4g}"{round_corner} fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{thickness:g}"{dashes}/>'
    )
