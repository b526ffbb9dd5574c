"""`nkloop run`, `runs`, `run show`, `reconcile`: on a virtual bench that remembers between commands."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Nkloop

from nkloop.cli.run.playing import _require_lots
from nkloop.errors import RecordError, VerificationError
from nkloop.records import Records
from nkloop.records.models import Context, JournalEvent, RunState
from nkloop.runs.typed_steps import numbers_of, wells_of
from nkloop.runs.verification import Verifier
from nkloop.virtual.shared import shared_bench
from nkloop.worklists.csv_format import to_csv
from nkloop.worklists.ledger_check import check_ledger
from nkloop.worklists.models import DeckItem, Filling, Liquid, Step, Verdict, Worklist
from nkloop.worklists.parts import Part
from nkloop.workspace import Workspace

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def by_ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Worklists are verified by the ledger alone, which is quick; signals are put back as they were."""

    async def verify(self: Any, worklist: Worklist) -> Verdict:
        checks = (check_ledger(worklist, self._catalogue, self._deck),)
        return Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=checks)

    monkeypatch.setattr(Verifier, "verify", verify)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def worklist() -> Worklist:
    """Base medium into a vessel in three portions."""
    tubes = "opentrons_6_tuberack_nest_50ml_conical"
    medium = Liquid(name="GBGM", per_ul={"GBGM": 1.0}, lot="LOT-GBGM-01")
    steps = tuple(
        Step(
            number=n, action="transfer", labware="base", well="A1", to_labware="medium", to_well="A1", volume_ul=900,
            tip="tips:A1" if n == 1 else "", comment="base medium",
        )
        for n in (1, 2, 3)
    )  # fmt: skip
    return Worklist(
        name="three portions",
        procedure="medium_preparation",
        pipettes={"left": "flex_1channel_1000"},
        deck=(
            DeckItem(nickname="medium", slot="A1", load_name=tubes, barcode="M-1"),
            DeckItem(nickname="base", slot="A2", load_name=tubes),
            DeckItem(nickname="tips", slot="B3", load_name="opentrons_flex_96_filtertiprack_1000ul"),
        ),
        fillings=(Filling(labware="base", well="A1", volume_ul=20_000, liquid=medium),),
        steps=steps,
    )


@pytest.fixture
def file(worklist: Worklist, tmp_path: Path) -> Path:
    path = tmp_path / "three.json"
    path.write_text(worklist.model_dump_json())
    return path


def marked(worklist: Worklist, barcode: str | None) -> Worklist:
    """The same with another barcode of its vessel."""
    vessel, *others = worklist.deck
    return worklist.model_copy(update={"deck": (vessel.model_copy(update={"barcode": barcode}), *others)})


def cut(
    workspace: Workspace,
    worklist: Worklist,
    ends: tuple[str, ...] = ("done", "unknown", "failed"),
    state: RunState = "interrupted",
) -> str:
    """A run on the virtual bench, with fresh labware; its second step nobody saw unless said otherwise."""
    records = Records.open(workspace.state)
    verdict, known = (
        Verdict(worklist=worklist.name, worklist_hash=worklist.content_hash, checks=()),
        records.journal.run_ids(),
    )
    run_id = records.journal.create_run(
        worklist, verdict, bench="virtual", device="flex", at=AT, context=Context(), known=known
    )
    events = [
        JournalEvent.model_validate({"number": n, "event": e, "at": AT, "detail": "power cut"})
        for n, e in enumerate(ends, 1)
    ]
    records.journal.append_events(run_id, events)
    records.journal.set_run_state(run_id, state, ended_at=AT)
    records.close()
    return run_id


