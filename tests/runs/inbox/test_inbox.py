"""Files become readings of the plates that are waited for, each once; the rest is put aside with its reason."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nkloop.errors import RecordError, WorkspaceError
from nkloop.records import Records
from nkloop.runs.inbox import Inbox
from nkloop.runs.inbox import inbox as inbox_module
from nkloop.runs.inbox.contents import Contents, contents_of

from .conftest import NoVendor, Opened, add_run, grid, now_text, request, wait


def reason(folder: Path, name: str) -> str:
    return (folder / "quarantine" / f"{name}.reason.txt").read_text(encoding="utf-8")


async def test_a_reading_is_recorded_and_the_original_kept(opened: Opened, folder: Path, records: Records) -> None:
    number = wait(records, request())
    (folder / "plate.csv").write_text(text := grid(Read_at=now_text()), encoding="utf-8")
    (outcome,) = await opened().look()
    assert (outcome.state, outcome.barcodes) == ("recorded", ("P-1",))
    (reading,) = records.results.readings()
    assert reading.values["A12"] == pytest.approx(0.62)
    assert (reading.instrument, reading.file_sha256) == ("Reader 9", hashlib.sha256(text.encode()).hexdigest())
    answered = records.inbox.wait(number)
    assert (answered.state, json.loads(answered.answer)["barcode"]) == ("delivered", "P-1")
    (original,) = (folder.parent / "state" / "inbox").rglob("*.csv")
    assert original.read_text(encoding="utf-8") == text
    assert (folder / "done" / "plate.csv").is_file()
    assert not (folder / "plate.csv").exists()
    assert records.audit.verify_chain() == ()


async def test_nothing_is_read_twice_not_even_a_renamed_copy(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request())
    text = grid()
    (folder / "plate.csv").write_text(text, encoding="utf-8")
    await opened().look()
    records.inbox.used(1)
    wait(records, request())
    (folder / "copy of plate.csv").write_text(text, encoding="utf-8")
    (outcome,) = await opened().look()  # another process
    assert outcome.state == "known"
    assert "was recorded as plate.csv" in outcome.reason
    assert len(records.results.readings()) == 1
    assert len(records.inbox.files()) == 1


WRONG: list[Any] = [
    pytest.param(grid("P-9"), {}, "unknown_barcode", r"nobody waits for plate P-9; waited for: P-1", id="barcode"),
    pytest.param(grid(""), {}, "no_barcode", "the file names no plate; it would fit plate P-1", id="nameless"),
    pytest.param(grid(wells=90), {}, "wrong_wells", "6 of 96 wells asked for are not in the file: H7, H8", id="wells"),
    pytest.param(grid(), {"load_name": "small"}, "wrong_wells", "well A10, the plate waited for has 6", id="format"),
    pytest.param(grid(Mode="luminescence"), {}, "wrong_mode", "read in luminescence, absorbance", id="mode"),
    pytest.param(grid(nm=490), {}, "wrong_wavelength", "tells 490 nm, 450 ± 5 nm was asked for", id="wavelength"),
    pytest.param(grid(), {"reference_wavelength_nm": 680}, "wrong_wavelength", "680 ± 5 nm was asked", id="reference"),
    pytest.param(grid(Read_at="2020-01-01T10:00:00Z"), {}, "out_of_time", r"min before it was asked for", id="old"),
    pytest.param(grid(Read_at="2020-01-01T10:00:00"), {}, "out_of_time", "correct time_zone of the inbox", id="zone"),
    pytest.param("hello\n", {}, "not_readable", "is not understood", id="garbage"),
    pytest.param(grid().replace("0.55", "broken"), {}, "wrong_wells", "holds 'broken'", id="unreadable_well"),
]


@pytest.mark.parametrize(("text", "asked", "code", "told"), WRONG)
async def test_what_does_not_fit_is_put_aside_with_its_reason(
    opened: Opened, folder: Path, records: Records, text: str, asked: dict[str, Any], code: str, told: str
) -> None:
    number = wait(records, request(**asked))
    (folder / "export.csv").write_text(text, encoding="utf-8")
    (outcome,) = await opened().look()
    assert outcome.state == "quarantined"
    assert re.search(told, outcome.reason), outcome.reason
    assert outcome.reason.startswith(f"{code}: ")
    assert reason(folder, "export.csv").strip() == outcome.reason
    assert "What to do: " in outcome.reason
    (file,) = records.inbox.files(state="quarantined")
    assert (file.code, file.filed_as) == (code, "quarantine/export.csv")
    assert records.results.readings() == ()
    assert records.inbox.wait(number).state == "waiting"


async def test_a_program_of_another_inbox_is_put_aside(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request())
    (folder / "export.csv").write_text(grid(), encoding="utf-8")
    (outcome,) = await opened(programs=["SoftMax Pro"]).look()
    assert "a file of generic, this inbox takes SoftMax Pro" in outcome.reason


async def test_two_runs_that_wait_for_one_plate_are_told_apart_by_wavelength_or_not_at_all(
    opened: Opened, folder: Path, records: Records
) -> None:
    wait(records, request(wavelength_nm=450))
    second = wait(records, request(wavelength_nm=600))
    (folder / "a.csv").write_text(grid(nm=600), encoding="utf-8")
    await opened().look()
    assert records.inbox.wait(second).state == "delivered"
    wait(records, request(wavelength_nm=452))
    (folder / "b.csv").write_text(grid(nm=451), encoding="utf-8")
    (outcome,) = await opened().look()
    assert "fits 2 plates waited for" in outcome.reason


async def test_the_name_of_the_file_may_name_the_plate(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request("P-1"))
    wait(records, request("P-12"))
    (folder / "2026_P-12_final.csv").write_text(grid(""), encoding="utf-8")
    (outcome,) = await opened().look()
    assert outcome.barcodes == ("P-12",)


async def test_a_nameless_plate_is_accepted_only_where_the_bench_says_so(
    opened: Opened, folder: Path, records: Records
) -> None:
    wait(records, request("P-1"))
    (folder / "export.csv").write_text(grid(""), encoding="utf-8")
    (outcome,) = await opened(accept_without_barcode=True).look()
    assert outcome.barcodes == ("P-1",)


async def test_a_local_time_is_read_in_the_zone_of_the_bench(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request())
    local = (datetime.now(UTC) + timedelta(hours=5, minutes=30)).replace(tzinfo=None)
    (folder / "export.csv").write_text(grid(Read_at=local.isoformat(timespec="seconds")), encoding="utf-8")
    (outcome,) = await opened(time_zone="Asia/Kolkata").look()
    assert outcome.state == "recorded"
    (reading,) = records.results.readings()
    assert abs(reading.read_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_file_that_came_too_early_is_taken_when_somebody_waits(
    opened: Opened, folder: Path, records: Records
) -> None:
    (folder / "early.csv").write_text(grid(), encoding="utf-8")
    inbox = opened()
    (outcome,) = await inbox.look()
    assert outcome.state == "quarantined"
    number = wait(records, request())
    (outcome,) = await inbox.look()
    assert (outcome.name, outcome.state) == ("early.csv", "recorded")
    assert records.inbox.wait(number).state == "delivered"
    assert list((folder / "quarantine").iterdir()) == []
    assert (folder / "done" / "early.csv").is_file()


async def test_an_early_file_that_does_not_fit_either_gets_its_new_reason(
    opened: Opened, folder: Path, records: Records
) -> None:
    (folder / "early.csv").write_text(grid(nm=600), encoding="utf-8")
    inbox = opened()
    await inbox.look()
    wait(records, request())
    assert await inbox.look() == ()
    assert "tells 600 nm" in reason(folder, "early.csv")
    (file,) = records.inbox.files()
    assert (file.code, file.filed_as) == ("wrong_wavelength", "quarantine/early.csv")


async def test_a_person_assigns_a_file_and_is_named(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request())
    (folder / "export.csv").write_text(grid("Plate X", Read_at="2020-01-01T10:00:00Z"), encoding="utf-8")
    inbox = opened()
    await inbox.look()
    with pytest.raises(RecordError, match="nobody waits for plate P-7"):
        await inbox.release("export.csv", "P-7", by="Ada", reason="label torn")
    outcome = await inbox.release("export.csv", "P-1", by="Ada", reason="label torn")
    assert outcome.barcodes == ("P-1",)
    (file,) = records.inbox.files()
    assert (file.state, file.by, file.filed_as) == ("recorded", "Ada", "done/export.csv")
    (entry,) = json.loads(file.document)
    assert (entry["released_by"], entry["reason"]) == ("Ada", "label torn")
    assert [one.who for one in records.audit.entries() if one.subject.startswith("readings")] == ["Ada"]


async def test_a_release_does_not_bend_wells_or_wavelength(opened: Opened, folder: Path, records: Records) -> None:
    wait(records, request())
    (folder / "export.csv").write_text(grid("X", nm=600), encoding="utf-8")
    inbox = opened()
    await inbox.look()
    with pytest.raises(RecordError, match="tells 600 nm"):
        await inbox.release("export.csv", "P-1", by="Ada", reason="why not")
    with pytest.raises(RecordError, match="no file in quarantine is called so"):
        await inbox.release("other.csv", "P-1", by="Ada", reason="why not")


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", ["_keep", "_recorded", "file_away", "_filed"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_moment_the_next_start_finishes_the_work(
    opened: Opened, folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch, at: str, after: bool
) -> None:
    number = wait(records, request())
    (folder / "plate.csv").write_text(grid(), encoding="utf-8")
    place: Any = inbox_module if at == "file_away" else Inbox
    real = getattr(place, at)

    def dies(*args: Any, **more: Any) -> Any:
        if after:
            real(*args, **more)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, at, dies)
        with pytest.raises(Killed):
            await opened().look()
    await opened().look()
    assert len(records.results.readings()) == 1
    assert records.inbox.wait(number).state == "delivered"
    assert (folder / "done" / "plate.csv").is_file()
    assert os.listdir(folder) == ["done"]
    assert records.audit.verify_chain() == ()


async def test_two_inboxes_on_one_folder_record_each_file_once(opened: Opened, folder: Path, records: Records) -> None:
    for number in range(6):
        wait(records, request(f"P-{number}"))
        (folder / f"{number}.csv").write_text(grid(f"P-{number}", value=number), encoding="utf-8")
    both = await asyncio.gather(opened().once(), opened().once())
    assert {one.name for outcomes in both for one in outcomes if one.state == "recorded"} == {
        f"{number}.csv" for number in range(6)
    }
    assert sorted(reading.barcode for reading in records.results.readings()) == [f"P-{number}" for number in range(6)]
    assert len(list((folder / "done").iterdir())) == 6
    assert not (folder / "quarantine").exists() or list((folder / "quarantine").iterdir()) == []


async def test_a_file_written_anew_while_it_is_read_stays_for_the_next_look(
    opened: Opened, folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(records, request())
    path = folder / "plate.csv"
    path.write_text(grid(), encoding="utf-8")
    inbox = opened()
    real = Inbox._recorded

    def grows(self: Inbox, *args: Any, **more: Any) -> Any:
        path.write_text(grid(value=0.9), encoding="utf-8")
        return real(self, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "_recorded", grows)
        (outcome,) = await inbox.look()
    assert outcome.state == "recorded"
    assert path.is_file()
    records.inbox.used(1)
    wait(records, request())
    (outcome,) = await inbox.look()
    assert [reading.values["A1"] for reading in records.results.readings()] == [0.51, 0.91]


async def test_a_wait_ends_when_the_plate_can_no_longer_come(opened: Opened, records: Records) -> None:
    number = wait(records, request())
    inbox = opened(late_minutes=10)
    inbox.now = lambda: datetime.now(UTC) + timedelta(hours=2)
    await inbox.look()
    assert records.inbox.wait(number).state == "withdrawn"


async def test_later_plates_of_one_file_are_taken_when_their_turn_comes(
    opened: Opened, folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def both(path: Path, name: str, *_: Any) -> Contents:
        read = await contents_of(path, name, NoVendor())
        assert isinstance(read, Contents)
        (first,) = read.plates
        return Contents("SoftMax Pro", plates=(first, first.model_copy(update={"barcode": "P-2"})))

    monkeypatch.setattr(inbox_module, "contents_of", both)
    wait(records, request("P-1"))
    (folder / "experiment.csv").write_text(grid("P-1"), encoding="utf-8")
    inbox = opened()
    (outcome,) = await inbox.look()
    assert outcome.barcodes == ("P-1",)
    number = wait(records, request("P-2"))
    (outcome,) = await inbox.look()
    assert (outcome.name, outcome.barcodes) == ("experiment.csv", ("P-2",))
    assert records.inbox.wait(number).state == "delivered"
    (file,) = records.inbox.files()
    assert [(one["plate"], one["state"]) for one in json.loads(file.document)] == [
        ("P-1", "recorded"),
        ("P-2", "recorded"),
    ]
    records.inbox.used(1)
    wait(records, request("P-1"))
    assert await inbox.look() == ()  # a plate that was recorded is not delivered again
    assert [reading.barcode for reading in records.results.readings()] == ["P-1", "P-2"]


async def test_watching_for_a_time_tells_each_file_with_its_run(
    opened: Opened, folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inbox_module, "LOOK_SECONDS", 0.02)
    run_id = add_run(records)
    wait(records, request(run_id=run_id))
    (folder / "first.csv").write_text(grid(), encoding="utf-8")
    inbox, came = opened(), []
    with caplog.at_level("INFO", logger="nkloop"):
        async for outcome in inbox.watch_for(1.5):
            came.append(outcome)
            if len(came) == 1:
                (folder / "second.csv").write_text(grid("P-9"), encoding="utf-8")
    assert [(one.name, one.state, one.runs) for one in came] == [
        ("first.csv", "recorded", (run_id,)),
        ("second.csv", "quarantined", ()),
    ]
    assert f"first.csv: recorded as plate P-1, for {run_id}" in caplog.text
    assert "second.csv: put aside, unknown_barcode" in caplog.text
    assert came[0].row == {"file": "first.csv", "state": "recorded", "plates": "P-1", "run": run_id, "reason": ""}


async def test_what_a_run_took_itself_is_seen_by_the_one_who_watches(
    opened: Opened, folder: Path, records: Records
) -> None:
    wait(records, request())
    watcher, run = opened(), opened()
    began = watcher.now()
    (folder / "plate.csv").write_text(grid(), encoding="utf-8")
    await run.look()
    assert await watcher.look() == ()
    assert [(one.name, one.state) for one in watcher.seen_since(began)] == [("plate.csv", "recorded")]
    assert watcher.seen_since(watcher.now()) == ()


def test_a_folder_of_the_workspace_is_made_and_a_share_is_not(opened: Opened, folder: Path) -> None:
    folder.rmdir()
    inbox = opened()
    with pytest.raises(WorkspaceError, match="the inbox cannot be read"):
        asyncio.run(inbox.look())
    inbox.is_own = True
    assert asyncio.run(inbox.look()) == ()
    assert folder.is_dir()
