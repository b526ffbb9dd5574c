"""Why a task may have been done before somebody is asked for it, and what a person answers to that."""

from __future__ import annotations

from typing import NamedTuple

from nkloop.drivers.interfaces import UNDONE, Choice

_ASKED = "Before the program ended somebody was asked"
NOTHING = "nothing"
"""Key of the choice that nothing of a task was done."""
_NOTHING = Choice(key=NOTHING, label="nothing of it was done: it is asked for now")
_REST = (
    Choice(key="part", label="a part was done, as you say in the reason: only its rest is asked for"),
    Choice(key="done", label="all of it was done: it is not asked for again"),
)
_STOPS_HERE = Choice(key="stop", label="you cannot tell: it stops here, and asks again when it is started again")
_AGAIN = "look, weigh the vessels, then start the same again and choose what you found: nothing, a part, all of it"


class Doubt(NamedTuple):
    """One reason why a task may have been done."""

    why: str
    """What comes before the task in the question."""
    choices: tuple[Choice, ...]
    remedy: str
    """For who cannot tell."""


CUT_IN_PAUSE = Doubt(
    _ASKED,
    (
        _NOTHING,
        *_REST,
        Choice(key="stop", label="you cannot tell: the run stops, and what was moved is decided on after weighing"),
    ),
    "weigh the vessels, then say what was moved",
)
"""The robot waits in it since a program has ended."""
CUT_IN_LEFT = Doubt(_ASKED, (_NOTHING, *_REST, _STOPS_HERE), _AGAIN)
"""It was left by a run, and asked for by a program that has ended."""
TOLD_BY_HAND = Doubt(
    "Who decided about the run was told that this is to be done by hand",
    (Choice(key=UNDONE, label=_NOTHING.label), *_REST, _STOPS_HERE),
    _AGAIN,
)
"""It was left by a run about which a person has decided."""
DECLINED = (
    Choice(key=NOTHING, label="nothing of it was done: it is asked for as a whole by what goes on with the run"),
    Choice(key="part", label="a part was done, as you say in the reason: decided on after weighing"),
    Choice(key="stop", label="you cannot tell: decided on after weighing"),
)
"""Answers of who has declined a task in which people move liquid to what was done of it."""
