"""Which closed vessel a culture is in: the one that is named, else the smallest that can hold what is in it now.

What it shall hold afterwards says nothing about the vessel it is in: a bag does not grow with the dose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from nkloop.errors import LabwareError, PlanError, Problem
from nkloop.labware.bags import Bag, BagCatalogue
from nkloop.worklists.present_table import Present

CLOSED = ("bag", "bioreactor")
"""What `--vessel` and `--from-vessel` take for any vessel of that sort."""


def held_in(bags: BagCatalogue, vessel: str, name: str, present: Present, option: str = "--vessel") -> Bag:
    """The closed vessel a culture is in.

    Args:
        bags: known vessels.
        vessel: one of them by name, or `bag` or `bioreactor`; what the table says of this culture goes before it.
        name: barcode of the vessel, for messages.
        present: what it holds.
        option: that names its kind, for messages.

    Raises:
        PlanError: the vessel that is named cannot hold what is said to be in it, or there is no such vessel.
    """
    volume_ml = present.volume_ul / 1000
    named = present.vessel or vessel
    try:
        kind = bags.smallest_holding(named, volume_ml) if named in CLOSED else bags.bag(named)
    except LabwareError as error:
        problem = error.problems[0]
        raise PlanError(problem.message, where=f"bag {name}", remedy=problem.remedy) from error
    if volume_ml > kind.capacity_ml:
        raise PlanError(
            f"it is said to hold {volume_ml:.4g} mL, {kind.title} takes {kind.capacity_ml:g} mL",
            where=f"bag {name}",
            remedy=f"name the one it is in a column vessel of the table, or with {option}",
        )
    return kind


def guesses_note(
    bags: BagCatalogue, vessel: str, present: Mapping[str, Present], option: Literal["--vessel", "--from-vessel"]
) -> tuple[str, ...]:
    """Which vessels the kind is only inferred of, in one sentence; none when every kind is named."""
    if vessel not in CLOSED:
        return ()
    found: dict[str, list[str]] = {}
    for name, one in present.items():
        if one.vessel in ("", *CLOSED):
            found.setdefault(held_in(bags, vessel, name, one, option).name, []).append(one.label or name)
    if not found:
        return ()
    told = "; ".join(f"{', '.join(names)} as {kind}" for kind, names in found.items())
    return (
        f"Kind of {vessel}, taken from the volume it holds now: {told}. Capacity and weights go by it: a column vessel "
        f"in the table, or {option}, names another.",
    )


_OTHERWISE = "drain more or give less medium, or move it with --action transfer"


def range_problems(
    bags: BagCatalogue,
    kind: str,
    final_ul: float,
    where: str,
    *,
    drained_to_ul: float | None = None,
    is_new: bool = False,
    is_only_added: bool = False,
) -> Iterator[Problem]:
    """What is wrong with the volumes of one closed vessel.

    Its range is that of a culture, so it holds for what stays in it; while medium is exchanged it may hold less, down
    to what cannot be drained.

    Args:
        bags: known vessels.
        kind: name of the vessel.
        final_ul: what it holds afterwards.
        where: the vessel, for messages.
        drained_to_ul: what it holds in between; None when nothing is drained.
        is_new: whether another kind can still be chosen.
        is_only_added: whether the dose is all that changes the volume.
    """
    try:
        bag = bags.bag(kind)
    except LabwareError as error:
        yield from error.problems
        return
    final = final_ul / 1000
    if final > bag.capacity_ml:
        told = f"the {bag.vessel} would hold {final:.4g} mL, {bag.title} takes {bag.capacity_ml:g} mL"
        remedy = "choose a larger vessel, or a smaller volume with --volume"
        if not is_new:
            way = "remove medium first, or a smaller --dose" if is_only_added else _OTHERWISE
            remedy = f"{way}; when it is in a larger one, name that in a column vessel of the table"
        yield Problem(told, where, remedy)
    if final < bag.lowest_ml:
        told = f"the {bag.vessel} would hold {final:.4g} mL, {bag.title} needs {bag.lowest_ml:g} mL"
        yield Problem(told, where, "choose a smaller vessel" if is_new else "give more medium")
    if drained_to_ul is not None and drained_to_ul / 1000 < bag.residual_ml:
        told = f"draining would leave {drained_to_ul / 1000:.4g} mL, {bag.residual_ml:g} mL cannot be drained"
        yield Problem(f"{told} out of {bag.title}", where, "drain less")
