"""The report of one run: checks, deck, loading list, steps and what happened to them."""

from __future__ import annotations

from nkloop.reports.deck_map import LabwareTitles, deck_svg
from nkloop.reports.lots import lots_used
from nkloop.reports.models import RunStory
from nkloop.reports.numbers import count, length, listing, moment
from nkloop.reports.page import picture, render
from nkloop.reports.run_view import load_rows, procedure_title, run_row, step_rows


def run_html(story: RunStory, *, catalogue: LabwareTitles | None = None) -> str:
    """One self-contained HTML page: no script, no request, equal text for an equal story.

    Args:
        story: Plan, checks and record of the run.
        catalogue: Gives labware its title and its grid of wells; without it both are told from the load name.
    """
    record = story.record
    steps = step_rows(story, catalogue)
    head = ", simulated bench" if story.simulated else ""
    return render(
        "run.html",
        running_head=f"Run {record.name}{head}",
        title=f"Run {record.name}",
        simulated=bool(story.simulated),
        record=record,
        story=story,
        worklist=story.worklist,
        row=run_row(story),
        facts=_facts(story),
        deck=picture(deck_svg(story.worklist, catalogue)),
        load=load_rows(story.worklist, catalogue),
        steps=steps,
        open_steps=[step for step in steps if step.is_unknown or step.is_failed],
        lots=lots_used((story,)),
        containers=story.containers,
    )


def _facts(story: RunStory) -> list[tuple[str, str, bool]]:
    record, unverified = story.record, story.worklist.unverified
    kind = {True: " (simulated)", False: "", None: " (whether it is simulated is not recorded)"}[story.simulated]
    return [
        ("Procedure", procedure_title(record.procedure), False),
        ("State", record.state, False),
        ("Bench", f"{record.bench}{kind}", False),
        ("Device", record.device, False),
        ("Started", moment(record.started_at), False),
        ("Ended", moment(record.ended_at), False),
        ("Took", length(record.started_at, record.ended_at), False),
        ("Work", f"{count(len(story.worklist.steps), 'step')}, {count(record.n_transfers, 'transfer')}", False),
        ("Recipe revision", record.recipe_revision or "none", True),
        *((one.title.capitalize(), one.told, False) for one in story.found),
        *([("Unverified values", listing(unverified), True)] if unverified else []),
        ("Run", record.id, True),
        ("Run on the device", record.device_run_id or "none", True),
        ("Worklist (SHA-256)", record.worklist_hash[:16], True),
    ]
