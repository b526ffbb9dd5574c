"""Files a device did not give when its run was closed are fetched later, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import DeviceFile
from nkloop.errors import DeviceUnreachableError, RunForgottenError
from nkloop.records import Records
from nkloop.records.models import RunRecord
from nkloop.runs.execution import execute
from nkloop.runs.late_files import SETTLED, are_files_pending
from nkloop.runs.recovery import finish_latest
from nkloop.runs.session import Session
from nkloop.worklists.models import Verdict, Worklist

FILE = DeviceFile(name="plate.csv", media_type="text/csv", content=b"A1,0.5\n")


class Robot:
    """Does not give its files at first."""

    def __init__(self) -> None:
        self.answers: list[Any] = [DeviceUnreachableError("no answer")]
        self.asked = 0

    async def files(self, run_id: str) -> tuple[DeviceFile, ...]:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast(tuple[DeviceFile, ...], answer)


@pytest.fixture
def robot(handler: Any, monkeypatch: pytest.MonkeyPatch) -> Robot:
    made = Robot()
    monkeypatch.setattr(handler, "files", made.files)
    monkeypatch.setattr("nkloop.runs.recovery.settle_runs", lambda *_, **__: ())
    return made


async def again(bench: Bench, records: Records) -> RunRecord:
    """What every session does at its beginning."""
    session: Any = SimpleNamespace(bench=bench, records=records, bench_file=bench.file, catalogue=None)
    await finish_latest(cast(Session, session))
    (run,) = records.journal.runs()
    return run


async def test_files_are_fetched_when_the_device_answers_again_and_then_never_more(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, robot: Robot
) -> None:
    robot.answers += [DeviceUnreachableError("no answer"), (FILE,)]
    run = await execute(worklist, verdict, bench, records)
    assert are_files_pending(run)
    assert are_files_pending(await again(bench, records))
    run = await again(bench, records)
    assert [file.name for file in run.files] == [FILE.name, SETTLED]
    assert records.files.content(run.files[0]) == FILE.content
    assert b"1 file(s) copied out of flex, after the run was closed" in records.files.content(run.files[1])
    await again(bench, records)
    assert robot.asked == 3


async def test_files_a_device_has_forgotten_are_not_asked_for_again(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, robot: Robot
) -> None:
    robot.answers.append(RunForgottenError("run device-run is not known"))
    await execute(worklist, verdict, bench, records)
    run = await again(bench, records)
    assert not are_files_pending(run)
    assert b"no longer has the files of this run: run device-run is not known" in records.files.content(run.files[0])


async def test_files_that_wait_on_a_robot_are_not_given_up_because_another_one_in_its_place_knows_nothing(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, robot: Robot, handler: Any
) -> None:
    await execute(worklist, verdict, bench, records)
    handler.serial = "FLX-2"
    assert are_files_pending(await again(bench, records))
    handler.serial = "FLX-1"
    robot.answers.append((FILE,))
    assert [file.name for file in (await again(bench, records)).files] == [FILE.name, SETTLED]


async def test_nothing_is_asked_of_another_device(
    worklist: Worklist, verdict: Verdict, bench: Bench, records: Records, robot: Robot, handler: Any
) -> None:
    await execute(worklist, verdict, bench, records)
    handler.name = "another robot"
    assert are_files_pending(await again(bench, records))
    assert robot.asked == 1
