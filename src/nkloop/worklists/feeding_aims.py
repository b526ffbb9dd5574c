"""Which mixture every well is fed with: the arm's medium, or what brings the well to the arm's concentrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nkloop.errors import PlanError, Problem
from nkloop.recipes.models import Ingredient
from nkloop.worklists.dose import fresh_concentration, most_kept_ul
from nkloop.worklists.dosing_request import targets_of
from nkloop.worklists.mixtures import Mixture
from nkloop.worklists.plans import DosingRequest, WellFeeding
from nkloop.worklists.same_problems import told_once

SAME = 0.01
"""Wells of an arm share a mixture when their needs differ by less than this share of the target."""
_ROUNDING = 1e-9


@dataclass
class _Group:
    """Wells of one arm that are fed from one mixture."""

    arm: str
    needs: list[dict[str, float]] = field(default_factory=list)
    wells: list[WellFeeding] = field(default_factory=list)

    def takes(self, need: Mapping[str, float], targets: Mapping[str, float]) -> bool:
        """Whether a well with this need can be fed from the mixture; both canonical, by component."""
        first = self.needs[0]
        return all(abs(first[name] - need[name]) <= SAME * targets[name] + _ROUNDING for name in targets)

    def mean(self) -> dict[str, float]:
        """What the mixture holds of each component, canonical: the mean of what its wells need."""
        return {name: sum(need[name] for need in self.needs) / len(self.needs) for name in self.needs[0]}


def mixtures_for(
    request: DosingRequest, ingredients: tuple[Ingredient, ...]
) -> tuple[tuple[Mixture, ...], dict[str, int]]:
    """The mixtures a request needs, and which of them each fed well gets.

    Returns:
        Mixtures in the order of the arms, and well to the index of its mixture.

    Raises:
        PlanError: a well keeps more of a component than its target allows; every one is named with what to exchange.
    """
    arms = {arm.name: arm for arm in request.arms}
    targets = {name: targets_of(request.recipe, request.stage_id, arm, ingredients) for name, arm in arms.items()}
    problems: list[Problem] = []
    groups: dict[str, list[_Group]] = {name: [] for name in arms}
    for well in request.wells:
        if well.add_ul <= 0:
            continue
        aim = targets[well.arm]
        need = aim if request.aim == "medium" else _need(request, well, aim, problems)
        found = next((group for group in groups[well.arm] if group.takes(need, aim)), None)
        if found is None:
            found = _Group(well.arm)
            groups[well.arm].append(found)
        found.needs.append(dict(need))
        found.wells.append(well)
    if problems:
        raise PlanError.from_problems(told_once(problems, "well"))
    return _numbered(groups)


def _numbered(groups: Mapping[str, list[_Group]]) -> tuple[tuple[Mixture, ...], dict[str, int]]:
    mixtures: list[Mixture] = []
    index: dict[str, int] = {}
    for arm, some in groups.items():
        for number, group in enumerate(some, start=1):
            index |= {well.well: len(mixtures) for well in group.wells}
            name = arm if len(some) == 1 else f"{arm} ({number} of {len(some)})"
            mixtures.append(Mixture(name, arm, group.mean(), sum(well.add_ul for well in group.wells)))
    return tuple(mixtures), index


def _need(
    request: DosingRequest, well: WellFeeding, targets: Mapping[str, float], problems: list[Problem]
) -> dict[str, float]:
    need = {}
    suspended = next((tube.per_ul for tube in request.donors if tube.donor == well.donor), {})
    for name, target in targets.items():
        kept, other = well.present_per_ul.get(name, 0.0), suspended.get(name, 0.0)
        need[name] = fresh_concentration(target, kept, well.kept_ul, well.add_ul, well.seed_ul, other)
        # what an arm shall not have cannot be taken out again: it is told, not refused
        if need[name] < -_ROUNDING and target > 0:
            problems.append(_too_much(request, well, name, target, kept))
    return {name: max(0.0, value) for name, value in need.items()}


def unavoidable(target: float, remaining: float, final_ul: float) -> float:
    """What a vessel comes to at best: its target, or what remains of a component its arm shall not have.

    Args:
        target: concentration wanted.
        remaining: amount of it that is there without any dose.
        final_ul: volume of the vessel afterwards.
    """
    return target if target > 0 else remaining / final_ul


def _too_much(request: DosingRequest, well: WellFeeding, name: str, target: float, kept: float) -> Problem:
    reached = kept * well.kept_ul / well.final_ul
    most = most_kept_ul(target, kept, well.final_ul)
    return Problem(
        f"{name} would be {reached / target:.3g} times its target for {well.arm} without any fresh {name}: "
        f"{well.kept_ul:g} µL stay of contents at {kept / target:.3g} times the target",
        f"{request.name}, well {well.well}",
        f"keep at most {most:.0f} µL of the {well.final_ul:g} µL",
    )