@pytest.fixture
def bench(workspace: Workspace, nkloop: Nkloop, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A virtual bench that is there already: started once, used by every command."""
    with shared_bench(workspace.root, workspace.state) as url:
        monkeypatch.setenv("NKLOOP_VIRTUAL_URL", url)
        yield


def test_from_a_run_over_a_power_cut_to_the_rest_of_it(
    bench: None, nkloop: Nkloop, workspace: Workspace, worklist: Worklist, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, because starting a bench takes longer than everything in it."""
    _real_bench_moves_only_when_it_is_said(nkloop, workspace, file)
    _the_bench_of_another_workspace_is_refused(nkloop, workspace, file)
    assert nkloop("lots", "import", workspace.devices / "lots" / "virtual.yaml", "--by", "Ada").code == 0
    _it_is_run_once_and_told(nkloop, file)
    _what_it_opened_is_fresh(nkloop)
    with monkeypatch.context() as older:  # the vessel stands on the virtual bench already
        older.setattr("nkloop.records.opening.require_unused", lambda *asked: None)
        run_id = cut(workspace, worklist)
    _a_person_is_asked(nkloop, run_id, file)
    _the_rest_is_run(nkloop, run_id)
    _what_was_done_while_it_waited_is_not_done_again(nkloop, workspace, worklist, file, monkeypatch)
    _of_a_plan_only_what_was_not_run_is_offered(nkloop, workspace, worklist)
    _what_lost_records_have_run_is_run_again_only_when_it_is_said(nkloop, workspace, worklist)


def _of_a_plan_only_what_was_not_run_is_offered(nkloop: Nkloop, workspace: Workspace, worklist: Worklist) -> None:
    """The first of three parts was run, the second was begun."""
    unmarked = marked(worklist, None)
    parts = [
        unmarked.model_copy(update={"name": f"portions, part {n} of 3", "steps": worklist.steps[:1]}) for n in (1, 2, 3)
    ]
    plan = workspace.root / "plan.json"
    plan.write_text(json.dumps({"parts": [{"worklist": part.model_dump(mode="json")} for part in parts]}))
    first = nkloop("run", plan, "--part", "1", "--json")
    assert [run["name"] for run in first.json["runs"]] == ["portions, part 1 of 3"]
    begun = cut(workspace, parts[1], ends=("unknown",))
    word = ("--decide", "continue", "--happened", "1", "--by", "Ada", "--reason", "saw it")
    assert nkloop("reconcile", begun, *word).code == 0
    for again in ((), ("--again",)):
        refused = nkloop("run", plan, *again)
        assert refused.code == 1
        assert f"part 1 of 3 was run already, as {first.json['runs'][0]['id']}" in refused.err
        assert f"part 2 of 3 was begun already, as {begun}" in refused.err
        assert (
            "part 3 of 3 was not run yet. Remedy: `uv run nkloop run plan.json --bench virtual --part 3`" in refused.err
        )
        assert "No run was begun" not in refused.err
    assert "portions, part 1 of 3 was run already" in nkloop("run", plan, "--part", "1,3").err
    assert [run["name"][-6:] for run in nkloop("run", plan, "--part", "3", "--json").json["runs"]] == ["3 of 3"]
    named = nkloop("run", plan, "--part", "1,3", "--again", "--json").json["runs"]
    assert [run["name"][-6:] for run in named] == ["1 of 3", "3 of 3"]
    assert "'4' names no parts of what is to be run, which has 3" in nkloop("run", plan, "--part", "4").err


def _what_lost_records_have_run_is_run_again_only_when_it_is_said(
    nkloop: Nkloop, workspace: Workspace, worklist: Worklist
) -> None:
    """The robot has done it; the records are brought back from before."""
    unmarked = marked(worklist, None)
    file = workspace.root / "restored.json"
    file.write_text(unmarked.model_copy(update={"name": "lost", "steps": unmarked.steps[:1]}).model_dump_json())
    path, kept = workspace.state / "records.db", workspace.root / "backup.db"
    for source, target in ((path, kept), (kept, path)):
        with closing(sqlite3.connect(source)) as now, closing(sqlite3.connect(target)) as then:
            now.backup(then)
        if source == path:
            done = nkloop("run", file, "--json")
            assert done.code == 0, done.err
    (run,) = done.json["runs"]
    refused = " ".join(nkloop("run", file).err.split())
    assert f"the device was told to do 'lost' already, as its run {run['device_run_id']}" in refused
    command = refused.partition("`uv run nkloop run ")[2].partition("`")[0]
    meant = nkloop("run", *command.split(), "--json")
    assert meant.code == 0, meant.err
    assert [one["state"] for one in meant.json["runs"]] == ["succeeded"]


def _the_bench_of_another_workspace_is_refused(nkloop: Nkloop, workspace: Workspace, file: Path) -> None:
    elsewhere = workspace.root.parent / "elsewhere"
    shutil.copytree(workspace.root, elsewhere, ignore=shutil.ignore_patterns(".nkloop"))
    refused = nkloop("run", file, "--workspace", elsewhere)
    assert refused.code == 1
    for told in (
        f"belongs to workspace {workspace.root}",
        f"this is workspace {elsewhere}",
        "unset NKLOOP_VIRTUAL_URL",
    ):
        assert told in refused.err
    assert not nkloop("runs", "--json", "--workspace", elsewhere).json["runs"]


def _real_bench_moves_only_when_it_is_said(nkloop: Nkloop, workspace: Workspace, file: Path) -> None:
    bench = workspace.devices / "virtual.yaml"
    simulated = bench.read_text()
    real = simulated.replace("simulated: true", "simulated: false").replace("poll_seconds: 0.03", "poll_seconds: 2")
    bench.write_text(real)
    ended = nkloop("run", file)
    assert ended.code == 1
    assert "Nothing was sent: virtual is a REAL bench" in ended.err
    assert "REAL" in ended.out
    assert nkloop("runs", "--json").json["runs"] == []
    bench.write_text(simulated)


def _what_it_opened_is_fresh(nkloop: Nkloop) -> None:
    """The bench's simulated time and the day people plan on agree."""
    opened = [one for one in nkloop("lots", "show", "LOT-GBGM-01", "--json").json["containers"] if one["opened"]]
    assert opened
    today = datetime.now(UTC).date()
    assert all(0 <= (datetime.fromisoformat(one["opened"]).date() - today).days <= 1 for one in opened)
    assert "kept too long" not in nkloop("lots", "show", "LOT-GBGM-01").out


def _it_is_run_once_and_told(nkloop: Nkloop, file: Path) -> None:
    ended = nkloop("run", file, "--json")
    assert ended.code == 0, ended.err
    (run,) = ended.json["runs"]
    assert (run["state"], [step["event"] for step in run["steps"]]) == ("succeeded", ["done"] * 3)

    again = nkloop("run", file)
    assert again.code == 1
    assert "three portions was run already, as run-0001" in again.err
    assert "to have it once more, plan it anew, which takes vessels of its own" in " ".join(again.err.split())
    assert "--again" not in again.err
    refused = " ".join(nkloop("run", file, "--again").err.split())
    assert "M-1 (medium) was filled before, by run-0001 (three portions)" in refused
    assert "nkloop plan medium` with --barcode M-1.2, or without --barcode" in refused

    assert [one["id"] for one in nkloop("runs", "--json").json["runs"]] == ["run-0001"]
    shown = nkloop("run", "show", "run-0001", "--json").json
    wells = {(well["labware"], well["well"]): well["sentence"] for well in shown["wells"]}
    assert wells == {("base", "A1"): "17.3 mL", ("medium", "A1"): "2.7 mL"}
    assert shown["deviations"] == []
    read = nkloop("run", "show", "run-0001").out
    assert "Timeline" in read
    assert "Load the deck" in read


def _a_person_is_asked(nkloop: Nkloop, run_id: str, file: Path) -> None:
    asked = nkloop("reconcile", run_id, "--json")
    assert asked.code == 1, "somebody must decide"
    assert [step["number"] for step in asked.json["unknown_steps"]] == [2]
    (vessel,) = [well for well in asked.json["wells"] if well["labware"] == "medium"]
    assert [one["volume_ul"] for one in vessel["contents"]] == [900, 1800]
    read = nkloop("reconcile", run_id)
    for told in ("900 µL from base A1 to medium A1", "tips:A1", "power cut", "no correction is offered", "1.8 mL"):
        assert told in read.out
    refused = nkloop("run", file, "--again")
    assert refused.code == 1
    assert f"M-1 (medium) was filled before, by {run_id} (three portions)" in refused.err


def _the_rest_is_run(nkloop: Nkloop, run_id: str) -> None:
    word = ("--decide", "continue", "--happened", "2", "--by", "Ada", "--reason", "saw it")
    decided = nkloop("reconcile", run_id, *word, "--json")
    assert decided.code == 0, decided.err
    assert decided.json["follow_up"]["transfers"] == 1
    assert f"the rest of {run_id}. To do it: uv run nkloop run {run_id} --bench virtual" in nkloop("runs", "--open").out
    ended = nkloop("run", run_id, "--json")
    assert ended.code == 0, ended.err
    assert nkloop("runs", "--open", "--json").json["runs"] == []
    assert (ended.json["runs"][0]["parent"], len(ended.json["runs"][0]["steps"])) == (run_id, 1)
    over = nkloop("run", run_id)
    assert over.code == 1
    assert f"{run_id} has been followed by run-0003" in over.err


def _what_was_done_while_it_waited_is_not_done_again(
    nkloop: Nkloop, workspace: Workspace, worklist: Worklist, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same worklist was under way when the command came: killed here, or another's for which it waited."""
    used = worklist.model_copy(update={"name": "portions at noon"})
    file.write_text(used.model_dump_json())
    filled = nkloop("run", file)
    assert filled.code == 1
    assert "M-1 (medium) was filled before, by run-0003" in filled.err
    other = marked(used, "M-2")
    file.write_text(other.model_dump_json())

    async def recovered(session: Any, **options: Any) -> tuple[()]:
        cut(workspace, other, ends=("done", "done", "done"), state="succeeded")
        return ()

    with monkeypatch.context() as patched:
        patched.setattr("nkloop.runs.recovery.recover", recovered)
        refused = nkloop("run", file)
    assert refused.code == 1
    assert "portions at noon was run already, as run-0004" in refused.err
    assert len(nkloop("runs", "--json").json["runs"]) == 4


def test_what_was_lost_with_a_tip_is_said_computed_and_shown(
    nkloop: Nkloop, workspace: Workspace, worklist: Worklist
) -> None:
    run_id = cut(workspace, worklist)
    asked = nkloop("reconcile", run_id)
    assert "continue --drawn 2 --by NAME" in " ".join(asked.out.split())
    word = ("--decide", "continue", "--drawn", "2", "--by", "Ada", "--reason", "a full tip in the trash")
    decided = nkloop("reconcile", run_id, *word, "--json")
    assert decided.code == 0, decided.err
    assert decided.json["decision"]["rulings"] == [
        {
            "number": 2,
            "happened": False,
            "is_drawn": True,
            "is_given": False,
            "is_cut_first": False,
            "is_skipped": False,
            "moved_ul": 0.0,
        }
    ]
    assert decided.json["follow_up"]["transfers"] == 2
    shown = nkloop("run", "show", run_id)
    assert "step 2 drew its liquid and lost it" in " ".join(shown.out.split())
    assert nkloop("report", run_id, "--rest", "--sheet", "rest.md").out == "rest.md\n"
    sheet = (workspace.root / "rest.md").read_text(encoding="utf-8")
    assert f"leave the deck as {run_id} left it" in sheet
    assert f"Left on the deck by {run_id}" in sheet
    assert "nothing is to be written of the rest" in nkloop("report", run_id, "--rest").err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["nothing.csv"], "there is no file, run or worklist 'nothing.csv'", id="no_such_file"),
        pytest.param(["run-0042"], "run run-0042 is not recorded", id="no_such_run"),
        pytest.param(["abcdef12"], "no recorded worklist begins with abcdef12", id="no_such_hash"),
        pytest.param(["show", "run-0042"], "list the recorded runs with `uv run nkloop runs`", id="show_no_such_run"),
    ],
)
def test_what_is_not_there_is_told(nkloop: Nkloop, arguments: list[str], told: str) -> None:
    ended = nkloop("run", *arguments)
    assert (ended.code, told in ended.err) == (1, True), ended.err


