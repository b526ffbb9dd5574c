"""The arms of a plan: from a factorial or from named factors, with the reference among them and within the limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from nkloop.errors import FeedbackError, PlanError, Problem
from nkloop.feedback.envelope import Envelope
from nkloop.feedback.factorial import Factorial, fractional_factorial, full_factorial
from nkloop.feedback.models import Arm
from nkloop.recipes.models import Recipe, VariedComponent
from nkloop.worklists.recipe_arms import control_arms

REFERENCE = "reference"
FACTOR = re.compile(r"^(?:[x×]\s*(\d+\.?\d*|\.\d+)|(\d+\.?\d*|\.\d+)\s*[x×])$", re.IGNORECASE)
"""`x2`, `2x`, `×0.5`."""


def varied_in(recipe: Recipe, stage_id: str) -> dict[str, VariedComponent]:
    """Components the loop varies in a stage, by component name.

    Raises:
        PlanError: the recipe has no such stage, or varies nothing in it.
    """
    if stage_id not in recipe.stage_ids:
        raise PlanError(
            f"{recipe.id} has no stage '{stage_id}'", where="stage", remedy=f"use {', '.join(recipe.stage_ids)}"
        )
    found = {one.component: one for one in recipe.loop.vary if stage_id in one.stages}
    if not found:
        raise PlanError(
            f"the loop of {recipe.id} varies nothing in stage {stage_id}",
            where="stage",
            remedy="add the components to loop.vary of the recipe, or choose another stage",
        )
    return found


def complete_arms(
    recipe: Recipe, stage_id: str, wanted: Sequence[tuple[str, Mapping[str, float], str]]
) -> tuple[Arm, ...]:
    """Arms with the reference first, every factor filled in, and the recipe's own controls at the end.

    Args:
        recipe: its loop limits bound the factors.
        stage_id: stage the components belong to.
        wanted: name, factor per component and where it is written, one for each arm.

    Raises:
        PlanError: with every problem: a component is not varied, a factor outside the limits, an arm twice.
    """
    keys = {component: varied.key for component, varied in varied_in(recipe, stage_id).items()}
    envelope = Envelope.of(recipe)
    problems = [problem for one in wanted for problem in _outside(envelope, keys, *one)]
    controls = {arm.name: arm for arm in control_arms(recipe)}
    wanted = [one for one in wanted if not _is_control(one, controls)]
    problems += _twins(wanted, keys)
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
    arms = [_arm(envelope, keys, name, factors) for name, factors, _ in wanted if name != REFERENCE]
    return (_arm(envelope, keys, REFERENCE, {}), *arms, *controls.values())


def _is_control(one: tuple[str, Mapping[str, float], str], controls: Mapping[str, Arm]) -> bool:
    return one[0] in controls and all(factor == 1 for factor in one[1].values())


def _arm(envelope: Envelope, keys: Mapping[str, str], name: str, factors: Mapping[str, float]) -> Arm:
    told = {keys[component]: factor for component, factor in factors.items()}
    origin = "reference" if name == REFERENCE else "exploration"
    return Arm.model_validate({"name": name, "factors": envelope.complete(told), "origin": origin})


def _outside(
    envelope: Envelope, keys: Mapping[str, str], name: str, factors: Mapping[str, float], where: str
) -> Iterator[Problem]:
    if name == REFERENCE and any(factor != 1 for factor in factors.values()):
        changed = ", ".join(f"{component} x{factor:g}" for component, factor in factors.items() if factor != 1)
        remedy = "leave the reference at the recipe's values, or give the arm another name"
        yield Problem(f"the reference arm changes {changed}", where, remedy)
        return
    told: set[str] = set()
    checked = [({keys[component]: factor}, f"{where}, column {component}") for component, factor in factors.items()]
    for some, place in (*checked, ({keys[component]: factor for component, factor in factors.items()}, where)):
        try:
            envelope.check(some, where=place)
        except FeedbackError as error:
            yield from (problem for problem in error.problems if problem.message not in told)
            told |= {problem.message for problem in error.problems}


def _twins(wanted: Sequence[tuple[str, Mapping[str, float], str]], keys: Mapping[str, str]) -> Iterator[Problem]:
    names: dict[str, str] = {}
    same: dict[tuple[float, ...], str] = {(1.0,) * len(keys): REFERENCE}
    for name, factors, where in wanted:
        if name in names:
            yield Problem(f"arm '{name}' is named twice, first in {names[name]}", where, "give each arm its own name")
            continue
        names[name] = where
        full = tuple(round(factors.get(component, 1.0), 9) for component in keys)
        if name == REFERENCE:
            continue
        if full in same:
            remedy = "leave one of them out; replicates are asked for with --replicates"
            yield Problem(f"arm '{name}' is the same as '{same[full]}'", where, remedy)
        same.setdefault(full, name)


def factorial_arms(
    recipe: Recipe, stage_id: str, levels_text: str, generators: Sequence[str] = ()
) -> tuple[tuple[Arm, ...], Factorial]:
    """Arms of a full or fractional factorial, and the design with what it can tell.

    Args:
        recipe: its loop limits bound the levels.
        stage_id: stage the components belong to.
        levels_text: `SCF=x0.5,x2;IL-7=x0.5,x2`.
        generators: `IL-7=SCF*TPO`, one for each generated factor.

    Raises:
        PlanError: the text cannot be read, or an arm is outside the limits.
        FeedbackError: the design is impossible.
    """
    varied = varied_in(recipe, stage_id)
    levels = _levels(levels_text, varied)
    design = fractional_factorial(levels, _generators(generators)) if generators else full_factorial(levels)
    runs = [run for run in design.runs if any(factor != 1 for factor in run.values())]
    wanted = [(f"run-{number}", run, f"factorial, run {number}") for number, run in enumerate(runs, start=1)]
    return complete_arms(recipe, stage_id, wanted), design


def _levels(text: str, varied: Mapping[str, VariedComponent]) -> dict[str, tuple[float, ...]]:
    levels: dict[str, tuple[float, ...]] = {}
    problems = []
    for part in (part.strip() for part in text.split(";") if part.strip()):
        name, _, written = part.partition("=")
        name = name.strip()
        if name not in varied:
            remedy = f"use {', '.join(varied)}"
            problems.append(Problem(f"component '{name}' is not varied in this stage", "factorial", remedy))
            continue
        if name in levels:
            problems.append(Problem(f"{name} stands twice", "factorial", "give all levels of a factor at once"))
        found = [FACTOR.match(one.strip()) for one in written.split(",")]
        if not all(found):
            wrong = next(one.strip() for one, match in zip(written.split(","), found, strict=True) if not match)
            remedy = f"write {name}=x0.5,x2"
            problems.append(Problem(f"'{wrong}' of {name} is not a factor", "factorial", remedy))
        levels[name] = tuple(float(match[1] or match[2]) for match in found if match)
    if problems:
        raise PlanError.from_problems(problems)
    return levels


def _generators(texts: Sequence[str]) -> dict[str, str]:
    generators = {}
    for text in texts:
        name, separator, product = text.partition("=")
        if not separator or not product.strip():
            raise PlanError(f"'{text}' is not a generator", where="factorial", remedy="write IL-7=SCF*TPO")
        generators[name.strip()] = product.strip()
    return generators
