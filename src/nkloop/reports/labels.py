"""Labels for what a run makes and touches: A4 sheets of 3 × 8 labels of 63.5 × 33.9 mm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount, Kind
from nkloop.quantities.display import shown
from nkloop.reports.deck_map import LabwareTitles, title_in_use
from nkloop.reports.label_print import printed_parts
from nkloop.reports.numbers import moment
from nkloop.reports.page import picture, render
from nkloop.reports.qr import qr_svg
from nkloop.worklists.arrivals import brought_by
from nkloop.worklists.bag_plans import DoseLabel
from nkloop.worklists.cell_tubes import cell_tubes, tube_codes
from nkloop.worklists.contents import Ledger
from nkloop.worklists.label_codes import CELLS, LABWARE, VESSEL
from nkloop.worklists.models import PREPARED, DeckItem, Filling, Worklist

PER_SHEET = 24
_QR_MM = 19.0
_MOST_PARTS = 4
_SEE_RECORD = "see batch record"
"""A culture has no shelf life; how long it stays in its vessel is the batch's to say."""


class Label(FrozenModel):
    """One label."""

    batch: str
    content: str
    place: str
    """Labware and well on the deck, or the barcode of a plate."""
    step: str
    """Step after which it is finished, or the step of the batch a dose tube belongs to."""
    prepared: str
    expires: str
    code: str
    """What its QR code says."""


def run_labels(
    worklist: Worklist,
    catalogue: LabwareTitles | None,
    *,
    prepared_on: date,
    batch: str = "",
    doses: Mapping[tuple[str, str], DoseLabel] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    ended: Mapping[int, datetime] | None = None,
) -> tuple[Label, ...]:
    """A label for every plate with a barcode, tube of cells, vessel the run fills for use, and intermediate tube.

    What an earlier run prepared has its label from there. Intermediates that are drawn from in the run are used the
    same day; what stays, until the worklist's last day.

    Args:
        worklist: the run.
        catalogue: titles of labware.
        prepared_on: day of the work.
        batch: stands on every label; the worklist's name when empty.
        doses: what the plan says of dose tubes, by nickname and well: they leave the deck and carry its words.
        kinds: what components are measured in; intermediates then tell the concentrations the ledger finds in them.
        ended: when each step of a recorded run ended; labels then tell the time as well.
    """
    batch = batch or worklist.name
    times = ended or {}
    earlier = {f.labware for f in worklist.fillings if (f.liquid.lot or "").startswith(PREPARED)}
    labels = [
        _of_item(worklist, item, batch, prepared_on, times, catalogue)
        for item in worklist.deck
        if item.barcode is not None and item.nickname not in earlier
    ]
    labels += [_of_cells(worklist, tube, batch, prepared_on, catalogue) for tube in cell_tubes(worklist)]
    goes_to = _destinations(worklist)
    drawn = {(s.labware, s.well) for s in worklist.steps if s.action == "transfer"}
    named = _names(worklist)
    made = _made(worklist)
    held = _held(worklist, catalogue, {spot: last for spot, (_, last) in made.items()}) if kinds else {}
    for (nickname, well), (parts, last) in made.items():
        item = worklist.item(nickname)
        code = f"nkloop:{worklist.content_hash[:12]}:{nickname}:{well}"
        if doses and (nickname, well) in doses:
            made_at = _when(last, times, prepared_on)
            labels.append(_of_dose(doses[nickname, well], f"tube {well}", code, made_at))
            continue
        labels.append(
            Label(
                batch=f"{goes_to[nickname, well]}, {batch}" if (nickname, well) in goes_to else batch,
                content=named.get((nickname, well)) or _content(parts, held.get((nickname, well), {}), kinds or {}),
                place=f"{title_in_use(item, catalogue)} {well}",
                step=f"{last}",
                prepared=_when(last, times, prepared_on),
                expires="same day" if (nickname, well) in drawn else _until(worklist),
                code=code,
            )
        )
    return tuple(labels)


def _when(step: int, ended: Mapping[int, datetime], day: date) -> str:
    """`2026-11-28 14:05 UTC` of a step that was seen to end, else the day."""
    return moment(ended[step]) if step in ended else f"{day}"


def _destinations(worklist: Worklist) -> dict[tuple[str, str], str]:
    """The closed vessel each tube is run into."""
    found: dict[tuple[str, str], str] = {}
    for step in worklist.steps:
        for move in step.moves:
            rack, _, well = move.from_vessel.partition(":")
            if well:
                found[rack, well] = move.to_vessel
    return found


def _names(worklist: Worklist) -> dict[tuple[str, str], str]:
    """What planners call a preparation: they close it with a step such as "mix the medium of reference".

    A cocktail is told by what is in it, because a run may make several.
    """
    return {
        (s.labware, s.well): s.comment.removeprefix("mix the ")
        for s in worklist.steps
        if s.action == "mix" and s.comment.startswith("mix the ") and s.comment != "mix the cocktail"
    }


