"""The options of `nkloop reconcile`: how each is typed, and the decision they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nkloop.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RunArgument = Annotated[
    str, typer.Argument(help="Id of a run, as run-0007; `nkloop runs --open` lists those that wait.")
]
DecideOption = Annotated[
    Literal["continue", "repair", "discard"] | None,
    typer.Option(help="continue: do the rest; repair: do it with a correction; discard: throw the wells away."),
]
ByOption = Annotated[str, typer.Option("--by", help="Your name; it is recorded with the decision.")]
ReasonOption = Annotated[str, typer.Option(help="Why, in a sentence; it is recorded with the decision.")]
HappenedOption = Annotated[str, typer.Option(help="Unknown steps that did happen, as you saw: 3 or 1-4,7.")]
NotHappenedOption = Annotated[
    str, typer.Option(help="Unknown steps that did not happen, as you saw: nothing drawn, nothing given.")
]
DrawnOption = Annotated[
    str, typer.Option(help="Unknown steps that drew their liquid and lost it with the tip: nothing given.")
]
CutInFirstMixOption = Annotated[
    str,
    typer.Option(
        help="Unknown steps that were cut in the mix before their draw, with liquid of that mix in the tip, which the "
        "source now lacks: nothing given. With the tip empty: --not-happened."
    ),
]
GivenOption = Annotated[
    str, typer.Option(help="Unknown steps that gave their liquid and were not mixed after it; tip without liquid.")
]
CutInMixOption = Annotated[
    str, typer.Option(help="The same with liquid of that mix in the tip, which the well now lacks.")
]
SkippedOption = Annotated[
    str,
    typer.Option(
        "--skipped-at-screen",
        help="Of the steps that did not happen, those that somebody skipped at the robot's own screen (or whose tip "
        "was blocked), so that later steps may have happened all the same: 3 or 1-4,7.",
    ),
]
MovedOption = Annotated[
    list[str] | None,
    typer.Option(help="Unknown step people did in part, and what they moved in it: '12=10 mL'; several times."),
]
WellOption = Annotated[
    list[str] | None, typer.Option(help="Well to discard, as plate:B3 or plate:A3-H3; several times.")
]
OtherVesselsOption = Annotated[
    list[str] | None,
    typer.Option(help="Later run whose closed vessels are others of the same names, as of another batch: run-0009."),
]
RobotReplacedOption = Annotated[
    bool,
    typer.Option(
        "--robot-replaced",
        help="With --decide: another robot has taken the place of the run's own, and all that stood on its deck "
        "was carried over to it. The old one counts as --lost.",
    ),
]
InsteadOfOption = Annotated[
    int,
    typer.Option(
        help="With --decide: number of the decision that this one replaces, as `nkloop reconcile RUN` tells it.",
        min=0,
    ),
]
StopOption = Annotated[
    bool, typer.Option("--stop", help="Stop a run that is still under way instead of following it to its end.")
]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Follow or stop a run that a real device still has; without it only look.")
]
LostOption = Annotated[
    bool, typer.Option("--lost", help="The device will never answer again: whatever was sent counts as unknown.")
]
WholeOption = Annotated[bool, typer.Option("--all", help="Show every unknown step and every possibility.")]


def decision_of(
    by: str, reason: str, seen: Mapping[str, str], moved: Sequence[str], wells: Sequence[str], apart: Sequence[str]
) -> dict[str, Any]:
    """What `decide` is to be told by whom, read from what was typed of the steps, wells and runs a person saw."""
    from nkloop.runs.typed_steps import numbers_of, volumes_of, wells_of

    _require_person(by, reason)
    steps = {name: numbers_of(typed) for name, typed in seen.items()}
    more = {"moved": volumes_of(moved), "wells": wells_of(wells), "apart": tuple(apart)}
    return {"by": by, "reason": reason, **steps, **more}


def _require_person(by: str, reason: str) -> None:
    """Ask for a name and a reason that mean something to whoever reads the record later."""
    for option, value, least in (("--by", by, 2), ("--reason", reason, 3)):
        if len(value) < least:
            given = f"'{value}' is too short" if value else "it is missing"
            raise RecordError(
                f"a decision needs a name and a reason; {given}, at least {least} characters",
                where=option,
                remedy='say for example --by "Ada L" --reason "power cut, looked at the plate"',
            )
