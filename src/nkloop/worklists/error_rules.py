"""The rule of predicted error: CV and bias of every component with a target, against the limits of the worklist."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.errors import Problem
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.cascades import Miss, grouped_misses
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
    spots = {(target.labware, target.well) for target in worklist.targets}
    predicted = predict(worklist, catalogue, deck, spots)
    for target in worklist.targets:
        error = predicted.get((target.labware, target.well), {}).get(target.component)
        if error is None:
            continue
        for name, value, limit in (
            ("CV", error.cv_percent, worklist.limits.cv_percent),
            ("bias", error.bias_percent, worklist.limits.bias_percent),
        ):
            if limit is not None and value > limit:
                where = f"{target.labware} {target.well}"
                told = f"predicted {name} of {target.component} is {value:.1f} %, at most {limit:g} %"
                problem = Problem(told, where, "use larger volumes or fewer dilution steps", rules.UNCERTAIN)
                yield Miss(where, target.component, value, problem)
