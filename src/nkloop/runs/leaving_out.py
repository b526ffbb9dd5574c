"""Wells to be left out so that the rest of an interrupted run is accepted, where as a whole it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from nkloop.errors import NkloopError, PlanError, Problem, RecordError, VerificationError
from nkloop.records.models import DecisionKind, RunRecord
from nkloop.runs.possible import options_for
from nkloop.runs.typed_steps import wells_of
from nkloop.runs.unmixed import Spot
from nkloop.runs.weighing import RunPlace, Said, Weighed, weighed
from nkloop.worklists.ledger_check import follow, target_misses, wrong_wells
from nkloop.worklists.models import Verdict
from nkloop.worklists.verification import by_ledger, require

_OPTION = re.compile(r"--well (\w+:[\w-]+)")
_PLACE = re.compile(r"\b([a-z][a-z0-9_]*) ([A-P](?:[1-9]|1\d|2[0-4]))\b")
_ROUNDS = 8
"""How often what is refused of the narrowed rest is left out as well."""
_NAMED = 16
"""Most options that a person is told to type."""
REFUSED = (PlanError, RecordError, VerificationError)
"""What is raised where no rest is accepted."""
_PLAN_ANEW = "--decide discard and plan anew"


def weighed_by_ledger(run: RunRecord, kind: DecisionKind, said: Said, place: RunPlace) -> Weighed:
    """What would follow, where the ledger accepts it; the checks outside of this program, which take minutes, are not
    asked.

    Raises:
        RecordError: another run has changed or discarded what would follow.
        PlanError: no worklist can follow.
        VerificationError: the ledger refuses what would follow.
    """
    found = weighed(run, kind, said, place)
    if (made := found.follow_up) is not None:
        ledger = by_ledger(made, place.catalogue, place.deck)
        require(Verdict(worklist=made.name, worklist_hash=made.content_hash, checks=(ledger,)), made)
    return found


def named_wells(error: NkloopError) -> tuple[Spot, ...]:
    """Wells that the remedies of a refusal name as options."""
    return tuple(dict.fromkeys(wells_of([one for told in error.problems for one in _OPTION.findall(told.remedy)])))


def is_worth_it(run: RunRecord, wells: Iterable[Spot], place: RunPlace) -> bool:
    """Whether anything a run was to make is left without these wells; otherwise it is discarded as a whole."""
    worklist = place.records.journal.worklist(run.worklist_hash)
    kept = {item.nickname for item in worklist.deck if item.barcode}
    wanted = [
        *((end.labware, end.well) for end in worklist.ends),
        *((aim.labware, aim.well) for aim in worklist.targets),
    ]
    made = {spot for spot in wanted if spot[0] in kept}
    return not made or bool(made - set(wells))


def with_wells_to_leave_out(error: NkloopError, run: RunRecord, said: Said, place: RunPlace) -> NkloopError:
    """The refusal of a rest, with the options for the wells without which it is accepted; as it is where none are."""
    named = named_wells(error)
    if (
        named
        and is_worth_it(run, (*said.wells, *named), place)
        and _accepted(run, said._replace(wells=(*said.wells, *named)), place)
    ):
        return error
    seeds = (named, tuple(_places(error, run, place)), tuple(_off(run, said, place)))
    found = (_without(run, said._replace(wells=(*said.wells, *seed)), place) for seed in seeds if seed)
    useful = (wells for wells in found if wells and is_worth_it(run, wells, place))
    options = next((told for wells in useful if (told := options_for(wells)).count("--well ") <= _NAMED), "")
    if not options:
        return type(error).from_problems(map(_as_a_whole, error.problems))
    first, *others = error.problems
    is_own = isinstance(error, PlanError) and first.remedy and not named
    remedy = f"leave out what hangs on it, with {options}, which discards it for good, and make that anew; or "
    remedy += first.remedy if is_own else _PLAN_ANEW
    return type(error).from_problems([replace(first, remedy=remedy), *(replace(one, remedy="") for one in others)])


def _as_a_whole(problem: Problem) -> Problem:
    """What is wrong without wells that do not mend it."""
    return replace(problem, remedy=_PLAN_ANEW) if problem.remedy.endswith(f"or {_PLAN_ANEW}") else problem


def _without(run: RunRecord, said: Said, place: RunPlace) -> tuple[Spot, ...]:
    """All wells that are left out once nothing of the rest is refused any more; none where that is never so."""
    for _ in range(_ROUNDS):
        gone = tuple(dict.fromkeys(said.wells))
        try:
            return gone if weighed_by_ledger(run, "continue", said, place).follow_up is not None else ()
        except REFUSED as error:
            more = named_wells(error) or (*_places(error, run, place), *_off(run, said, place))
        if set(more) <= set(gone):
            return ()
        said = said._replace(wells=(*gone, *more))
    return ()


def _accepted(run: RunRecord, said: Said, place: RunPlace) -> bool:
    try:
        weighed_by_ledger(run, "continue", said, place)
    except REFUSED:
        return False
    return True


def _places(error: NkloopError, run: RunRecord, place: RunPlace) -> Iterator[Spot]:
    """Wells of the run that a refusal is about."""
    items = {item.nickname: item for item in place.records.journal.worklist(run.worklist_hash).deck}
    for nickname, well in _PLACE.findall(" ".join(f"{one.where} {one.message}" for one in error.problems)):
        if nickname in items and well in place.catalogue[items[nickname].load_name].wells:
            yield nickname, well


def _off(run: RunRecord, said: Said, place: RunPlace) -> Iterable[Spot]:
    """Wells that the rest would leave with other contents than planned, all of which a refusal does not name."""
    try:
        made = weighed(run, "continue", said, place).follow_up
    except REFUSED:
        return ()
    if made is None:
        return ()
    ledger = follow(made, place.catalogue, place.deck)
    missed = (miss.well.partition(" ") for miss in target_misses(made, ledger))
    return (*wrong_wells(made, ledger), *((nickname, well) for nickname, _, well in missed))
