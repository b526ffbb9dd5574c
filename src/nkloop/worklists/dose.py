"""How strong fresh medium must be, so that a vessel is on target after it has come in.

A vessel keeps some of its contents (the rest of the last dose, decayed since) and receives fresh medium and perhaps
a cell suspension. Mass balance gives the fresh medium's concentration:
`c_fresh = (c_target * (kept + added + other) - c_kept * kept - c_other * other) / added`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nkloop.recipes.models import Recipe

Concentrations = dict[str, float]
"""Component to amount per µL, canonical."""


def after_decay(per_ul: Mapping[str, float], hours: float, half_lives_h: Mapping[str, float]) -> Concentrations:
    """Contents after some hours; components with a half-life decay exponentially, all others stay."""
    return {
        name: value * 0.5 ** (hours / half_lives_h[name]) if name in half_lives_h else value
        for name, value in per_ul.items()
    }


def half_lives_h(recipe: Recipe) -> dict[str, float]:
    """Half-life in hours of every component that states one."""
    return {one.name: one.half_life.to("h") for one in recipe.components if one.half_life is not None}


def fresh_concentration(
    target: float, kept: float, kept_ul: float, added_ul: float, other_ul: float = 0.0, other: float = 0.0
) -> float:
    """Concentration the fresh medium needs; negative when what is kept holds more than the target allows.

    Args:
        target: wanted in the vessel.
        kept: concentration of what stays.
        kept_ul: volume that stays.
        added_ul: fresh medium, above 0.
        other_ul: liquid that comes in too, such as a cell suspension or base medium.
        other: concentration of that liquid.
    """
    return (target * (kept_ul + added_ul + other_ul) - kept * kept_ul - other * other_ul) / added_ul


def most_kept_ul(target: float, kept: float, final_ul: float) -> float:
    """Largest volume of the present contents that may stay in `final_ul` without exceeding the target."""
    return final_ul if kept <= target else target * final_ul / kept


def blended(parts: Iterable[tuple[Mapping[str, float], float]]) -> Concentrations:
    """Contents of liquids put together.

    Args:
        parts: contents per µL and volume of each; their volumes add up to more than 0.
    """
    amounts: Concentrations = {}
    whole = 0.0
    for per_ul, volume in parts:
        whole += volume
        for name, value in per_ul.items():
            amounts[name] = amounts.get(name, 0.0) + value * volume
    return {name: amount / whole for name, amount in amounts.items()}
