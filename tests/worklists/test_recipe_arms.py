"""Arms that a recipe or a request has."""

from __future__ import annotations

from nkloop.worklists.recipe_arms import unknown_arm


def test_an_arm_nobody_asked_for_is_said_with_the_one_it_may_be_and_how_to_add_it() -> None:
    slip = unknown_arm("referense", ("reference", "arm-1-2"), "feed, well A1")
    assert slip.message == "arm 'referense' is not in the request, which has reference, arm-1-2"
    assert slip.remedy.startswith("did you mean 'reference'? Then correct the name; or add the arm to those asked for")
    strange = unknown_arm("low-IL2", ("reference",), "feed, well A1")
    assert strange.remedy.startswith("correct the name; or add the arm")
