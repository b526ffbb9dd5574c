"""What a person says of the unknown steps of a run; neither a slip of the keyboard nor what the device contradicts may
become a ruling."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nkloop.errors import PlanError
from nkloop.records.models import RunRecord, StepRuling
from nkloop.runs.in_order import require_in_order, require_told
from nkloop.runs.possible import options_for, sentence
from nkloop.runs.typed_steps import spans
from nkloop.runs.vessels import require_part
from nkloop.runs.ways import LIQUID, Fate, Reaches, lacking, mixes_after, mixes_first

_SAID = {
    "happened": "happened",
    "not_happened": "not happened",
    "drawn": "drawn its liquid and lost it",
    "given": "given its liquid and not been mixed",
    "cut_in_first_mix": "been cut in the mix before its draw",
    "cut_in_mix": "given its liquid and been cut in its mix",
    "moved": "been done in part",
}


def rulings_of(
    run: RunRecord,
    fates: Sequence[Fate],
    said: Mapping[str, Collection[int]],
    moved: Mapping[int, float],
    reaches: Reaches = lambda step, is_target: (),
    *,
    skipped: Collection[int] = (),
) -> tuple[StepRuling, ...]:
    """One ruling for every unknown step of a run, left open where nothing was said of it.

    Where a pause held the device back and nobody says that somebody went on at its own screen, what lies behind that
    pause did not happen.

    Args:
        run: the run.
        fates: what the journal says of its steps.
        said: what became of steps, a key of `_SAID`, to their numbers.
        moved: steps that people did in part, with the µL moved in all.
        reaches: tells the wells of a step, to be named in a remedy.
        skipped: steps that somebody skipped at the device's own screen.

    Raises:
        PlanError: a step is named twice, is not unknown, or cannot have gone as it was said, by itself or with the
            others.
    """
    of_step = _said_of_each(said)
    _require_unknown(run, {*of_step, *skipped})
    for fate in fates:
        if (what := of_step.get(fate.step.number)) is not None:
            if what in {"drawn", "not_happened"}:
                _require_alike(run.id, fate, reaches)
            _require_possible(run.id, fate, what, moved)
    held = set(run.held_steps)
    if all(what == "not_happened" for number, what in of_step.items() if number in held):
        of_step |= dict.fromkeys(held, "not_happened")
    require_told(run.id, of_step, skipped)
    require_in_order(run.id, fates, of_step, skipped, _SAID)
    made = (_ruling(n, of_step.get(n), moved.get(n, 0.0)) for n in sorted(run.unknown_steps))
    return tuple(one.model_copy(update={"is_skipped": True}) if one.number in skipped else one for one in made)


def _said_of_each(said: Mapping[str, Collection[int]]) -> dict[int, str]:
    told = [(number, what) for what, numbers in said.items() for number in dict.fromkeys(numbers)]
    of_step: dict[int, str] = {}
    for number, what in told:
        if number in of_step:
            raise PlanError(
                f"step {number} is said to have {_SAID[of_step[number]]} and {_SAID[what]}", remedy="say it once"
            )
        of_step[number] = what
    return of_step


def _require_unknown(run: RunRecord, numbers: Collection[int]) -> None:
    strange = sorted(set(numbers) - set(run.unknown_steps))
    if strange:
        known = spans(sorted(run.unknown_steps)) or "none"
        raise PlanError(
            f"step {strange[0]} of {run.id} is not unknown",
            where=f"run {run.id}",
            remedy=f"steps of unknown outcome: {known}",
        )


def _require_alike(run_id: str, fate: Fate, reaches: Reaches) -> None:
    """Refuse to have a step done again by all of its channels where the device says that some of them gave."""
    if not fate.each_ul:
        return
    step, n = fate.step, fate.step.number
    gave = sum(given > 0 for given in fate.each_ul)
    raise PlanError(
        f"step {n} ({sentence(step)}) gave with {gave} of {len(fate.each_ul)} channels, the device says so: "
        "done again, their wells would get it twice",
        where=f"run {run_id}",
        remedy=f"leave out the wells that lack it: --happened {n} {options_for(lacking(fate, reaches))}; if you cannot "
        "tell: --decide repair or discard",
    )


def _require_possible(run_id: str, fate: Fate, what: str, moved: Mapping[int, float]) -> None:
    """Refuse what the device, or the kind of the step, contradicts."""
    step = fate.step
    if fate.fell_short:
        _require_short(run_id, fate, what)
    elif what == "not_happened" and fate.is_drawn and fate.given_ul < step.volume_ul:
        raise PlanError(
            f"step {step.number} ({sentence(step)}) drew its liquid, the device says so: it cannot be that nothing "
            "happened",
            where=f"run {run_id}",
            remedy=f"a dry tip means that the liquid was given: --happened {step.number}; liquid still in the tip, "
            f"or lost with it: --drawn {step.number}; if you cannot tell: --decide repair or discard",
        )
    if what == "drawn" and step.action not in LIQUID:
        no_tip = "is done without a tip" if step.moves else "moves no liquid"
        raise PlanError(
            f"step {step.number} ({sentence(step)}) {no_tip}, so none of it was drawn and lost",
            where=f"run {run_id}",
            remedy=f"say whether it happened: --happened {step.number} or --not-happened {step.number}",
        )
    if fate.is_cut_first and what not in {"not_happened", "cut_in_first_mix"}:
        raise PlanError(
            f"step {step.number} ({sentence(step)}) was cut in the mix before its draw, the device says so: it gave "
            "nothing",
            where=f"run {run_id}",
            remedy=f"liquid of that mix still in the tip, or lost with it: --cut-in-first-mix {step.number}; a tip "
            f"without liquid, or emptied into the source by hand: --not-happened {step.number}",
        )
    if what == "cut_in_first_mix" and not mixes_first(step):
        raise PlanError(
            f"step {step.number} ({sentence(step)}) mixes nothing before its draw, so it was not cut there",
            where=f"run {run_id}",
            remedy=f"liquid in its tip was drawn to be given: --drawn {step.number}",
        )
    if what == "moved":
        require_part(run_id, step, moved[step.number])
    if what in {"given", "cut_in_mix"} and not mixes_after(step):
        raise PlanError(
            f"step {step.number} ({sentence(step)}) mixes nothing after it has given, so it was not cut there",
            where=f"run {run_id}",
            remedy=f"when its liquid was given, it happened: --happened {step.number}"
            + (f"; cut in the mix before its draw: --cut-in-first-mix {step.number}" if mixes_first(step) else ""),
        )


def _require_short(run_id: str, fate: Fate, what: str) -> None:
    """Refuse that something arrived of a step of which the device never began to give, or that it mixed to its end."""
    step, drawn = fate.step, f"liquid in the tip, or missing in the source: --drawn {fate.step.number}"
    if fate.is_drawn and what == "not_happened":
        raise PlanError(
            f"step {step.number} ({sentence(step)}) drew its liquid and had not begun to give, the device says so: its "
            "source lacks it, wherever it is now",
            where=f"run {run_id}",
            remedy=drawn,
        )
    if what not in {"drawn", "not_happened"}:
        is_mix = step.action == "mix"
        had_not = "not come to the end of its mix" if is_mix else "not begun to give"
        by_hand = "was mixed by hand is mixed once more" if is_mix else "somebody pipetted by hand: --decide discard"
        nothing = "" if fate.is_drawn else f"; nothing in the tip, nothing missing: --not-happened {step.number}"
        raise PlanError(
            f"step {step.number} ({sentence(step)}) cannot have {_SAID[what]}: the device had {had_not} when "
            "the run ended, its list of commands says so",
            where=f"run {run_id}",
            remedy=f"{drawn}{nothing}; what {by_hand}",
        )


def _ruling(number: int, said: str | None, moved_ul: float) -> StepRuling:
    if said in {None, "happened"}:
        return StepRuling(number=number, happened=True if said else None)
    return StepRuling(
        number=number,
        happened=False,
        is_drawn=said in {"drawn", "cut_in_mix"},
        is_given=said in {"given", "cut_in_mix"},
        is_cut_first=said == "cut_in_first_mix",
        moved_ul=moved_ul,
    )
