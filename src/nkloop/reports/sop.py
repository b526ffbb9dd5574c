"""The procedure of a recipe in Markdown, to be followed by hand and signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from nkloop.recipes.description import arms, heading, limit_words, process_sentence, sources, table
from nkloop.recipes.measured import QUANTITIES
from nkloop.recipes.models import Recipe, Stage
from nkloop.reports.sop_medium import StageMedium, medium_lines

__all__ = ["StageMedium", "sop"]

_BLANK = "__________"
_SIGN = "| done by | date, time | checked by | date, time |\n| --- | --- | --- | --- |\n|   |   |   |   |"


def sop(recipe: Recipe, media: Mapping[str, StageMedium], *, made_at: datetime) -> str:
    """The procedure of the stages that have a planned medium, in the order of the recipe.

    Args:
        media: stage id to its medium, planned by the same planner that makes the robot's work.
        made_at: when the procedure was written; lots are valid as of this day.
    """
    lines = [
        *heading(recipe),
        f"Written {made_at:%Y-%m-%d %H:%M} UTC from the recipe and the lots of that day; make it anew when either "
        "changes. Write what you measure and sign where a line is left open. Anything done otherwise is a "
        "deviation: write what, why and who decided.",
        "",
        "Batch: " + _BLANK + "   Donor unit: " + _BLANK + "   Start (day 0): " + _BLANK,
        "",
        *arms(recipe),
    ]
    for index, stage in enumerate(recipe.stages, start=1):
        if stage.id in media:
            lines += _stage(recipe, index, stage, media[stage.id])
    lines += ["## Deviations", "", *table(("step", "what", "why", "decided by"), [("", "", "", "")] * 4), ""]
    return "\n".join([*lines, *sources(recipe)]).rstrip() + "\n"


def _stage(recipe: Recipe, index: int, stage: Stage, medium: StageMedium) -> list[str]:
    lines = [f"## {index}. {stage.title}: day {stage.start_day:g} to {stage.end_day:g}", ""]
    parts = (
        ("Before it starts", _criteria(stage, "entry")),
        ("Prepare the medium", medium_lines(recipe, stage, medium)),
        ("Seed the cells", _seeding(stage)),
        ("Steps besides feeding", _process(recipe, stage)),
        ("Feed", _feeding(stage)),
        ("Samples", _samples(stage)),
        ("In-process controls", _controls(stage)),
        ("Before the cells go on", _criteria(stage, "exit")),
        ("Expected", _expected(stage)),
    )
    number = 0
    for title, told in parts:
        if told:
            number += 1
            lines += [f"### {index}.{number} {title}", "", *told, ""]
    return [*lines, _SIGN, ""]


def _criteria(stage: Stage, block: str) -> list[str]:
    criteria = stage.entry if block == "entry" else stage.exit
    rows = [(limit_words(c), _BLANK, "yes / no", "") for c in criteria]
    return table(("criterion", "measured", "met", "initials"), rows)


def _seeding(stage: Stage) -> list[str]:
    low, high = stage.vessel.volume
    return [
        "1. Count the cells twice; count again when the two differ by more than 15 %. "
        f"Count 1: {_BLANK}  Count 2: {_BLANK} cells/mL",
        f"2. Volume of culture = viable cells / ({stage.seeding_density.display()}), between {low.display()} and "
        f"{high.display()} per vessel. Volume: {_BLANK} mL",
        f"3. Warm the medium to {stage.medium.use_temperature:g} °C and seed in: {stage.vessel.words}. Label the "
        "vessel with batch, stage, day and arm.",
    ]


def _process(recipe: Recipe, stage: Stage) -> list[str]:
    told = []
    for index, step in enumerate(stage.process, start=1):
        checked = f"  checked by: {_BLANK}" if step.second_person else ""
        told.append(f"{index}. {process_sentence(recipe, step)} Done by: {_BLANK}{checked}")
    return told


def _feeding(stage: Stage) -> list[str]:
    days = stage.feeding_days()[1:]
    if not days:
        return ["No medium is exchanged in this stage."]
    share = stage.refresh.fraction.display()
    rule = (
        f"Count first. Above the seeding density, dilute to {stage.seeding_density.display()} with fresh medium; else "
        f"replace {share} of the volume{_settled(stage)}. Discard medium past its shelf life."
    )
    rows = [(f"{day:g}", _BLANK, "dilute / replace", _BLANK, "") for day in days]
    return [rule, "", *table(("day", "viable cells/mL", "done", "mL fresh medium", "initials"), rows)]


def _settled(stage: Stage) -> str:
    """That cells stay when medium is drained off, where nothing is spun."""
    if stage.vessel.kind not in {"bag", "bioreactor"}:
        return ""
    rest = f" after {stage.settling.time.display()} of rest" if stage.settling is not None else ""
    return f", drained off the settled cells{rest}"


def _samples(stage: Stage) -> list[str]:
    rows = [
        (f"{s.day:g}", s.volume.display(), ", ".join(QUANTITIES[m].title for m in s.measures), "")
        for s in stage.sampling
    ]
    return table(("day", "volume", "measure", "initials"), rows)


def _controls(stage: Stage) -> list[str]:
    rows = [
        (f"{day:g}", limit_words(control), _BLANK, control.action) for control in stage.controls for day in control.days
    ]
    return table(("day", "limit", "measured", "when outside"), sorted(rows, key=lambda row: float(row[0])))


def _expected(stage: Stage) -> list[str]:
    return [f"- {QUANTITIES[e.quantity].title}: {e.words} ({e.source}); outside is a deviation" for e in stage.expected]
