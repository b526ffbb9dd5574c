"""What Prefect shows of one run: its sheet and plan before the checks, what they say, and how the run ended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from nkloop.coordination.artifacts import renew_markdown, show_markdown, show_report, show_table
from nkloop.coordination.form_words import in_form_words
from nkloop.coordination.report_pages import report_link
from nkloop.records.touched import touched
from nkloop.reports import labels_html, run_html, run_labels, run_sheets, sheets_markdown
from nkloop.reports.markdown import markdown_text
from nkloop.reports.numbers import count, listing
from nkloop.reports.run_sheet import is_kept
from nkloop.reports.tables import off_target
from nkloop.runs.recipe_kinds import kinds_of_revision
from nkloop.runs.stock_use import containers_of_run
from nkloop.runs.story import run_story
from nkloop.worklists.cells_back import cells_back_told

if TYPE_CHECKING:
    from datetime import date

    from nkloop.records.models import RunRecord
    from nkloop.reports.models import RunStory
    from nkloop.runs.session import Session
    from nkloop.worklists.models import Verdict, Worklist

logger = logging.getLogger(__name__)
CHECKS_UNDER_WAY = "under way; nothing is sent to the robot before they have passed"


class Told(Protocol):
    """A plan with what people should know of it, one sentence each."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How it is made."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may be wrong with it."""


@dataclass
class PlanShown:
    """The sheet of a worklist on the pages of Prefect."""

    worklist: Worklist
    sheet: str
    """Without what the checks say."""
    artifact: UUID
    is_checked: bool = False

    async def checked(self, verdict: Verdict) -> None:
        """Put what the checks say in the place of `CHECKS_UNDER_WAY`; once."""
        if not self.is_checked:
            outcome = "passed" if verdict.passed else "FAILED"
            text = f"{self.sheet}\n\n## Checks: {outcome}\n\n{_checks(verdict)}"
            await renew_markdown(self.artifact, text, f"checks {outcome}: {self.worklist.name}")
            self.is_checked = True


async def show_plan(session: Session, worklist: Worklist, rows: Sequence[Mapping[str, Any]]) -> PlanShown:
    """Show the sheet, and what the plan gives, as soon as there is a plan.

    Args:
        session: bench and catalogue.
        worklist: what is going to run.
        rows: what the plan gives; those of a component say whether the recipe's value is verified.
    """
    now = await session.bench.clock.now()
    containers = (containers_of_run(session, worklist, now),)
    sheets = run_sheets(
        (worklist,), session.catalogue, planned_on=now.date(), verdict="see the end", now=now, containers=containers
    )
    sheet = sheets_markdown(sheets, session.catalogue)
    text = f"{sheet}\n\n## Checks\n\nThe checks are {CHECKS_UNDER_WAY}."
    shown = PlanShown(worklist, sheet, await show_markdown("run-sheet", text, f"checks under way: {worklist.name}"))
    if rows:
        told = f"{_off_target(rows) or 'on target'}; what {worklist.name} gives{_unverified(worklist)}"
        await show_table("plan", [_with_mark(_without_why(row), worklist) for row in rows], told)
    await _show_labels(session, worklist, now.date())
    return shown


async def _show_labels(session: Session, worklist: Worklist, day: date) -> None:
    """Labels to print before the deck is loaded: a barcode that the flow has made up stands on nothing yet."""
    kinds = kinds_of_revision(session.workspace, session.records, worklist.recipe_revision)
    labels = run_labels(worklist, session.catalogue, prepared_on=day, kinds=kinds)
    if not labels:
        return
    path = session.workspace.state / "reports" / f"labels-{worklist.content_hash[:12]}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(labels_html(labels, f"Labels {worklist.name}"), encoding="utf-8")
    await show_report("labels", path, f"{count(len(labels), 'label')} to print before loading: {worklist.name}")


def _without_why(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "why"}


def _off_target(rows: Sequence[Mapping[str, Any]]) -> str:
    """Why what is off its target is off, once for each reason; in a table it would stand outside the page."""
    found = off_target((row["why"], row["component"], row.get("deviation [%]")) for row in rows if row.get("why"))
    return "; ".join(found)


async def show_told(plan: Told, name: str) -> None:
    """Show what a plan tells besides its figures, in the words of the form; the log hears what it warns of.

    Args:
        plan: of one run, or of several.
        name: what is planned, for the title.
    """
    warnings, notes = ([in_form_words(one) for one in some] for some in (plan.warnings, plan.notes))
    for warning in warnings:
        logger.warning("%s: %s", name, warning)
    told = [*(f"**Warning:** {markdown_text(one)}" for one in warnings), *map(markdown_text, notes)]
    if told:
        await show_markdown("plan-notes", "".join(f"- {one}\n" for one in told), f"What to know of {name}")


def _with_mark(row: Mapping[str, Any], worklist: Worklist) -> dict[str, Any]:
    """A row of a plan; one about a component says whether anybody has verified what the recipe asks."""
    if "component" not in row or worklist.recipe_revision is None:
        return dict(row)
    return {**row, "recipe value": "unverified" if row["component"] in worklist.unverified else "verified"}


def _unverified(worklist: Worklist) -> str:
    return f"; unverified values: {listing(worklist.unverified)}" if worklist.unverified else ""


def _checks(verdict: Verdict) -> str:
    return "".join(
        f"- {'passed' if check.passed else '**FAILED**'}: {check.check} ({check.seconds:.2f} s)\n"
        + "".join(
            f"  - {p.get('rule', '')} {p['where']}: {p['message']}. Remedy: {p['remedy']}\n" for p in check.problems
        )
        for check in verdict.checks
    )


async def show_run(session: Session, record: RunRecord) -> None:
    """Write the report of a run, and show where it is and what the run did."""
    path = session.workspace.state / "reports" / f"run-{record.id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    story = run_story(session.records, record.id, simulated=session.bench_file.simulated)
    path.write_text(run_html(story, catalogue=session.catalogue), encoding="utf-8")
    link = report_link(path)
    bench = f"{record.bench}{' (simulated)' if session.bench_file.simulated else ''}"
    rows = [*_facts(record, story, bench), {"what": "report", "value": link or str(path.resolve())}]
    pointer = f" ([report]({link}))" if link else ""
    await show_table("run", rows, f"{record.state}{pointer}: {record.name}{_unverified(story.worklist)}")


def _facts(record: RunRecord, story: RunStory, bench: str) -> list[dict[str, Any]]:
    worklist = story.worklist
    events = Counter(step.event for step in record.steps)
    done, others = events.pop("done", 0), sorted(events.items())
    vessels = [*_filled(worklist), *(one.name for one in worklist.vessels)]
    until = str(worklist.use_until) if worklist.use_until is not None and is_kept(worklist) else ""
    facts = {
        "run": record.id,
        "state": record.state,
        "bench": bench,
        "robot run": record.device_run_id or "",
        "vessel": ", ".join(vessels),
        "dose tubes: use by" if worklist.vessels else "use by": until,
        "steps done": f"{done} of {len(worklist.steps)}",
        **{f"steps {event}": number for event, number in others},
        "transfers": record.n_transfers,
        **{one.title: one.told for one in story.found},
        "afterwards": cells_back_told(worklist).removeprefix("Afterwards: ") if record.state == "succeeded" else "",
        "unverified values": f"{len(worklist.unverified)}, named above" if worklist.unverified else "",
    }
    return [{"what": what, "value": value} for what, value in facts.items() if value != ""]


def _filled(worklist: Worklist) -> list[str]:
    """Barcodes of what a run gives into; of all its labware where it gives into none, as when a plate is read."""
    given = {one.barcode for one in touched(worklist) if one.is_given}
    known = [item.barcode for item in worklist.deck if item.barcode]
    return [barcode for barcode in known if barcode in given] or known
