"""Turns a template and its values into one self-contained HTML page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from nkloop.reports import numbers
from nkloop.reports.quality_titles import quality_title

CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A report loads nothing and runs nothing, whatever text ended up in it."""


def render(template: str, **values: Any) -> str:
    """Fill a template of this package; every text is escaped, pictures made here are put in as they are."""
    style = _text("style.css").replace("/* running head */", css_text(values["running_head"]))
    return _environment().get_template(template).render(style=Markup(style), policy=CONTENT_POLICY, **values)


def picture(svg: str) -> Markup:
    """SVG text made by this package, whose own texts are escaped already."""
    return Markup(svg)


def css_text(text: str) -> str:
    """A CSS string literal of any text: whatever is not a plain letter, digit or blank becomes an escape."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c == " ") else f"\\{ord(c):x} " for c in text)
    return f'"{plain}"'


def _text(name: str) -> str:
    return files("nkloop.reports").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (numbers.figure, numbers.fixed, numbers.signed, numbers.percent, numbers.fold, numbers.factor)
    for function in (*shown, numbers.volume, numbers.moment, numbers.plain, numbers.chance, quality_title):
        environment.filters[function.__name__] = function
    environment.filters["pipette"] = _pipette
    environment.filters["origin"] = _origin
    environment.globals["count"] = numbers.count
    environment.globals["interval"] = numbers.interval
    environment.globals["with_interval"] = numbers.with_interval
    return environment


def _pipette(load_name: str) -> str:
    from nkloop.reports.deck_map import pipette_title  # with the worklists: not for the page of a plate

    return pipette_title(load_name)


def _origin(origin: str) -> str:
    from nkloop.reports.tables import origin_title  # with recipes and plans: not for the page of a plate

    return origin_title(origin)