def _made(worklist: Worklist) -> dict[tuple[str, str], tuple[list[str], int]]:
    """Tubes without a barcode that the run fills from empty: liquids that went in, also by way of another such tube,
    and the last step that brought some.
    """
    names = {(f.labware, f.well): f.liquid.name for f in worklist.fillings}
    tubes = {item.nickname for item in worklist.deck if item.barcode is None and _is_tube(item)}
    made: dict[tuple[str, str], tuple[list[str], int]] = {}
    for step in worklist.steps:
        spot = (step.to_labware, step.to_well)
        if step.action != "transfer" or step.channels != 1 or spot in names or step.to_labware not in tubes:
            continue
        parts, _ = made.get(spot, ([], 0))
        source = (step.labware, step.well)
        come = [names[source]] if source in names else made[source][0] if source in made else [step.comment]
        made[spot] = ([*parts, *come], step.number)
    return made


def _held(
    worklist: Worklist, catalogue: LabwareTitles | None, last: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], dict[str, float]]:
    """Canonical concentrations in tubes after the step that finishes each; nothing without a catalogue."""
    if catalogue is None:
        return {}
    ledger = Ledger.of(worklist, catalogue)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for step in worklist.steps:
        ledger.apply(step)
        spot = (step.to_labware, step.to_well)
        if last.get(spot) == step.number:
            found[spot] = ledger.well(*spot).per_ul
    return found


def labels_html(labels: Iterable[Label], title: str) -> str:
    """A4 pages of labels, to be printed at 100 % without headers.

    An amount is never broken over two lines and nothing is left out: print gets smaller, then the rest of a content
    goes to a second label.
    """
    made = [
        (label, pieces, size, picture(qr_svg(label.code, _QR_MM)))
        for label in labels
        for pieces, size in printed_parts(label.content)
    ]
    sheets = [made[start : start + PER_SHEET] for start in range(0, len(made), PER_SHEET)]
    return render("labels.html", running_head="", title=title, sheets=sheets)


def vessel_label(told: DoseLabel) -> Label:
    """The label of a closed vessel; its barcode is the first word of its batch."""
    barcode = told.batch.partition(" ")[0]
    label = _of_dose(told, "closed vessel", f"{VESSEL}{barcode}", f"{told.prepared:%Y-%m-%d}")
    return label.model_copy(update={"expires": _SEE_RECORD})


def _of_dose(dose: DoseLabel, place: str, code: str, prepared: str) -> Label:
    return Label(
        batch=dose.batch,
        content=dose.content,
        place=place,
        step=dose.step,
        prepared=prepared,
        expires=dose.use or f"{dose.expires}",
        code=code,
    )


def _of_item(
    worklist: Worklist, item: DeckItem, batch: str, day: date, ended: Mapping[int, datetime],
    catalogue: LabwareTitles | None,
) -> Label:  # fmt: skip
    last = max((s.number for s in worklist.steps if item.nickname in {s.labware, s.to_labware}), default=0)
    until = {"cytotoxicity_assay": "same day", "cytokine_dosing": _SEE_RECORD}.get(worklist.procedure)
    return Label(
        batch=batch,
        content=title_in_use(item, catalogue),
        place=item.barcode or "",
        step=f"{last or '–'}",
        prepared=_when(last, ended, day),
        expires=until or _until(worklist),
        code=f"{LABWARE}{item.barcode}",
    )


def _of_cells(worklist: Worklist, tube: Filling, batch: str, day: date, catalogue: LabwareTitles | None) -> Label:
    """The label of a tube that is brought: its code is what is scanned then."""
    item, step = worklist.item(tube.labware), brought_by(tube, worklist)
    return Label(
        batch=batch,
        content=tube.liquid.name,
        place=f"{title_in_use(item, catalogue)} {tube.well}",
        step=f"{step.number}" if step is not None else "–",
        prepared=f"{day}",
        expires="same day",
        code=f"{CELLS}{tube_codes(tube.liquid.lot or '')[0]}",
    )


def _until(worklist: Worklist) -> str:
    if worklist.limits.thawed_minutes is not None:
        return f"at once, ≤ {worklist.limits.thawed_minutes:g} min from the freezer"
    return f"{worklist.use_until or _SEE_RECORD}"


def _is_tube(item: DeckItem) -> bool:
    return "tuberack" in item.load_name or "aluminumblock" in item.load_name or "reservoir" in item.load_name


def _content(parts: Sequence[str], per_ul: Mapping[str, float], kinds: Mapping[str, Kind]) -> str:
    """What is in a tube: `GM-CSF 10 ng/mL in GBGM`, or the names alone where no concentration is known."""
    named = list(dict.fromkeys(parts))
    told = {
        name: f"{name} {shown(Amount(per_ul[name], kinds[name].value, substance=name))}"
        for name in named
        if per_ul.get(name, 0.0) > 0 and kinds.get(name, Kind.FRACTION) is not Kind.FRACTION
    }
    if not told:
        return _few(named)
    rest = [name for name in named if name not in told]
    return f"{', '.join(told.values())}{f' in {_few(rest)}' if rest else ''}"


def _few(named: Sequence[str]) -> str:
    return ", ".join(named) if len(named) <= _MOST_PARTS else f"{', '.join(named[:3])} and {len(named) - 3} more"
