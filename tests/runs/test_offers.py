"""Every command that is printed after an interruption is accepted as it is typed."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nkloop.cli.reconcile_options import decision_of
from nkloop.cli.run.question import typed
from nkloop.coordination.question_page import question_markdown
from nkloop.errors import PlanError
from nkloop.records import Records
from nkloop.records.models import HELD_BACK, IN_ORDER, Context, JournalEvent, OperatorAction, StepRuling
from nkloop.reports.deck_map import deck_svg
from nkloop.reports.run_sheet import run_sheets
from nkloop.runs.asking import Question, question
from nkloop.runs.deciding import Decided, decide
from nkloop.runs.held_back import held_back
from nkloop.runs.offers import Offer
from nkloop.runs.outcomes import MIXING_FIRST, NOT_GIVEN, NOT_MIXED, all_unknown
from nkloop.runs.possible import replay
from nkloop.runs.rulings import rulings_of
from nkloop.runs.ways import fates_of
from nkloop.worklists.models import FULL_RACK, LEFT_TIP, CheckResult, Verdict, Worklist
from nkloop.worklists.verification import by_ledger

from .conftest import AT

_SPEC = importlib.util.spec_from_file_location(
    "make_examples", Path(__file__).parents[1] / "protocols" / "make_examples.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
examples: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(examples)
PROCEDURES = tuple(examples.EXAMPLES)
_, _, CATALOGUE, DECK = examples.shipped()


@pytest.fixture(scope="module")
def fresh(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Records]]:
    """Makes empty records."""
    opened = list[Records]()

    def make() -> Records:
        path = tmp_path_factory.mktemp("records") / "records.db"
        shutil.copy(migrated, path)
        opened.append(Records(f"sqlite:///{path}"))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


async def by_rules(worklist: Worklist) -> Verdict:
    ledger = by_ledger(worklist, CATALOGUE, DECK)
    return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(ledger,))


def cut_open(records: Records, worklist: Worklist, *, is_started: bool = True) -> str:
    """A run that was sent and is not over."""
    passed = CheckResult(check="ledger", passed=True, seconds=0)
    verdict = Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=(passed,))
    run_id = records.journal.create_run(worklist, verdict, bench="virtual", device="flex", at=AT, context=Context())
    records.journal.append_event(run_id, [s.number for s in worklist.steps], "sent", at=AT, device="flex")
    records.journal.set_run_state(run_id, "running", started_at=AT if is_started else None)
    return run_id


def cut_run(records: Records, worklist: Worklist, events: list[JournalEvent]) -> str:
    run_id = cut_open(records, worklist)
    seen = min((event.number for event in events if event.event == "unknown"), default=1)
    confirm(run_id, [step.number for step in worklist.steps if step.action == "pause" and step.number < seen], records)
    events = list(held_back(records.journal.run(run_id), events, records))
    records.journal.append_events(run_id, events)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    return run_id


def told_by_device(worklist: Worklist, cut: int, how: str) -> list[JournalEvent]:
    """The device tells of every step but the one that was cut: it drew, it mixed its source, or how far is not told."""
    step = worklist.steps[cut - 1]
    detail, moved = "the run ended during this step", tuple[float, ...]()
    if how == "mixing" and step.action == "transfer" and step.mix_before:
        detail = f"{detail}; {MIXING_FIRST}"
    if how in {"drawn", "given"} and step.action == "transfer":
        moved = (step.volume_ul if how == "given" else 0.0,) * step.channels
    if how in {"not given", "drawn"} and step.action == "transfer":
        detail = f"{detail}; {NOT_GIVEN}"
    if how == "not given" and step.action == "mix":
        detail = f"{detail}; {NOT_MIXED}"
    done = [JournalEvent(number=n, event="done", at=AT) for n in range(1, cut)]
    failed = [
        JournalEvent(number=n, event="failed", at=AT, detail="not started: the run ended before this step")
        for n in range(cut + 1, len(worklist.steps) + 1)
    ]
    return [*done, JournalEvent(number=cut, event="unknown", at=AT, detail=detail, moved_ul=moved), *failed]


def forgotten(worklist: Worklist, seen: int) -> list[JournalEvent]:
    """The device was seen at a step and has forgotten the run."""
    numbers = [step.number for step in worklist.steps]
    done = [JournalEvent(number=n, event="done", at=AT) for n in numbers if n < seen]
    return [*done, *all_unknown([n for n in numbers if n >= seen], "forgotten", at=AT, device="flex")]


async def answered(run_id: str, offer: Offer, records: Records) -> Decided:
    """The decision of a command as a person copies it from the screen."""
    kind, *words = shlex.split(typed(offer).replace("VOLUME mL", f"{offer.part_ul} µL"))
    options = list(zip(words[::2], words[1::2], strict=True))
    lists: dict[str, list[str]] = {"--moved": [], "--well": []}
    seen = dict[str, str]()
    for name, value in options:
        if name in lists:
            lists[name].append(value)
        elif name not in {"--by", "--reason"}:
            seen[name.removeprefix("--").replace("-", "_")] = value
    told = decision_of("Ada L", "looked at the deck", seen, lists["--moved"], lists["--well"], ())
    number = len(records.decisions.of_run(run_id))
    return await decide(
        run_id, kind, at=AT, records=records, catalogue=CATALOGUE, deck=DECK, verify=by_rules, instead_of=number, **told
    )  # fmt: skip


def all_accepted(make: Callable[[], tuple[str, Records]]) -> None:
    """Type every command that is offered of a run; what discards wells cannot be replaced, so a new run is made."""
    run_id, records = make()
    asked = asked_of(run_id, records)
    offers = [one for one in asked.offers if not one.refused]
    assert offers, "there is always a way"
    for offer in sorted(offers, key=lambda one: bool(one.wells) or one.kind == "discard"):
        is_final = bool(offer.wells) or offer.kind == "discard"
        asyncio.run(answered(*((run_id, offer, records) if not is_final else _another(make, offer))))


def _another(make: Callable[[], tuple[str, Records]], offer: Offer) -> tuple[str, Offer, Records]:
    run_id, records = make()
    return run_id, offer, records


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_every_printed_command_is_accepted(procedure: str, fresh: Callable[[], Records]) -> None:
    worklist = examples.EXAMPLES[procedure]()

    @given(
        cut=st.integers(1, len(worklist.steps)),
        how=st.sampled_from(["drawn", "given", "mixing", "not given", "not told", "forgotten"]),
    )
    @settings(max_examples=12, deadline=None)
    def check(cut: int, how: str) -> None:
        def make() -> tuple[str, Records]:
            records = fresh()
            events = forgotten(worklist, cut) if how == "forgotten" else told_by_device(worklist, cut, how)
            return cut_run(records, worklist, events), records

        all_accepted(make)

    check()


def said_in_order(offer: Offer, asked: Question, worklist: Worklist) -> str:
    """One letter per step that a device does: happened, cut, or not happened."""
    letters = {"happened": "h", "not_happened": "n"}
    told = {number: letters.get(word, "c") for word, numbers in offer.said.items() for number in numbers}
    people = {step.number for step in worklist.steps if step.action == "pause"}
    ahead = [one.number for one in asked.steps if not one.is_passed and one.number not in people]
    return "".join(told.get(number, "") for number in ahead)


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_no_command_is_printed_that_a_device_cannot_have_followed(procedure: str, fresh: Callable[[], Records]) -> None:
    worklist = examples.EXAMPLES[procedure]()

    @given(seen=st.integers(1, len(worklist.steps)))
    @settings(max_examples=8, deadline=None)
    def check(seen: int) -> None:
        records = fresh()
        asked = asked_of(cut_run(records, worklist, forgotten(worklist, seen)), records)
        for offer in asked.offers:
            assert re.fullmatch("h*c?n*", said_in_order(offer, asked, worklist)), typed(offer)

    check()


async def test_a_step_in_the_middle_of_several_was_cut_behind_all_before_it(records: Records) -> None:
    """Only the sixteenth step mixes what it has given."""
    worklist = examples.EXAMPLES["cytokine_dosing"]()
    asked = asked_of(run_id := cut_run(records, worklist, forgotten(worklist, 3)), records)
    middle = [one for one in asked.offers if one.said.get("given")]
    assert [typed(one).partition(" --by")[0] for one in middle] == [
        "continue --given 16 --happened 3-15 --not-happened 17-44"
    ]
    assert (await answered(run_id, middle[0], records)).follow_up is not None
    wrong = middle[0].model_copy(update={"said": {"given": (16,), "not_happened": (*range(3, 16), *range(17, 45))}})
    with pytest.raises(
        PlanError, match=r"step 16 .* to have given its liquid .*step 3 .*works its steps in their order"
    ):
        await answered(run_id, wrong, records)
    at_screen: dict[str, tuple[int, ...]] = {"not_happened": (3,), "happened": tuple(range(4, 45))}
    with pytest.raises(PlanError, match="--skipped-at-screen 3 "):
        await answered(run_id, wrong.model_copy(update={"said": at_screen}), records)
    skipped = wrong.model_copy(update={"kind": "discard", "said": {**at_screen, "skipped_at_screen": (3,)}})
    assert [one.number for one in (await answered(run_id, skipped, records)).decision.rulings if one.is_skipped] == [3]


MIXING = 46
"""Step of the killing assay that mixes 3 x 900 µL of target cells, then draws 800 µL of them."""


def accepted(asked: Question) -> list[str]:
    return [typed(one).partition(" --by")[0] for one in asked.offers if not one.refused]


async def test_a_step_cut_in_the_mix_before_its_draw_is_done_from_what_is_there(records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    step = worklist.steps[MIXING - 1]
    assert (step.mix_before, step.mix_volume_ul, step.volume_ul) == (3, 900, 800)
    run_id = cut_run(records, worklist, told_by_device(worklist, MIXING, "mixing"))
    asked = asked_of(run_id, records)
    source = next(well for well in asked.wells if (well.labware, well.well) == (step.labware, step.well))
    low, high = source.volumes_ul
    assert high - low == 900, "nothing was given: only the liquid of the mix may be missing"
    assert [(well.labware, well.well) for well in asked.wells] == [(step.labware, step.well)]
    assert f"continue --not-happened {MIXING}" in accepted(asked)
    assert not any(word in one for one in accepted(asked) for word in ("--drawn", "--given", " --happened"))
    for said, moved in (({"not_happened": [MIXING]}, 0), ({"cut_in_first_mix": [MIXING]}, 900)):
        fates = fates_of(worklist, records.journal.events(run_id), rulings_of(asked.run, (), said, {}))
        held = replay(worklist, fates, CATALOGUE, DECK).volume_ul(step.labware, step.well)
        assert held == pytest.approx(high - moved)
    with pytest.raises(PlanError, match=r"it gave nothing.*--cut-in-first-mix 46.*--not-happened 46"):
        await decide(
            run_id, "continue", by="Ada", reason="looked", at=AT, records=records, catalogue=CATALOGUE, deck=DECK,
            verify=by_rules, drawn=[MIXING],
        )  # fmt: skip
    page = question_markdown(asked)
    assert f"**continue** with *Steps that did not happen* `{MIXING}`" in page


async def test_what_was_lost_with_that_mix_is_done_where_the_source_has_enough(records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    plenty = tuple(
        one.model_copy(update={"volume_ul": 9000}) if (one.labware, one.well) == ("cells", "A1") else one
        for one in worklist.fillings
    )
    run_id = cut_run(
        records,
        worklist := worklist.model_copy(update={"fillings": plenty}),
        told_by_device(worklist, MIXING, "mixing"),
    )
    asked = asked_of(run_id, records)
    assert f"continue --cut-in-first-mix {MIXING}" in accepted(asked)
    offer = next(one for one in asked.offers if "cut_in_first_mix" in one.said)
    made = await answered(run_id, offer, records)
    assert made.follow_up is not None
    assert made.decision.rulings == (StepRuling(number=MIXING, happened=False, is_cut_first=True),)
    assert [one.volume_ul for one in made.follow_up.steps if one.comment.startswith("K-562 into D4")] == [800]


async def test_behind_a_pause_nobody_was_asked_to_end_nothing_has_happened(records: Records) -> None:
    """The device forgot a run that stood before its second pause, or behind it in a hand of somebody at its screen."""
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    pauses = [step.number for step in worklist.steps if step.action == "pause"]
    first, second = pauses[1:3]
    confirm(run_id := cut_open(records, worklist), pauses[:2], records)
    run = records.journal.run(run_id)
    events = held_back(run, forgotten(worklist, first + 1), records)
    records.journal.append_events(run_id, events)
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    asked = asked_of(run_id, records)
    assert asked.held == tuple(range(second, len(worklist.steps) + 1))
    assert [step.number for step in asked.steps] == list(range(first + 1, second))
    assert asked.held_at.startswith(f"step {second} (Incubate the assay plate")
    assert not any(well.labware == "detection" for well in asked.wells), "which is filled behind the pause"
    offer = next(one for one in asked.offers if set(one.said) == {"happened"})
    made = await answered(run_id, offer, records)
    assert made.follow_up is not None
    assert {one.number: one.happened for one in made.decision.rulings} == {
        number: number < second for number in range(first + 1, len(worklist.steps) + 1)
    }


async def test_who_says_that_somebody_went_on_at_the_screen_says_all_of_it(records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    pauses = [step.number for step in worklist.steps if step.action == "pause"]
    second, n = pauses[2], len(worklist.steps)
    confirm(run_id := cut_open(records, worklist), pauses[:2], records)
    records.journal.append_events(
        run_id, held_back(records.journal.run(run_id), forgotten(worklist, pauses[1] + 1), records)
    )
    records.journal.set_run_state(run_id, "interrupted", ended_at=AT)
    said: dict[str, Any] = {"by": "Ada", "reason": "went on at the screen", "at": AT, "records": records}
    said |= {"catalogue": CATALOGUE, "deck": DECK, "verify": by_rules}
    with pytest.raises(PlanError, match=f"nobody has said whether step {second + 2}-{n} happened"):
        await decide(run_id, "continue", happened=range(pauses[1] + 1, second + 2), **said)


@pytest.mark.parametrize(
    ("change", "held"),
    [
        pytest.param("asked", True, id="asked_and_not_answered"),
        pytest.param("answered", False, id="answered"),
        pytest.param("started there", False, id="started_at_its_screen"),
        pytest.param("passed", False, id="went_on_at_its_screen"),
    ],
)
def test_only_what_the_journal_excludes_is_held_back(change: str, held: bool, records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    pauses = [step.number for step in worklist.steps if step.action == "pause"]
    run_id = cut_open(records, worklist, is_started=change != "started there")
    confirm(run_id, pauses[: 3 if change == "answered" else 2], records)
    at = pauses[2] + (1 if change == "passed" else 0)
    records.journal.append_events(run_id, [JournalEvent(number=at, event="seen", at=AT, detail=IN_ORDER)])
    run = records.journal.run(run_id)
    told = {event.number: HELD_BACK in event.detail for event in held_back(run, forgotten(worklist, at), records)}
    assert told[pauses[2] + 2] == held
    assert not told[pauses[2]], "who was asked may have done it without a word"
    assert told[pauses[3] + 1] == (held or change == "answered")


def asked_of(run_id: str, records: Records) -> Question:
    return question(run_id, records, CATALOGUE, DECK)


def confirm(run_id: str, numbers: list[int], records: Records) -> None:
    for number in numbers:
        records.journal.add_action(
            OperatorAction(run_id=run_id, step=number, at=AT, confirmed_by="Ada", title="t", instruction="i")
        )


async def rest_of(cut: int, records: Records) -> Worklist:
    """What is left of a killing assay that was cut in the mix before a draw of which nothing was lost."""
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    run_id = cut_run(records, worklist, told_by_device(worklist, cut, "mixing"))
    offer = next(one for one in asked_of(run_id, records).offers if one.said == {"not_happened": (cut,)})
    made = await answered(run_id, offer, records)
    assert made.follow_up is not None
    return made.follow_up


async def test_a_step_done_again_takes_no_tip_that_it_may_have_picked_up_before(records: Records) -> None:
    worklist = examples.EXAMPLES["cytotoxicity_assay"]()
    cut = MIXING - 2
    before = {step.tip for step in worklist.steps if step.tip}
    assert worklist.steps[cut - 1].tip
    rest = await rest_of(cut, records)
    first, *others = rest.steps
    assert first.tip
    assert first.tip not in before
    assert (first.tip_policy, first.volume_ul) == (LEFT_TIP, 800)
    assert {step.tip for step in others if step.tip} <= before, "which nobody has picked up"


async def test_the_sheet_of_a_rest_says_what_comes_first_and_what_stays(records: Records) -> None:
    rest = await rest_of(MIXING - 2, records)
    (sheet,) = run_sheets((rest,), CATALOGUE, planned_on=AT.date())
    assert sheet.next_action == (
        "Next: leave the deck as run-0001 left it; what a later step brings stays where it is. Start the robot: it "
        "goes on at once with step 1: K-562 into B4 of the block."
    )
    assert not any(row.lead_minutes for row in sheet.take_out)
    (thawed,) = (row for row in sheet.take_out if row.liquid == "LDH substrate")
    assert thawed.when.startswith("at step ")
    assert "was to be begun before run-0001: thaw overnight" in thawed.how
    assert "only if that was not done it takes 16 h from now" in thawed.how
    plates = {row.labware: row for row in sheet.load if row.liquid == "leave it as run-0001 left it"}
    assert len(sheet.load) < 15, "one line per labware, and one per liquid that has a name"
    assert plates["Assay plate"].wells == "A1-H12"
    assert not any("(empty)" in one.label for one in rest.deck if one.nickname == "dilutions")
    assert "(empty)" not in " ".join(row.labware for row in sheet.load)
    picture = deck_svg(rest, CATALOGUE)
    assert "tips as run-0001 left them" in picture
    assert "new tips" not in picture
    replaced = rest.steps[0].model_copy(update={"tip_policy": FULL_RACK})
    assert "new tips" in deck_svg(rest.model_copy(update={"steps": (replaced, *rest.steps[1:])}), CATALOGUE)


async def test_the_rest_of_a_rest_takes_no_tip_of_the_first_run_either(records: Records) -> None:
    gone = {step.tip for step in examples.EXAMPLES["cytotoxicity_assay"]().steps if step.tip}
    rest = await rest_of(MIXING - 2, records)
    gone |= {step.tip for step in rest.steps if step.tip}
    run_id = cut_run(records, rest, told_by_device(rest, 1, "mixing"))
    assert records.journal.run(run_id).parent == "run-0001"
    offer = next(one for one in asked_of(run_id, records).offers if one.said == {"not_happened": (1,)})
    made = await answered(run_id, offer, records)
    assert made.follow_up is not None
    first = made.follow_up.steps[0]
    assert first.tip not in gone
    assert first.tip_policy == LEFT_TIP
