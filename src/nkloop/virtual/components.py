"""What a written component name means physically, and which amounts are cells."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

Role = Literal[
    "scf", "flt3l", "tpo", "il7", "il15", "il2", "il12", "il4", "gmcsf", "gcsf", "il6", "lif", "mip1a", "heparin",
    "serum", "assay_medium", "base", "lysis", "substrate", "stop", "luciferin", "atp_reagent", "ldh", "lactate",
    "formazan", "calcein", "other",
]  # fmt: skip

CULTURE_KINDS = ("cd34", "progenitor", "nk", "myeloid", "other")
"""Living cells of a culture, written `<kind>:<donor>`."""
CELL_KINDS = frozenset({*CULTURE_KINDS, "dead", "target", "lysed", "lytic"})
"""Everything that sediments. `dead` and `lysed` are corpses of donor and target cells; `lytic` is the killing
capacity the NK cells of a donor carry: number of cells times potency, so that it mixes and dilutes like cells."""

_EXACT: dict[str, Role] = {
    "scf": "scf", "flt3l": "flt3l", "flt3ligand": "flt3l", "flt3": "flt3l", "tpo": "tpo", "thrombopoietin": "tpo",
    "il7": "il7", "il15": "il15", "il2": "il2", "proleukin": "il2", "il12": "il12", "il4": "il4", "il6": "il6",
    "gmcsf": "gmcsf", "gcsf": "gcsf", "lif": "lif", "mip1a": "mip1a", "mip1alpha": "mip1a", "ldh": "ldh",
    "lactate": "lactate", "formazan": "formazan", "calcein": "calcein",
}  # fmt: skip
_PARTS: tuple[tuple[str, Role], ...] = (
    ("lysis", "lysis"), ("triton", "lysis"), ("stop", "stop"), ("celltiter", "atp_reagent"),
    ("atpreagent", "atp_reagent"), ("luciferin", "luciferin"), ("substrate", "substrate"),
    ("ldhreagent", "substrate"), ("heparin", "heparin"), ("albumin", "base"), ("saline", "base"),
    ("assaymedium", "assay_medium"), ("rpmi", "assay_medium"), ("serum", "serum"), ("fbs", "serum"),
    ("fcs", "serum"), ("base", "base"), ("gbgm", "base"), ("medium", "base"), ("pbs", "base"),
    ("water", "base"), ("diluent", "base"),
)  # fmt: skip
"""First match decides, so that albumin in a carrier is not taken for serum."""


@cache
def role_of(component: str) -> Role:
    """Physical role of a component however a recipe or lot list spells it; `other` when it has none."""
    plain = re.sub(r"[^a-z0-9]", "", component.lower().replace("α", "alpha"))
    if plain in _EXACT:
        return _EXACT[plain]
    bare = re.sub(r"^(?:rh|rhu|recombinanthuman|human)", "", plain)
    if bare in _EXACT:
        return _EXACT[bare]
    return next((role for part, role in _PARTS if part in plain), "other")


@cache
def kind_and_owner(key: str) -> tuple[str, str]:
    """Split `nk:U1` into cell kind and donor or line; both empty for anything that is not a cell."""
    kind, colon, owner = key.partition(":")
    return (kind, owner) if colon and kind in CELL_KINDS else ("", "")


def is_cell(key: str) -> bool:
    """True for amounts that sediment."""
    return kind_and_owner(key)[0] != ""


def planned_cells(per_ul: dict[str, float]) -> float:
    """Cells per µL a planned liquid is meant to hold: every key of the form `<what>:<whose>`."""
    return sum(value for key, value in per_ul.items() if ":" in key)


def planned_carrier(per_ul: dict[str, float]) -> dict[str, float]:
    """What planned cells are suspended in, per µL; plain base medium when the plan does not say."""
    carrier = {key: value for key, value in per_ul.items() if ":" not in key and value > 0}
    return carrier or {"base": 1.0}
