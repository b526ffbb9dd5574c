"""A layout out of what a file tells of it, in the one form every file of the same plate leads to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nkloop.assays.models import EffectorSample, LayoutWell, PlateLayout, Treatment

WITH_TARGETS = {"experimental", "reference_effector", "spontaneous", "maximum", "treated_target"}
DEFAULTS = {"kind": "killing", "method": "ldh", "targets_per_well": 1e4, "contact_minutes": 240.0}
"""What a table that does not say otherwise means."""


def build_layout(
    facts: Mapping[str, Any],
    wells: Sequence[Mapping[str, Any]],
    samples: Sequence[tuple[str, EffectorSample]],
    treatments: Mapping[str, tuple[str, str]],
    negative: Collection[str],
) -> PlateLayout:
    """Put a layout together.

    Wells name their line only when the plate carries several; treatments and antigen-negative lines stand in the order
    of their names; E:T stand highest first; wells without a replicate number are counted within their group.

    Raises:
        ValidationError: a fact is missing or out of its bounds.
    """
    told = {**DEFAULTS, **{k: v for k, v in facts.items() if v is not None}}
    lines = list(dict.fromkeys(w["target_line"] for w in wells if w["role"] in WITH_TARGETS and w["target_line"]))
    main = told.pop("main_line", None) or (lines[0] if lines else None)
    several = len({*lines, *([main] if main else [])}) > 1
    reference = [s for role, s in samples if role == "reference_effector"]
    ratios = {w["nominal_ratio"] for w in wells if w["nominal_ratio"] is not None}
    if "plate_wells" not in told:
        told["plate_wells"] = 384 if any(w["well"][0] > "H" or int(w["well"][1:]) > 12 for w in wells) else 96
    return PlateLayout.model_validate(
        {
            **told,
            "target_line": main,
            "ratios": tuple(sorted(ratios, reverse=True)),
            "samples": tuple(s for role, s in samples if role != "reference_effector"),
            "reference": reference[0] if reference else None,
            "wells": tuple(_wells(wells, several)),
            "treatments": tuple(
                Treatment.model_validate({"name": name, "kind": kind or "antibody", "unit": unit})
                for name, (kind, unit) in sorted(treatments.items())
            ),
            "antigen_negative": tuple(sorted(negative)),
        }
    )


def _wells(wells: Sequence[Mapping[str, Any]], several: bool) -> list[LayoutWell]:
    counted: dict[tuple[Any, ...], int] = {}
    made = []
    for well in wells:
        line = well["target_line"] if several and well["role"] in WITH_TARGETS else None
        key = (well["role"], well["sample"], well["nominal_ratio"], line, well["treatment"], well["dose"])
        counted[key] = 1 if well["role"] in {"empty", "medium_ring"} else counted.get(key, 0) + 1
        made.append(
            LayoutWell.model_validate({**well, "target_line": line, "replicate": well["replicate"] or counted[key]})
        )
    return made