def test_a_csv_without_lots_is_refused_before_anybody_loads_a_deck(nkloop: Nkloop, workspace: Workspace) -> None:
    ended = nkloop("run", workspace.protocols / "medium_preparation.example.csv")
    assert ended.code == 1
    assert "liquids name no lot, the first is" in ended.err
    assert "the plan it was written with beside it" in ended.err
    assert not nkloop("runs", "--json").json["runs"]


def test_a_csv_runs_with_the_plan_that_wrote_it(nkloop: Nkloop, tmp_path: Path, worklist: Worklist) -> None:
    plan, table, worklist = tmp_path / "plan.json", tmp_path / "monday.csv", marked(worklist, None)
    other = worklist.model_copy(update={"name": "before", "steps": worklist.steps[:1]})
    parts = [{"worklist": one.model_dump(mode="json")} for one in (other, worklist)]
    plan.write_text(json.dumps({"parts": parts, "verdict": {"passed": True}}))
    table.write_text(to_csv(worklist).replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    ended = nkloop("run", table, "--plan", plan, "--json")
    assert ended.code == 0, ended.err
    assert [run["name"] for run in ended.json["runs"]] == [worklist.name]
    plan.rename(tmp_path / "monday.plan.json")  # beside the table, it is found
    again = nkloop("run", table, "--again", "--json")
    assert [run["name"] for run in again.json["runs"]] == [worklist.name], again.err
    plan = tmp_path / "monday.plan.json"
    lines = to_csv(worklist).splitlines()
    line = next(number for number, told in enumerate(lines, start=1) if told.startswith("step,"))
    lines[line - 1] = lines[line - 1].replace("900", "850")
    table.write_text("\n".join(lines))
    refused = nkloop("run", table, "--plan", plan)
    assert refused.code == 1
    assert f"monday.csv, line {line}: is not what the plan writes" in refused.err


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        pytest.param("x.json", "{", "is no JSON", id="no_json"),
        pytest.param("x.json", json.dumps({"parts": []}), "holds no worklist", id="no_parts"),
        pytest.param("x.json", json.dumps({"name": "x"}), "is no worklist", id="no_worklist"),
        pytest.param("monday.csv", "a,b\n", "which procedure this is cannot be told: 'monday'", id="procedure"),
    ],
)
def test_a_file_that_is_no_worklist_is_told(nkloop: Nkloop, tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    ended = nkloop("run", path)
    assert (ended.code, told in ended.err) == (1, True), ended.err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param(
            ["--decide", "discard"], "a decision needs a name and a reason; it is missing, at least 2", id="nobody"
        ),
        pytest.param(["--happened", "2"], "nothing was decided", id="no_decision"),
        pytest.param(["--drawn", "2"], "nothing was decided", id="drawn_without_decision"),
        pytest.param(
            ["--decide", "continue", "--by", "Ada", "--reason", "saw it", "--happened", "two"],
            "'two' names no steps",
            id="no_number",
        ),
    ],
)
def test_half_a_decision_is_refused(
    nkloop: Nkloop, workspace: Workspace, worklist: Worklist, more: list[str], told: str
) -> None:
    ended = nkloop("reconcile", cut(workspace, worklist), *more)
    assert (ended.code, told in ended.err) == (1, True), ended.err


