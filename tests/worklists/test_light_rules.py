"""A light-sensitive liquid may stand open for a while: until its last use, or until it is put away in the dark."""

from __future__ import annotations

import pytest

from nkloop.worklists.light_rules import light_problems
from nkloop.worklists.models import DeckItem, Filling, Limits, Liquid, LotFacts, OperatorTask, Step, Worklist

TUBES, PLATE = "opentrons_24_tuberack_nest_1.5ml_snapcap", "corning_96_wellplate_360ul_flat"


def pause(kind, minutes, labware=(), wells=()):
    return OperatorTask(kind=kind, instruction="Do it.", minutes=minutes, labware=labware, wells=wells)


def worklist(*work, sensitive=True, **limits):
    """Dye from a tube into a plate, with what people do before and after."""
    steps = [
        {"action": "pause", "operator": one}
        if isinstance(one, OperatorTask)
        else {"action": "transfer", "labware": "tubes", "well": "A1", "to_labware": "read", "to_well": one,
              "volume_ul": 50, "tip": f"tips:{one}"}
        for one in work
    ]  # fmt: skip
    return Worklist(
        name="dye",
        procedure="cytotoxicity_assay",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="tubes", slot="A1", load_name=TUBES),
            DeckItem(nickname="read", slot="B1", load_name=PLATE, barcode="R"),
        ),
        fillings=(Filling(labware="tubes", well="A1", volume_ul=900, liquid=Liquid(name="dye", per_ul={}, lot="L")),),
        steps=tuple(Step(number=n, **one) for n, one in enumerate(steps, 1)),
        lots=(LotFacts(id="L", component="dye", expires="2027-01-01", on_hand_ul=1e6, light_sensitive=sensitive),),
        limits=Limits(**limits),
    )


@pytest.mark.parametrize(
    ("work", "minutes"),
    [
        pytest.param(("A1", pause("confirm", 20), "B1"), None, id="short"),
        pytest.param((pause("confirm", 40), "A1"), "41", id="on the deck from the start"),
        pytest.param((pause("confirm", 40), pause("equilibrate", 1, ("tubes",)), "A1"), None, id="brought when used"),
        pytest.param(
            (pause("confirm", 40), pause("equilibrate", 1, ("tubes",), ("A2",)), "A1"),
            "42",
            id="another well",
        ),
        pytest.param(("A1", pause("centrifuge", 40), "A1"), "42", id="open where it was given to"),
        pytest.param(("A1", pause("incubate", 40, ("read",))), None, id="put away in the dark"),
    ],
)
def test_open_for_too_long_is_told_with_its_time(catalogue, work, minutes):
    made = worklist(*work)
    found = list(light_problems(made, dict.fromkeys(range(1, 9), 1.0), catalogue))
    if minutes is None:
        assert found == []
        return
    (problem,) = found
    assert problem.message == f"dye (L) stands open for {minutes} min by then; at most 30 min"
    assert problem.rule == "V054"


def test_only_sensitive_lots_and_only_beyond_the_limit_of_the_worklist(catalogue):
    work = (pause("confirm", 40), "A1")
    assert not list(light_problems(worklist(*work, sensitive=False), {}, catalogue))
    assert not list(light_problems(worklist(*work, light_minutes=45), {}, catalogue))
