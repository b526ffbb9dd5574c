"""The rule of predicted error: CV and bias against the limits of the worklist.

It judges every component with a target, and whatever a liquid brings that was prepared before with errors of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cascades import Miss, grouped_misses
from nkloop.worklists.composition import DECIMALS
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist
from nkloop.worklists.uncertainty import predict


def error_problems(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None) -> list[Problem]:
    """Components whose predicted error is beyond the limits; none when the worklist sets no limit.

    Raises:
        PlanError: the bench's accuracy tables do not cover a volume.
    """
    limits = worklist.limits
    if deck is None or (limits.cv_percent is None and limits.bias_percent is None):
        return []
    return grouped_misses(list(_beyond(worklist, catalogue, deck)))


def _beyond(worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck) -> Iterator[Miss]:
    held_to = [(target.labware, target.well, target.component) for target in worklist.targets]
    held_to += _brought(worklist)
    predicted = predict(worklist, catalogue, deck, {(labware, well) for labware, well, _ in held_to})
    for labware, well, component in dict.fromkeys(held_to):
        error = predicted.get((labware, well), {}).get(component)
        if error is None:
            continue
        for name, value, limit in (
            ("CV", error.cv_percent, worklist.limits.cv_percent),
            ("bias", error.bias_percent, worklist.limits.bias_percent),
        ):
            # rounded as the planner does, which would else be refused what it has allowed
            if limit is not None and round(value, DECIMALS) > limit:
                where = f"{labware} {well}"
                told = f"predicted {name} of {component} is {value:.2f} %, at most {limit:g} %"
                problem = Problem(told, where, "use larger volumes or fewer dilution steps", rules.UNCERTAIN)
                yield Miss(where, component, value, problem)


def _brought(worklist: Worklist) -> list[tuple[str, str, str]]:
    """Labware, well and component of what liquids prepared before bring, wherever something has a target or an end."""
    names = [name for one in worklist.prepared for name in one.errors]
    spots = {(one.labware, one.well): None for one in worklist.targets if names}
    spots |= {(one.labware, one.well): None for one in worklist.ends if names}
    return [(labware, well, name) for labware, well in spots for name in names]