def test_steps_and_wells_are_typed_as_people_do() -> None:
    assert numbers_of(" 1-3, 7,2 ") == (1, 2, 3, 7)
    assert numbers_of("") == ()
    assert wells_of(["plate:B3, plate:C12", "tubes:A1"]) == (("plate", "B3"), ("plate", "C12"), ("tubes", "A1"))
    for wrong in ("3-1", "a", "1;2"):
        with pytest.raises(RecordError, match="names no steps"):
            numbers_of(wrong)
    with pytest.raises(RecordError, match="'B3' names no well"):
        wells_of(["B3"])


def test_a_culture_is_known_by_its_plate_and_needs_no_lot(worklist: Worklist) -> None:
    (base,) = worklist.fillings
    cells = Liquid(name="culture", per_ul={"donor:U1": 1e3})
    culture = Filling(labware="medium", well="A1", volume_ul=1000, liquid=cells)
    fed = worklist.model_copy(update={"fillings": (base, culture)})
    with pytest.raises(VerificationError, match="1 of 2 liquids name no lot, the first is culture in medium A1"):
        _require_lots((Part(worklist=fed),))
    limits = fed.limits.model_copy(update={"cells_in": ("medium",)})
    _require_lots((Part(worklist=fed.model_copy(update={"limits": limits})),))


