"""QR codes as SVG text, drawn without any picture file."""

from __future__ import annotations

import io

import segno


def qr_svg(text: str, size_mm: float) -> str:
    """A QR code (error correction M) of a fixed size in mm, quiet zone of two modules included."""
    out = io.BytesIO()
    code = segno.make(text, error="m", micro=False)
    code.save(out, kind="svg", border=2, xmldecl=False, svgns=True, omitsize=True, nl=False, title=text)
    size = f'width="{size_mm:g}mm" height="{size_mm:g}mm" role="img"'
    return out.getvalue().decode("utf-8").replace("<svg ", f"<svg {size} ", 1)
