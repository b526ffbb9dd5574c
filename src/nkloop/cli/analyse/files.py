"""What the analyse commands share: options that name files, and pictures written to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nkloop.cli.common import write_file

if TYPE_CHECKING:
    from nkloop.reports.picture_files import Picture

SheetOption = Annotated[str | None, typer.Option("--sheet", help="Sheet of a workbook; the first when not given.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Write an HTML page with a chart to this file.")]
PictureOption = Annotated[
    Path | None,
    typer.Option("--picture", help="Write the pictures: .html, interactive; or .svg and .png, one file each."),
]


def write_pictures(pictures: Mapping[str, Picture], path: Path, title: str) -> tuple[Path, ...]:
    """Write charts by heading to the file or files a person named; the paths written.

    Raises:
        WorkspaceError: a picture cannot be written as that, or not there.
    """
    from nkloop.reports.picture_files import picture_files

    files = picture_files(pictures, path, title=title)
    for name, content in files.items():
        write_file(name, content)
    return tuple(files)
