"""What a person may answer about an interrupted run; each answer is weighed before it is offered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pydantic import Field

from nkloop.errors import NkloopError
from nkloop.frozen import FrozenModel
from nkloop.records.models import DecisionKind, RunDecision, RunRecord
from nkloop.runs.leaving_out import REFUSED, is_worth_it, named_wells, weighed_by_ledger
from nkloop.runs.open_steps import OpenStep
from nkloop.runs.unmixed import Spot
from nkloop.runs.weighing import RunPlace, Said, to_be_decided
from nkloop.worklists.models import PLATE_READING

_LEFT_OUT = (
    "; the wells that its source no longer reaches are left out: they are discarded, which no later decision takes back"
)


class Offer(FrozenModel):
    """One answer, and when it is the right one."""

    when: str
    """What a person has seen, and what follows."""
    kind: DecisionKind
    said: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """What is said of steps (`happened`, `not_happened`, `drawn`, ...), to their numbers."""
    part_of: int = 0
    """Number of a step of people of which the volume moved is to be said; 0 where none is."""
    part_ul: float = 0.0
    """A volume it may be, for weighing the offer; the person says the true one."""
    wells: tuple[Spot, ...] = ()
    """Nickname and well of those that are discarded."""
    refused: str = ""
    """Why it cannot be answered; empty where it can."""


def offers_for(
    run: RunRecord, steps: Sequence[OpenStep], place: RunPlace, *, has_wells: bool, has_vessels: bool
) -> tuple[Offer, ...]:
    """Every answer that is worth a thought, those that would be refused with the reason.

    The ledger and its rules are asked; the checks outside of this program, which take minutes, are not.

    Args:
        run: the run.
        steps: of which nobody knows what became of them.
        place: where the run was.
        has_wells: whether wells depend on them.
        has_vessels: whether vessels that people fill depend on them.
    """
    if not run.needs_decision or not steps or run.procedure == PLATE_READING:
        return ()
    made = candidates(steps, has_wells=has_wells, has_vessels=has_vessels)
    if run.is_foreign:
        made = _of_foreign(steps)
    return tuple(_judged(run, offer, place) for offer in made)


def candidates(steps: Sequence[OpenStep], *, has_wells: bool, has_vessels: bool) -> tuple[Offer, ...]:
    """The answers before they are weighed; what a tired person types first comes first and is right either way."""
    is_liquid = has_wells or any(step.tip for step in steps)
    is_first = any(step.is_cut_first for step in steps)
    fell_short = next((step for step in steps if step.fell_short), None)
    found = list[Offer]()
    if is_liquid:
        found.append(
            Offer(when="you cannot see it: a correction that is right either way, where there is one", kind="repair")
        )
        thrown = "throw away the wells above; or some, with --well plate:B3"
        known = "nothing more of it is done; what its wells hold is known, throw some away with --well plate:B3"
        found.append(Offer(when=thrown if has_wells else known, kind="discard"))
        found += _fell_short(fell_short, steps) if fell_short else _cut_first(steps) if is_first else _cut(steps)
    if not is_first and fell_short is None:
        uneven = any(step.lacking for step in steps)
        found.append(_in_some(steps) if uneven else _undone(steps, is_liquid=is_liquid, has_vessels=has_vessels))
        found += _in_part(steps)
        it = _it(steps)
        numbers = tuple(step.number for step in steps)
        told = f"you saw that {it} happened: only the rest is done"
        found.append(Offer(when=told, kind="continue", said={"happened": numbers}))
    return tuple(one for place, one in enumerate(found) if not any(_is_same(one, other) for other in found[:place]))


def _of_foreign(steps: Sequence[OpenStep]) -> tuple[Offer, ...]:
    """The answers about a run that was not begun from here."""
    every = tuple(step.number for step in steps)
    none = "it touched none of the labware of this run, as when another plate stood there: nothing changes"
    some = "it may have: throw away the wells that its steps reach; say --not-happened of those that touched nothing"
    return (
        Offer(when=none, kind="continue", said={"not_happened": every}),
        Offer(when=some, kind="discard"),
    )


def _is_same(one: Offer, other: Offer) -> bool:
    return (one.kind, one.said, one.part_of, one.wells) == (other.kind, other.said, other.part_of, other.wells)


def others_cut(steps: Sequence[OpenStep]) -> str:
    """How the other steps are said to have been cut, of which the first one stands for all; empty where there is none.

    A device works its steps in order, so that which one was cut tells of all others.
    """
    ahead = [step for step in steps if not step.is_passed]
    if len(ahead) < 2 or not any(step.tip for step in ahead):
        return ""
    return (
        "when a later step was the one that was cut: say that of it in place of the first, --happened of all before "
        "it, --not-happened of all behind it"
    )


def _it(steps: Sequence[OpenStep]) -> str:
    return "it" if len(steps) == 1 else "they"


def _cut_first(steps: Sequence[OpenStep]) -> list[Offer]:
    """Of a step that was certainly cut in the mix before its draw: is the liquid of that mix lost, or in its source?"""
    cut = next(step for step in steps if step.is_cut_first)
    whose = f"step {cut.number}'s" if len(steps) > 1 else "its"
    dry = f"{whose} tip holds no liquid, or you emptied it into the source: nothing is missing, the step is done"
    wet = f"{whose} tip held liquid of the mix before the draw, lost: the step is done from what the source has left"
    return [_beside("not_happened", cut, steps, dry), _beside("cut_in_first_mix", cut, steps, wet)]


def _fell_short(cut: OpenStep, steps: Sequence[OpenStep]) -> list[Offer]:
    """Of a step that certainly gave nothing, or did not mix to its end: is its liquid lost, or in its source?"""
    whose = f"step {cut.number}'s" if len(steps) > 1 else "its"
    again = "is done from what the source has left" if cut.target else "mixes what the well has left"
    wet = f"{whose} liquid was in the tip, or is missing where it was drawn: lost, the step {again}"
    dry = f"{whose} tip holds no liquid, nothing is missing where it was drawn: the step is done"
    found = [_beside("drawn", cut, steps, wet)]
    return found if cut.is_drawn else [_beside("not_happened", cut, steps, dry), *found]


def _cut(steps: Sequence[OpenStep]) -> list[Offer]:
    """Answers for the first step that was cut where liquid may have been lost, or its mix not done."""
    found = list[Offer]()

    def offer(word: str, is_meant: Callable[[OpenStep], bool], told: str) -> None:
        cut = next((step for step in steps if is_meant(step)), None)
        if cut is not None:
            name = "it" if len(steps) == 1 else f"step {cut.number} of them"
            found.append(_beside(word, cut, steps, told.format(name=name)))

    left = "it is done from what its source has left"
    offer(
        "drawn",
        lambda one: bool(one.tip) and not one.is_given and not one.lacking,
        f"{{name}} had its liquid in the tip, lost: {left}",
    )
    offer(
        "cut_in_first_mix",
        lambda one: one.mixes_first and not one.is_drawn,
        f"{{name}} was cut in the mix before its draw, with liquid of that mix in the tip, lost: {left}",
    )
    mixed = "gave its liquid and was cut before its mix had ended"
    offer("given", lambda one: one.mixes, f"{{name}} {mixed}, tip without liquid: it is mixed")
    offer("cut_in_mix", lambda one: one.mixes, f"{{name}} {mixed}, liquid of the mix in the tip, lost: it is mixed")
    return found


def _beside(word: str, cut: OpenStep, steps: Sequence[OpenStep], when: str) -> Offer:
    """What is said of one step, and of all others beside it: a device that works them in order came to none behind
    it without having done those before it."""
    said: dict[str, list[int]] = {word: [cut.number]}
    for step in steps:
        if step.number != cut.number:
            is_before = step.number < cut.number and not step.is_passed
            said.setdefault("happened" if is_before else _least(step), []).append(step.number)
    return Offer(when=when, kind="continue", said={name: tuple(sorted(numbers)) for name, numbers in said.items()})


def _least(step: OpenStep) -> str:
    """What is said of a step that did not happen, as far as its device allows that."""
    if step.is_given:
        return "given" if step.mixes else "happened"
    if step.lacking:
        return "happened"
    return "drawn" if step.is_drawn else "not_happened"


def _in_some(steps: Sequence[OpenStep]) -> Offer:
    """The answer that a step happened in the wells of those channels that certainly gave, and only there."""
    cut = next(step for step in steps if step.lacking)
    told = f"step {cut.number} gave with some channels only, as its device says: the wells that lack it are left out"
    return _beside("happened", cut, steps, told).model_copy(update={"wells": cut.lacking})


def _undone(steps: Sequence[OpenStep], *, is_liquid: bool, has_vessels: bool) -> Offer:
    """The answer that nothing of them happened."""
    it = _it(steps)
    done = f"{it} {'is' if it == 'it' else 'are'} done as well" if is_liquid else "people do that themselves"
    if has_vessels and not is_liquid:
        done = f"people are asked for {it if it == 'it' else 'them'} again"
    said: dict[str, list[int]] = {}
    for step in steps:
        said.setdefault(_least(step), []).append(step.number)
    when = f"you saw that {it} did not happen: {done}"
    return Offer(when=when, kind="continue", said={word: tuple(numbers) for word, numbers in said.items()})


def _in_part(steps: Sequence[OpenStep]) -> list[Offer]:
    """The answer for a task of people in which only a part of the liquid was moved."""
    first = next((step for step in steps if step.by_hand_ul), None)
    if first is None:
        return []
    made = _beside("moved", first, steps, f"a part of step {first.number} was moved, as the scale shows: people do")
    said = {word: numbers for word, numbers in made.said.items() if word != "moved"}
    told = {"when": f"{made.when} only its rest", "said": said}
    return [made.model_copy(update={**told, "part_of": first.number, "part_ul": first.by_hand_ul / 2})]


def _judged(run: RunRecord, offer: Offer, place: RunPlace) -> Offer:
    """The offer, with the wells that have to be left out for it, or with why it is refused."""
    error = _refusal(run, offer, place)
    if error is None:
        return offer
    if offer.kind == "continue" and (wells := named_wells(error)):
        narrowed = offer.model_copy(update={"wells": wells, "when": offer.when + _LEFT_OUT})
        if is_worth_it(run, wells, place) and _refusal(run, narrowed, place) is None:
            return narrowed
    return offer.model_copy(update={"refused": _reason(error)})


def _refusal(run: RunRecord, offer: Offer, place: RunPlace) -> NkloopError | None:
    """How it is refused when it is typed; None where it is accepted."""
    try:
        _weigh(run, offer, place)
    except REFUSED as error:
        return error
    return None


def _weigh(run: RunRecord, offer: Offer, place: RunPlace) -> None:
    """Refuse what would be refused when it is typed."""
    to_be_decided(run.id, offer.kind, (), 0, place.records)
    moved = {offer.part_of: offer.part_ul} if offer.part_of else {}
    steps = {**offer.said, "moved": tuple(moved)}
    found = weighed_by_ledger(run, offer.kind, Said(steps, moved, offer.wells), place)
    decision = RunDecision(
        run_id=run.id, decision=offer.kind, by="nobody", reason="only weighed", at=run.ended_at or datetime.now(UTC),
        rulings=found.rulings, wells=found.gone,
    )  # fmt: skip
    place.records.decisions.require_addable(decision, found.left)


def _reason(error: NkloopError) -> str:
    first, *others = error.problems
    where = "" if not first.where or first.where.startswith("run ") else f"{first.where}: "
    return f"{where}{first.message}" + (f"; {len(others)} more like it" if others else "")
