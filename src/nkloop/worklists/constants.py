"""What all arms have alike: whether the base medium may bring it, so that nobody doses it tube by tube.

Commands and flows let `settled` decide, or `settled_by` where the base medium stands there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from nkloop.errors import PlanError
from nkloop.feedback.models import Arm
from nkloop.recipes.models import Recipe, Stage
from nkloop.worklists.bag_plans import BagDosingRequest
from nkloop.worklists.dose import Concentrations, after_decay, blended, half_lives_h
from nkloop.worklists.dosing_assembly import Wanted, base_of
from nkloop.worklists.dosing_event import TOLERANCE_PERCENT
from nkloop.worklists.dosing_request import added_ingredients, changed_components
from nkloop.worklists.medium_contents import medium_per_ul
from nkloop.worklists.plans import DosingRequest, MediumSource

Constants = Literal["auto", "base", "dose"]
"""`base`: the base medium brings them; `dose`: arm by arm; `auto`: the base where all vessels stay on target."""
_Part = tuple[Mapping[str, float], float]


def constants_of(wanted: Wanted) -> tuple[str, ...]:
    """Components that arms could add and that all of them have as the recipe has it."""
    changed = changed_components(wanted.recipe, wanted.stage.id, wanted.arms)
    return tuple(i.component for i in wanted.added if i.component not in changed)


@dataclass(frozen=True)
class Choice:
    """Where the constants of a plan come from."""

    in_base: tuple[str, ...]
    dosed: Mapping[str, float]
    """What is dosed all the same, and by how many percent a vessel would be off without."""

    def notes(self) -> Iterator[str]:
        """What was decided, one sentence each."""
        if self.in_base:
            yield (
                f"{', '.join(self.in_base)}: the same in all arms, so the base medium brings them "
                "(--constant dose doses them)."
            )
        if self.dosed:
            worst = max(self.dosed.values())
            yield (
                f"{', '.join(self.dosed)}: the same in all arms and dosed all the same, because with the base medium "
                f"alone a vessel would be up to {worst:.0f} % off (--constant base leaves them to it)."
            )


def settled(
    wanted: Wanted, asked: Constants, request: Callable[[Wanted, MediumSource], DosingRequest | BagDosingRequest]
) -> tuple[Wanted, tuple[str, ...]]:
    """What is planned, with the base medium bringing what all arms have alike as asked, and what was decided.

    Args:
        wanted: what is planned.
        asked: by the person.
        request: what is asked of the planner with a base medium; gives the volumes.

    Raises:
        PlanError: nothing would be left to dose into tubes for bags.
    """
    alike = replace(wanted, in_base=constants_of(wanted))
    choice = choose(wanted, asked, request(alike, base_of(alike, 1.0)))
    return replace(wanted, in_base=choice.in_base), tuple(choice.notes())


def settled_by(wanted: Wanted, asked: Constants, base: MediumSource) -> tuple[Wanted, tuple[str, ...]]:
    """The same with a base medium that was prepared before: what it holds of the constants, it brings.

    Raises:
        PlanError: it holds what shall be dosed, or lacks what it shall bring.
    """
    names = constants_of(replace(wanted, in_base=()))
    held = tuple(name for name in names if base.per_ul.get(name, 0.0) > 0)
    lacking = [name for name in names if name not in held]
    if (asked == "dose" and held) or (asked == "base" and lacking):
        told = f"holds {', '.join(held)}" if asked == "dose" else f"lacks {', '.join(lacking)}"
        meant = "shall be dosed" if asked == "dose" else "it shall bring"
        raise PlanError(
            f"base medium {base.barcode} {told}, which {meant}",
            where="constant",
            remedy="choose auto, which takes the base medium as it is, or prepare another",
        )
    return replace(wanted, in_base=held), tuple(Choice(held, {}).notes())


def dosed_into_media(recipe: Recipe, stage_id: str, arms: Sequence[Arm], asked: Constants) -> tuple[str, ...]:
    """Components of a stage that arms add to a base medium of several feedings whose aim is the fresh medium."""
    added = added_ingredients(recipe, recipe.stage(stage_id), (), stage_id, arms)
    changed = changed_components(recipe, stage_id, arms)
    return tuple(one.component for one in added if asked == "dose" or one.component in changed)


def choose(wanted: Wanted, asked: Constants, request: DosingRequest | BagDosingRequest) -> Choice:
    """Which constants the base medium brings.

    Args:
        wanted: what is planned.
        asked: by the person.
        request: with all constants in the base medium; gives the volumes.

    Raises:
        PlanError: nothing would be left to dose into tubes for bags.
    """
    names = constants_of(replace(wanted, in_base=()))
    off = _off_percent(wanted.recipe, wanted.stage, names, _vessels(request))
    left = {name: worst for name, worst in off.items() if asked == "dose" or worst > TOLERANCE_PERCENT}
    dosed = {} if asked == "base" else left
    in_base = tuple(name for name in names if name not in dosed)
    if isinstance(request, BagDosingRequest) and len(in_base) == len(replace(wanted, in_base=()).added):
        if asked == "base":
            raise PlanError(
                "all arms have the same, and with all of it in the base medium no dose is left to prepare",
                where="constant",
                remedy="exchange the medium by hand, or leave --constant base out",
            )
        return Choice((), {})
    return Choice(in_base, {} if asked == "dose" else dosed)


def _off_percent(
    recipe: Recipe, stage: Stage, names: Iterable[str], vessels: Iterable[tuple[_Part, ...]]
) -> dict[str, float]:
    """By how many percent the worst vessel is off each target when the fresh medium is the recipe's."""
    targets = {name: recipe.stage(stage.id).medium.amount_of(name) for name in names}
    worst = dict.fromkeys(targets, 0.0)
    for parts in vessels:
        held = blended(parts)
        for name, amount in targets.items():
            if amount is not None:
                share = held.get(name, 0.0) / amount.of(name).canonical
                worst[name] = max(worst[name], 100 * abs(share - 1))
    return worst


def _vessels(request: DosingRequest | BagDosingRequest) -> Iterator[tuple[_Part, ...]]:
    """What comes together in every vessel, with the fresh medium as the recipe has it.

    Where the fresh medium itself is the aim, a dose makes up for nothing, so nothing else counts.
    """
    fresh = medium_per_ul(request.recipe.stage(request.stage_id))
    lives = half_lives_h(request.recipe)

    def aged(per_ul: Mapping[str, float]) -> Concentrations:
        return after_decay(per_ul, request.hours_since_dose, lives)

    if isinstance(request, BagDosingRequest):
        for bag in request.bags:
            yield (aged(bag.present_per_ul), bag.kept_ul), (fresh, bag.medium_ul + request.dose_ul)
        return
    suspended = {tube.donor: tube.per_ul for tube in request.donors}
    for well in request.wells:
        if request.aim == "medium":
            yield ((fresh, 1.0),)
        elif well.add_ul > 0:
            kept = (aged(well.present_per_ul), well.kept_ul)
            yield kept, (fresh, well.add_ul), (suspended.get(well.donor, {}), well.seed_ul)
