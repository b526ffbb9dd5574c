"""What a cell suspension dilutes is told when it is off by more than the tolerance."""

from __future__ import annotations

from nkloop.worklists.undosed import undosed_warnings


def test_what_a_suspension_dilutes_is_told_once(recipe):
    additives = [i for i in recipe.stage("grow").medium.additives if i.component == "heparin"]
    target = additives[0].amount.of("heparin").canonical
    (told,) = undosed_warnings(additives, [{"heparin": 0.9 * target}] * 3, 5.0, "why")
    assert told.count("heparin") == 1
    assert told.endswith("; why")
    assert undosed_warnings(additives, [{"heparin": 0.96 * target}], 5.0, "why") == ()
