"""What a person says of several steps, held against the order in which a device works them.

A device begins a step when it has ended the one before. So behind the first step that did not happen whole nothing has
happened, unless somebody had the device leave that step out. What a device tells of having gone on shows in
`Fate.is_passed`; of what was skipped at its own screen there is no trace once it has forgotten its run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nkloop.errors import PlanError
from nkloop.runs.possible import sentence
from nkloop.runs.typed_steps import spans
from nkloop.runs.ways import Fate
from nkloop.worklists.models import Step

WHOLE, NOTHING = "happened", "not_happened"


def require_in_order(
    run_id: str,
    fates: Sequence[Fate],
    said: Mapping[int, str],
    skipped: Collection[int],
    words: Mapping[str, str],
) -> None:
    """Refuse that a device did a step when it had not done one before it.

    Args:
        run_id: the run.
        fates: what the journal says of its steps, in their order.
        said: number of a step to what became of it.
        skipped: steps that somebody skipped at the device's own screen.
        words: what became of a step, behind "have".

    Raises:
        PlanError: two steps contradict each other; both are named.
    """
    told = [fate.step for fate in fates if fate.step.number in said and not fate.is_passed and not by_people(fate.step)]
    missing = [step for step in told if said[step.number] != WHOLE and step.number not in skipped]
    if not missing:
        return
    first = missing[0]
    later = [step for step in told if step.number > first.number and said[step.number] != NOTHING]
    if not later:
        return
    one, last = later[0], later[-1]
    before = [step.number for step in missing if step.number < last.number]
    raise PlanError(
        f"step {one.number} ({sentence(one)}) is said to have {words[said[one.number]]}, and step {first.number} "
        f"({sentence(first)}), which comes before it, to have {words[said[first.number]]}: the device works its steps "
        "in their order and never came to the one without the other",
        where=f"run {run_id}",
        remedy="look at the deck again; if you cannot tell: --decide repair or discard. Only where somebody skipped a "
        "step at the device's own screen, or a blocked tip moved nothing: add --skipped-at-screen "
        f"{spans(before)} (in the form `Steps skipped at the screen`)",
    )


def require_told(run_id: str, said: Collection[int], skipped: Collection[int]) -> None:
    """Refuse to know of a step only that it was skipped: its failed command may have drawn liquid before.

    Raises:
        PlanError: nothing else was said of it.
    """
    silent = sorted(set(skipped) - set(said))
    if silent:
        raise PlanError(
            f"step {spans(silent)} is said to have been skipped at the device's screen, and not what became of its "
            "liquid",
            where=f"run {run_id}",
            remedy=f"say that as well: nothing was drawn: --not-happened {spans(silent)}; liquid lost with the tip: "
            f"--drawn {spans(silent)}",
        )


def by_people(step: Step) -> bool:
    """Whether people do a step: the device goes on when it is told to, whether they have done it or not."""
    return step.action == "pause" or step.operator is not None
