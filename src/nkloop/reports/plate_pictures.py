"""Every picture of one killing-assay plate, in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from nkloop.assays.models import AssayResult, Effect
from nkloop.reports import theme
from nkloop.reports.control_chart import control_chart
from nkloop.reports.forest_chart import ForestRow, forest_chart
from nkloop.reports.numbers import figure
from nkloop.reports.plate_curves import plate_curves_chart
from nkloop.reports.plate_map import plate_svg
from nkloop.reports.surface_chart import SurfaceCell, surface_chart

if TYPE_CHECKING:
    import altair as alt


@theme.unchecked
def plate_pictures(result: AssayResult, history: Sequence[float] = ()) -> dict[str, alt.TopLevelMixin | str]:
    """Heading to chart (or SVG text); what a plate has nothing for is left out.

    Args:
        result: the analysed plate.
        history: mean lysis of the reference effector on earlier plates, oldest first.
    """
    pictures: dict[str, alt.TopLevelMixin | str] = {"Plate": plate_svg(result, name="plate-map")}
    curves = plate_curves_chart(result)
    if curves is not None and result.verdict != "rejected":
        pictures["Kill curves"] = curves
    if result.effects:
        pictures["Effects"] = forest_chart(
            [_row(effect) for effect in result.effects], axis="Difference in lysis (points)"
        )
    pictures |= _surfaces(result)
    control = _control(result, history)
    if control is not None:
        pictures["Reference effector over plates"] = control
    return pictures


def _row(effect: Effect) -> ForestRow:
    at = f" at {figure(effect.true_ratio)}:1" if effect.true_ratio is not None else ", mean"
    added = f" + {effect.treatment}" if effect.treatment else ""
    return ForestRow(
        label=f"{effect.sample}{added} against {effect.against}, {effect.target_line}{at}",
        estimate=effect.difference,
        low=effect.ci_low,
        high=effect.ci_high,
        note="" if effect.is_expected else "no difference wanted",
        is_different=bool(effect.is_different),
    )


def _surfaces(result: AssayResult) -> dict[str, alt.TopLevelMixin | str]:
    units = {treatment.name: treatment.unit for treatment in result.layout.treatments}
    found: dict[str, alt.TopLevelMixin | str] = {}
    for line, sample, treatment in dict.fromkeys((p.target_line, p.sample, p.treatment) for p in result.matrix):
        cells = [
            SurfaceCell(a=p.dose, b=float(figure(p.true_ratio)), value=p.lysis_percent)
            for p in result.matrix
            if (p.target_line, p.sample, p.treatment) == (line, sample, treatment)
        ]
        found[f"{treatment} with {sample} on {line}"] = surface_chart(
            cells,
            title=f"Lysis of {line}",
            axis_a=f"{treatment} ({units.get(treatment) or 'dose'})",
            axis_b=f"True E:T, {sample}",
            unit="Lysis (%)",
        )
    return found


def _control(result: AssayResult, history: Sequence[float]) -> alt.TopLevelMixin | None:
    """The reference effector of this plate after those of earlier plates; None without a spread to measure by."""
    reference = result.layout.reference
    if reference is None or len(history) < 2 or stdev(history) == 0:
        return None
    own = [well.lysis_percent for well in result.lysis if well.sample == reference.name]
    if not own:
        return None
    names = [*(f"earlier plate {n}" for n in range(1, len(history) + 1)), result.barcode]
    return control_chart([*history, fmean(own)], mean=fmean(history), spread=stdev(history), names=names)
