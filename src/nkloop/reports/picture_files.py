"""A chart as a file: interactive HTML, or the same picture as SVG or PNG."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nkloop.errors import WorkspaceError
from nkloop.reports import theme

if TYPE_CHECKING:
    import altair as alt

    Picture: TypeAlias = alt.TopLevelMixin | str

SUFFIXES = (".html", ".svg", ".png")
_MENU = {"export": True, "source": False, "compiled": False, "editor": False}
"""What the menu of an interactive picture offers: nothing that leaves the machine."""
_POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
"""The page loads nothing; the chart library builds its own functions, which is what `unsafe-eval` lets it do."""


def check_suffix(path: Path) -> str:
    """The ending of a picture file.

    Raises:
        WorkspaceError: a picture cannot be written as that.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise WorkspaceError(
            f"a picture cannot be written as '{path.suffix or path.name}'",
            where=str(path),
            remedy=f"name a file that ends in {', '.join(SUFFIXES)}",
        )
    return suffix


def picture_files(pictures: Mapping[str, Picture], path: Path, *, title: str) -> dict[Path, bytes]:
    """Content of every file to write for some pictures.

    Args:
        pictures: heading to chart, or to SVG text made by this package, in reading order.
        path: `.html` gives one interactive page of all (values under the pointer); `.svg` and `.png` give one file a
            picture, with the heading in its name when there are several.
        title: title of the page.

    Raises:
        WorkspaceError: a picture cannot be written as that.
    """
    suffix = check_suffix(path)
    if suffix == ".html":
        return {path: _page(pictures, title).encode()}
    several = len(pictures) > 1
    return {
        path.with_stem(f"{path.stem}-{_slug(heading)}") if several else path: _drawn(picture, suffix, heading)
        for heading, picture in pictures.items()
    }


def _drawn(picture: Picture, suffix: str, heading: str) -> bytes:
    if suffix == ".svg":
        return theme.svg(picture, description=heading).encode()
    return base64.b64decode(theme.png_data_uri(picture).partition(",")[2])


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _page(pictures: Mapping[str, Picture], title: str) -> str:
    import vl_convert

    calls = "".join(
        f"vegaEmbed('#picture-{number}', {_json({**picture.to_dict(validate=False), **_settings()})}, "
        "{renderer: 'svg'});"
        for number, picture in enumerate(pictures.values())
        if not isinstance(picture, str)
    )
    bundle = vl_convert.javascript_bundle(calls, vl_version=theme.VEGALITE)
    script = bundle.replace("</script", "<\\/script")
    places = "".join(
        f"<h2>{html.escape(heading)}</h2><div id='picture-{number}'>{picture if isinstance(picture, str) else ''}</div>"
        for number, (heading, picture) in enumerate(pictures.items())
    )
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{html.escape(title)}</title>'
        f"<style>body{{font-family:{theme.FONT};color:{theme.INK};margin:24px}}h1{{font-size:20px}}h2{{font-size:15px}}"
        f"</style></head><body><h1>{html.escape(title)}</h1>{places}"
        f"<script type='module'>{script}</script></body></html>"
    )


def _settings() -> dict[str, Any]:
    return {"config": theme.configuration(), "usermeta": {"embedOptions": {"actions": _MENU}}}


def _json(value: object) -> str:
    """JSON that may stand inside a script."""
    return json.dumps(value).replace("<", "\\u003c")
