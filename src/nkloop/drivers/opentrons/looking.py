"""Read-only looks at a robot: what it says of itself, put together for people who want to use it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.opentrons import calibration, offsets
from nkloop.drivers.opentrons import preflight as look
from nkloop.drivers.opentrons.client import Json, RobotClient
from nkloop.errors import DeviceError, DeviceUnreachableError
from nkloop.worklists.bench_deck import BenchDeck, ModuleSpec
from nkloop.worklists.models import PLATE_READING, Worklist

MARK_PATH = "/clientData/nkloop"
"""Where one nkloop tells the next that it holds the robot; gone when the robot reboots."""
ACCOUNT = "account"
"""What findings about the account call it."""
NEEDED_SCOPES = ("protocols.write", "robot_control.write", "run_data.write")
"""Rights that an account needs for any run, in the words of the robot."""
SIGNING_SCOPE = "run_signoff.write"
"""The right it needs besides to sign finished runs."""
KEPT_SECONDS = 600.0
"""How long what hardly changes (calibration, clock, recovery setting, account) is not asked for again."""


class Looks:
    """Looks at one robot. Answers that hardly change are kept for some minutes."""

    def __init__(
        self,
        client: RobotClient,
        deck: BenchDeck | None,
        *,
        fails_on_errors: bool,
        resumes: frozenset[str] = frozenset(),
    ) -> None:
        self._client = client
        self._deck = deck
        self._fails_on_errors = fails_on_errors
        self._resumes = resumes
        self._kept: tuple[float, tuple[Finding, ...]] = (-KEPT_SECONDS, ())
        self._has_offset_list = True

    async def for_worklist(
        self, worklist: Worklist, protocol: str, csv: str, *, trash_slot: str, apply_offsets: bool
    ) -> tuple[Finding, ...]:
        """Is the robot what this worklist needs, and free?"""
        client = self._client
        health = await client.get("/health")
        instruments = (await client.get("/instruments"))["data"]
        runs = await client.get("/runs")
        wanted = look.DECK_MODELS[worklist.robot]
        findings = [
            look.check_robot(health, wanted),
            *look.check_api_level(health, protocol),
            *look.check_pipettes(instruments, worklist.pipettes),
            *await self._deck_findings(self._modules_of(worklist), trash_slot, is_flex=wanted == "Flex"),
            look.check_current_run(current_run(runs), csv),
            *await state_findings(client),
            *await self._slow_findings(instruments, worklist.pipettes, is_flex=wanted == "Flex"),
        ]
        if any(one.subject == ACCOUNT and not one.ok for one in findings):
            return tuple(findings)  # to search the robot's list of offsets it wants an account, too
        if apply_offsets:
            findings.append(offsets.tell(worklist, await self.offsets(worklist, runs["data"])))
        elif worklist.procedure != PLATE_READING:
            findings.append(offsets.tell_none_wanted())
        return tuple(findings)

    async def for_bench(self, deck: BenchDeck) -> tuple[Finding, ...]:
        """Is the robot what the bench file says?"""
        client, is_flex = self._client, deck.model == "flex"
        health = await client.get("/health")
        instruments = (await client.get("/instruments"))["data"]
        runs = await client.get("/runs")
        wanted = {pipette.mount: pipette.load_name for pipette in deck.pipettes}
        self._kept = (-KEPT_SECONDS, ())
        files = data_of(await client.find("/dataFiles"))
        return (
            look.check_robot(health, look.DECK_MODELS[deck.model]),
            *look.tell_versions(health),
            *look.check_pipettes(instruments, wanted),
            *await self._deck_findings(deck.modules, deck.trash_slot, is_flex=is_flex),
            look.check_current_run(current_run(runs), ""),
            *await state_findings(client),
            *await self._slow_findings(instruments, wanted, is_flex=is_flex),
            look.tell_space(len(runs["data"]), None if files is None else len(files), str(health.get("api_version"))),
        )

    async def offsets(self, worklist: Worklist, runs: Sequence[Json]) -> tuple[offsets.Offset, ...]:
        """Offsets for the labware of a worklist: from the robot's list where it has one, else from its runs."""
        if self._has_offset_list:
            found = await self._client.search(offsets.SEARCH_PATH, offsets.searches(worklist))
            if found is not None:
                return offsets.from_search(worklist, found["data"])
            self._has_offset_list = False
        return offsets.from_runs(worklist, runs)

    async def mark(self) -> Json | None:
        """What an nkloop has left on the robot."""
        mark = data_of(await self._client.find(MARK_PATH))
        return mark if isinstance(mark, dict) else None

    def _modules_of(self, worklist: Worklist) -> tuple[ModuleSpec, ...]:
        """Modules a worklist needs, with the serial number the bench file has for their slot."""
        serials = {(spec.slot, spec.load_name): spec for spec in (self._deck.modules if self._deck else ())}
        needed = dict.fromkeys((item.slot, item.module) for item in worklist.deck if item.module)
        return tuple(serials.get(one, ModuleSpec(slot=one[0], load_name=one[1])) for one in needed)

    async def _deck_findings(self, modules: Sequence[ModuleSpec], trash_slot: str, *, is_flex: bool) -> list[Finding]:
        connected = (await self._client.get("/modules"))["data"] if modules else []
        fixtures = (await self._client.get("/deck_configuration"))["data"]["cutoutFixtures"]
        found = list(look.check_modules(connected, modules))
        if is_flex:
            found += look.check_fixtures(fixtures, modules)
        return [*found, look.check_trash(fixtures, trash_slot, is_flex=is_flex)]

    async def _slow_findings(
        self, instruments: Sequence[Json], wanted: Iterable[str], *, is_flex: bool
    ) -> tuple[Finding, ...]:
        at, found = self._kept
        if time.monotonic() - at >= KEPT_SECONDS or not all(finding.ok for finding in found):
            found = tuple(await self._asked_slowly(instruments, wanted, is_flex=is_flex))
            self._kept = (time.monotonic(), found)
        return found

    async def _asked_slowly(
        self, instruments: Sequence[Json], wanted: Iterable[str], *, is_flex: bool
    ) -> list[Finding]:
        find = self._client.find
        settings = data_of(await find("/errorRecovery/settings")) if is_flex else None
        found = [
            look.check_clock(data_of(await find("/system/time")), datetime.now(UTC)),
            look.tell_recovery(settings, fails=self._fails_on_errors, resumes=self._resumes),
            *look.tell_mark(await self.mark()),
            await account_finding(self._client),
        ]
        if is_flex:
            return [*found, *calibration.check_flex(instruments, wanted)]
        status, known = await find("/calibration/status"), await find("/calibration/pipette_offset")
        return [*found, *calibration.check_ot2(status, data_of(known), instruments, wanted)]


