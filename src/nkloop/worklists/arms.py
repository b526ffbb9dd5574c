"""The arms of a plan: from a factorial or from named factors, with the reference among them and within the limits."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from nkloop.errors import PlanError, Problem, QuantityError
from nkloop.feedback.envelope import Envelope
from nkloop.feedback.factorial import Factorial, fractional_factorial, full_factorial
from nkloop.feedback.models import Arm
from nkloop.quantities import Amount
from nkloop.recipes.models import Recipe
from nkloop.worklists.arm_levels import Level, Levels
from nkloop.worklists.dosing_request import arm_key
from nkloop.worklists.recipe_arms import control_arms

REFERENCE = "reference"
Wanted = tuple[str, Mapping[str, Level], str]
"""Name of an arm, level per component, and where it is written."""


def complete_arms(recipe: Recipe, stage_id: str, wanted: Sequence[Wanted]) -> tuple[Arm, ...]:
    """Arms with the reference first, every factor filled in, and the recipe's own controls at the end.

    The bounds of the loop are about what it proposes; arms that people choose may go beyond them.

    Args:
        recipe: gives the concentrations the factors are of.
        stage_id: stage the components belong to.
        wanted: one for each arm.

    Raises:
        PlanError: with every problem: a level that is none, an arm twice, a reference that changes something.
    """
    levels = Levels(recipe, stage_id)
    problems = [problem for one in wanted for problem in _impossible(levels, *one)]
    controls = {arm.name: arm for arm in control_arms(recipe)}
    wanted = [one for one in wanted if not _is_control(one, controls)]
    problems += _twins(wanted, levels)
    problems += [
        Problem(
            f"arm '{name}' has the name of a control of {recipe.id}, whose media are those of the reference",
            where,
            "give it another name; the control is added by itself",
        )
        for name, _, where in wanted
        if name in controls
    ]
    if problems:
        raise PlanError.from_problems(problems)
    blank = Envelope.of(recipe).complete({})
    named = dict.fromkeys(name for _, some, _ in wanted for name in some if name in levels.ingredients)
    blank |= {arm_key(recipe, stage_id, name): 1.0 for name in named}
    arms = [_arm(recipe, stage_id, blank, name, some) for name, some, _ in wanted if name != REFERENCE]
    return (_arm(recipe, stage_id, blank, REFERENCE, {}), *arms, *controls.values())


def _is_control(one: Wanted, controls: Mapping[str, Arm]) -> bool:
    return one[0] in controls and all(level == 1 for level in one[1].values())


def _arm(recipe: Recipe, stage_id: str, blank: Mapping[str, float], name: str, levels: Mapping[str, Level]) -> Arm:
    factors = {arm_key(recipe, stage_id, c): one for c, one in levels.items() if not isinstance(one, Amount)}
    return Arm(
        name=name,
        factors={key: factors.get(key, usual) for key, usual in blank.items()},
        amounts={f"{c}@{stage_id}": one for c, one in levels.items() if isinstance(one, Amount)},
        origin="reference" if name == REFERENCE else "exploration",
    )


def levels_told(recipe: Recipe, arm: Arm) -> str:
    """In what an arm differs from the reference: `SCF x2, IL-7 x0.5, IL-15 20 ng/mL`; `as the recipe` where in nothing.

    A component that the loop varies has its factor in all stages it is varied in.
    """
    varied = {one.key: one.component for one in recipe.loop.vary}
    told = [
        f"{varied.get(key, key.partition('@')[0])} x{factor:g}" for key, factor in arm.factors.items() if factor != 1
    ]
    told += [f"{key.partition('@')[0]} {amount.display()}" for key, amount in arm.amounts.items()]
    return ", ".join(told) or "as the recipe"


def _told(level: Level) -> str:
    return f"to {level}" if isinstance(level, Amount) else f"x{level:g}"


def _impossible(levels: Levels, name: str, wanted: Mapping[str, Level], where: str) -> Iterator[Problem]:
    changed = {component: one for component, one in wanted.items() if one != _usual(levels, component)}
    if name == REFERENCE and changed:
        told = ", ".join(f"{component} {_told(one)}" for component, one in changed.items())
        remedy = "leave the reference at the recipe's values, or give the arm another name"
        yield Problem(f"the reference arm changes {told}", where, remedy)
        return
    for component, one in wanted.items():
        if not isinstance(one, Amount) and not (math.isfinite(one) and one >= 0):
            told = f"factor {one:g} of {component} is none"
            yield Problem(told, f"{where}, column {component}", "use 0 for none of it, 1 for no change, or another")


def _usual(levels: Levels, component: str) -> float:
    """Level of the reference."""
    return 1.0 if component in levels.ingredients else 0.0


def _twins(wanted: Sequence[Wanted], levels: Levels) -> Iterator[Problem]:
    components = tuple(dict.fromkeys(component for _, some, _ in wanted for component in some))
    usual = tuple(_usual(levels, component) for component in components)
    names: dict[str, str] = {}
    same: dict[tuple[float, ...], str] = {usual: REFERENCE}
    for name, some, where in wanted:
        if name in names:
            yield Problem(f"arm '{name}' is named twice, first in {names[name]}", where, "give each arm its own name")
            continue
        names[name] = where
        full = tuple(_number(some.get(one, reference)) for one, reference in zip(components, usual, strict=True))
        if name == REFERENCE:
            continue
        if full in same:
            remedy = "leave one of them out; replicates are asked for with --replicates"
            yield Problem(f"arm '{name}' is the same as '{same[full]}'", where, remedy)
        same.setdefault(full, name)


def _number(level: Level) -> float:
    return float(f"{level.canonical if isinstance(level, Amount) else level:.9g}")


def factorial_arms(
    recipe: Recipe, stage_id: str, levels_text: str, generators: Sequence[str] = (), *, more: Collection[str] = ()
) -> tuple[tuple[Arm, ...], Factorial]:
    """Arms of a full or fractional factorial, and the design with what it can tell.

    Args:
        recipe: gives the concentrations that factors are of.
        stage_id: stage the components belong to.
        levels_text: `SCF=x0,x2;IL-7=12.5 ng/mL,50 ng/mL`.
        generators: `IL-7=SCF*TPO`, one for each generated factor.
        more: components that lots are at hand of, beyond those of the recipe.

    Raises:
        PlanError: the text cannot be read, or an arm is impossible.
        FeedbackError: the design is impossible.
    """
    found = _levels(levels_text, Levels(recipe, stage_id, more))
    numbers = {name: tuple(some) for name, some in found.items()}
    design = fractional_factorial(numbers, _generators(generators)) if generators else full_factorial(numbers)
    runs = [{name: found[name][number] for name, number in run.items()} for run in design.runs]
    levels = Levels(recipe, stage_id)
    runs = [run for run in runs if any(one != _usual(levels, name) for name, one in run.items())]
    wanted = [(f"run-{number}", run, f"factorial, run {number}") for number, run in enumerate(runs, start=1)]
    return complete_arms(recipe, stage_id, wanted), design


def _levels(text: str, levels: Levels) -> dict[str, dict[float, Level]]:
    """Component to its levels, each by the number it is in the design."""
    found: dict[str, dict[float, Level]] = {}
    problems = []
    for part in (part.strip() for part in text.split(";") if part.strip()):
        name, _, written = part.partition("=")
        name = name.strip()
        if (refusal := levels.refusal(name)) is not None:
            problems.append(Problem(refusal[0], "factorial", refusal[1]))
            continue
        if name in found:
            problems.append(Problem(f"{name} stands twice", "factorial", "give all levels of a factor at once"))
        found[name] = {}
        for one in (one.strip() for one in written.split(",")):
            try:
                level = levels.read(name, one)
            except QuantityError as error:
                problems.append(Problem(error.problems[0].message, f"factorial, {name}", error.problems[0].remedy))
                continue
            if _number(level) in found[name]:
                problems.append(Problem(f"level {one} stands twice", f"factorial, {name}", "give each level once"))
            found[name][_number(level)] = level
    if problems:
        raise PlanError.from_problems(problems)
    return found


def _generators(texts: Sequence[str]) -> dict[str, str]:
    generators = {}
    for text in texts:
        name, separator, product = text.partition("=")
        if not separator or not product.strip():
            raise PlanError(f"'{text}' is not a generator", where="factorial", remedy="write IL-7=SCF*TPO")
        generators[name.strip()] = product.strip()
    return generators
