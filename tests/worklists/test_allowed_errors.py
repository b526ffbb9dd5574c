"""Whose limits of predicted error hold: a person's, the bench's, the recipe's."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nkloop.recipes.models import ErrorLimits
from nkloop.worklists.allowed_errors import allowed_errors, limits_sentence
from nkloop.worklists.bench_deck import BenchErrorLimits

RECIPE = ErrorLimits(cv_percent=5, bias_percent=12)


def with_limits(deck, **limits):
    return deck.model_copy(update={"error_limits": BenchErrorLimits(source="OQ report 7", **limits)})


def test_a_bench_overrides_what_it_states_and_nothing_else(deck):
    bench = with_limits(deck, cv_percent=3)
    assert allowed_errors(RECIPE, deck) == RECIPE
    assert allowed_errors(RECIPE, bench) == ErrorLimits(cv_percent=3, bias_percent=12)
    told = limits_sentence(ErrorLimits(cv_percent=3, bias_percent=20), RECIPE, bench)
    assert told == (
        "Predicted error: at most 3 % CV (of the bench: OQ report 7, not verified), "
        "at most 20 % systematic error (asked for)."
    )
    assert "at most 12 % systematic error (of the recipe)" in limits_sentence(RECIPE, RECIPE, deck)
    signed = with_limits(deck, bias_percent=8, verified_by="Ada")
    assert "at most 8 % systematic error (of the bench: OQ report 7)" in limits_sentence(
        allowed_errors(RECIPE, signed), RECIPE, signed
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"source": "x"}, "limits nothing", id="nothing limited"),
        pytest.param({"source": "", "cv_percent": 3}, "at least 1 character", id="no source"),
        pytest.param({"cv_percent": 3}, "Field required", id="source missing"),
        pytest.param({"source": "x", "cv_percent": 0}, "greater than 0", id="zero"),
    ],
)
def test_a_bench_states_limits_with_their_source(given, message):
    with pytest.raises(ValidationError, match=message):
        BenchErrorLimits.model_validate(given)