async def account_finding(client: RobotClient) -> Finding:
    """Whether the robot lets nkloop change anything; in compliance mode it wants an account, rights and a reason.

    Raises:
        DeviceUnreachableError: it does not answer.
    """
    try:
        status, words, remedy = await client.permission()
    except DeviceUnreachableError:
        raise
    except DeviceError as error:
        problem = error.problems[0]
        return Finding(subject=ACCOUNT, found=problem.message, ok=False, remedy=problem.remedy)
    account = client.account
    if status in {401, 403, 451}:
        who = f"to the account '{account.username}'" if account else "to who has no account"
        return Finding(subject=ACCOUNT, found=f"the robot says {who}: {words}", ok=False, remedy=remedy)
    if status != 404:
        return Finding(subject=ACCOUNT, found=f"not known, the robot answered: {words}", ok=True)
    if account is None:
        return Finding(subject=ACCOUNT, found="none needed", ok=True)
    needed = (*NEEDED_SCOPES, *((SIGNING_SCOPE,) if account.signs_as else ()))
    missing = [one for one in needed if account.scopes is not None and one not in account.scopes]
    told = f"'{account.username}' is taken"
    if not missing:
        return Finding(subject=ACCOUNT, found=told, ok=True)
    remedy = "have an administrator give it these rights on the robot, or use another account"
    return Finding(subject=ACCOUNT, found=f"{told}, but has no right {', '.join(missing)}", ok=False, remedy=remedy)


async def state_findings(client: RobotClient) -> tuple[Finding, ...]:
    """Whether the robot may move now: door closed, emergency stop released, no maintenance under way."""
    return (
        look.check_door(data_of(await client.find("/robot/door/status"))),
        look.check_estop(data_of(await client.find("/robot/control/estopStatus"))),
        look.check_maintenance(data_of(await client.find("/maintenance_runs/current_run"))),
    )


def current_run(runs: Json) -> Json | None:
    """The run the robot calls current; None also when it names one it does not have (left over from an error)."""
    link = (runs.get("links") or {}).get("current")
    if not link:
        return None
    run_id = str(link["href"]).rsplit("/", 1)[-1]
    return next((run for run in runs["data"] if run["id"] == run_id), None)


def has_phantom(runs: Json) -> bool:
    """True when the robot calls a run current that it does not have: the next creation answers 500 and clears it."""
    return bool((runs.get("links") or {}).get("current")) and current_run(runs) is None


def data_of(answer: Json | None) -> Any:
    """The `data` of an answer, or None without an answer."""
    return None if answer is None else answer.get("data")
