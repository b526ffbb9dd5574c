"""Which limits of predicted error hold: those a person asks for, else those of the bench, else those of the recipe."""

from __future__ import annotations

from nkloop.recipes.error_limits import ErrorLimits
from nkloop.worklists.bench_deck import BenchDeck


def allowed_errors(of_recipe: ErrorLimits, deck: BenchDeck) -> ErrorLimits:
    """The limits of a recipe, with what the bench sets instead."""
    own = deck.error_limits
    if own is None:
        return of_recipe
    given = {"cv_percent": own.cv_percent, "bias_percent": own.bias_percent}
    return of_recipe.model_copy(update={name: value for name, value in given.items() if value is not None})


def limits_sentence(
    limits: ErrorLimits, of_recipe: ErrorLimits, deck: BenchDeck, *, whose_else: str = "of the recipe"
) -> str:
    """The limits that hold and where each comes from, in one sentence.

    Args:
        limits: that hold.
        of_recipe: what holds when neither bench nor person says otherwise.
        deck: of the bench.
        whose_else: whose those are.
    """
    own = deck.error_limits
    parts = []
    for name, title in (("cv_percent", "CV"), ("bias_percent", "systematic error")):
        value, here = getattr(limits, name), None if own is None else getattr(own, name)
        whose = "asked for"
        if own is not None and here is not None and value == here:
            whose = f"of the bench: {own.source}{'' if own.verified_by else ', not verified'}"
        elif value == getattr(of_recipe, name):
            whose = whose_else
        parts.append(f"at most {value:g} % {title} ({whose})")
    return f"Predicted error: {', '.join(parts)}."