def test_cells_that_a_run_leaves_on_the_deck_are_told_as_its_last_word(
    nkloop: Nkloop, tmp_path: Path, worklist: Worklist
) -> None:
    limits = worklist.limits.model_copy(update={"cells_in": ("medium",)})
    (tmp_path / "fed.json").write_text(worklist.model_copy(update={"limits": limits}).model_dump_json())
    ended = nkloop("run", tmp_path / "fed.json")
    last = ended.out.strip().splitlines()[-1]
    assert last == "Afterwards: M-1 back into the incubator at once; at most 60 min outside", ended.err


def test_a_plan_is_run_for_the_batch_it_was_made_for(nkloop: Nkloop, tmp_path: Path, worklist: Worklist) -> None:
    plan = tmp_path / "plan.json"
    parts = [{"worklist": worklist.model_dump(mode="json")}]
    plan.write_text(json.dumps({"parts": parts, "verdict": {"passed": True}, "batch": "A"}))
    refused = nkloop("run", plan, "--batch", "B")
    assert refused.code == 1
    assert "is of batch A, and --batch says B" in refused.err
    ended = nkloop("run", plan, "--json")
    assert [run["batch"] for run in ended.json["runs"]] == ["A"], ended.err
    assert "batch A" in nkloop("run", "show", ended.json["runs"][0]["id"]).out
    loose = tmp_path / "loose.json"
    loose.write_text(marked(worklist, "M-2").model_dump_json())
    ended = nkloop("run", loose, "--batch", "B", "--json")
    assert [run["batch"] for run in ended.json["runs"]] == ["B"], ended.err
