"""What stands in one cell of a layout drawn as a plate.

`S` spontaneous, `M` maximum, `BG` medium, `VC` medium with lysis reagent, `ring` medium of the outer ring, `.` or
nothing: empty. A sample is its name and E:T, `arm-1/U1 10:1`, with `alone` for effectors without targets and `ref` for
the reference effector. Then what is in the well beside: `+rituximab 10` treatment and dose, `@Raji` line, `#2`
replicate, `~1` block. Targets with a treatment alone begin with `T`.
"""

from __future__ import annotations

import re
from typing import Any

from nkloop.assays.models import LayoutWell

CONTROLS = {"S": "spontaneous", "M": "maximum", "BG": "background", "VC": "volume_correction", "ring": "medium_ring",
            ".": "empty", "": "empty", "T": "treated_target"}  # fmt: skip
"""Code of a role without effectors."""
_SHORT = {role: code for code, role in CONTROLS.items() if code}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CELL = re.compile(
    rf"^(?P<what>.*?)(?: (?P<ratio>{_NUMBER}):1(?P<kind> alone| ref)?)?"
    rf"(?: \+(?P<treatment>.+?)(?: (?P<dose>{_NUMBER}))?)?"
    r"(?: @(?P<line>.+?))?(?: #(?P<replicate>\d+))?(?: ~(?P<block>\d+))?$"
)
_CODES = "|".join(re.escape(code) for code in CONTROLS if code)
RESERVED = re.compile(rf" [+@#~]|^(?:{_CODES})$| {_NUMBER}(?::1)?(?: |$)|^\s|\s$|^$", re.IGNORECASE)
"""What a name must not hold, because a cell could then be read in two ways."""


def cell_of(well: LayoutWell) -> str:
    """The cell of a well."""
    if well.sample is None:
        parts = [_SHORT[well.role]]
    else:
        tail = {"effector_only": " alone", "reference_effector": " ref"}.get(well.role, "")
        parts = [f"{well.sample} {_number(well.nominal_ratio or 0)}:1{tail}"]
    if well.treatment is not None:
        parts.append(f"+{well.treatment}" + ("" if well.dose is None else f" {_number(well.dose)}"))
    if well.target_line is not None:
        parts.append(f"@{well.target_line}")
    if well.role not in {"empty", "medium_ring"}:
        parts.append(f"#{well.replicate}")
    if well.block is not None:
        parts.append(f"~{well.block}")
    return " ".join(parts)


def well_of(name: str, cell: str) -> dict[str, Any] | None:
    """Fields of the well a cell describes; None when it is no code and no sample with its E:T."""
    match = _CELL.match(" ".join(cell.split()))
    if match is None:
        return None
    told = match.groupdict()
    code = next((c for c in CONTROLS if c.lower() == told["what"].lower()), None)
    if told["ratio"] is not None:
        role = {" alone": "effector_only", " ref": "reference_effector"}.get(told["kind"] or "", "experimental")
        sample: str | None = told["what"]
    elif code is not None:
        role, sample = CONTROLS[code], None
    else:
        return None
    return {
        "well": name,
        "role": role,
        "sample": sample,
        "nominal_ratio": None if told["ratio"] is None else float(told["ratio"]),
        "replicate": None if told["replicate"] is None else int(told["replicate"]),
        "block": None if told["block"] is None else int(told["block"]),
        "target_line": told["line"],
        "treatment": told["treatment"],
        "dose": None if told["dose"] is None else float(told["dose"]),
    }


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")
