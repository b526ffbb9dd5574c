"""The second half of a killing assay (LDH release): incubation, lysis, detection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.worklists.builder import Supply, WorklistBuilder
from nkloop.worklists.column_parts import Part, column_parts
from nkloop.worklists.contents import WellContents
from nkloop.worklists.models import Liquid, OperatorTask, OperatorTaskKind, Worklist
from nkloop.worklists.plans import CytotoxicityRequest
from nkloop.worklists.strength import stock_liquid

ASSAY, DETECTION, REAGENTS = "assay", "detection", "reagents"
DETECTION_PLATE = "corning_96_wellplate_360ul_flat"
REAGENT_TROUGHS = "nest_12_reservoir_15ml"
LYSIS_MINUTES = 45
"""Lysis buffer acts this long before harvest (Promega FAQ fq0006); the effectors' contact includes it."""
CENTRIFUGE_G, CENTRIFUGE_MINUTES = 250, 4
BRING_MINUTES = 1.0
"""Setting a reagent on the deck; an estimate."""
DARK_MINUTES, BENCH_C, BODY_C = 30, 22.0, 37.0
SUPERNATANT_FLOW = 0.3
_SILENT_ROLES = {"medium_ring", "empty"}


def incubate_and_lyse(
    builder: WorklistBuilder, request: CytotoxicityRequest, lysis: Supply, cold: Collection[str] = ()
) -> None:
    """Incubate, bring lysis buffer into maximum and volume-correction wells, incubate on.

    Lysis goes well by well: eight channels would bring it into the outer ring too.

    Args:
        cold: reagents of the read-out that come from the cold and are brought to room temperature meanwhile.
    """
    minutes = request.layout.contact_minutes - LYSIS_MINUTES
    _wait(builder, f"Incubate the assay plate for {minutes:g} min at 37 °C", ASSAY, minutes, BODY_C)
    for role in ("volume_correction", "maximum"):
        for well in request.layout.with_role(role):
            builder.transfer(
                lysis,
                (ASSAY, well.well),
                request.lysis_ul,
                each_fresh=True,
                mix_after=3,
                comment=f"lysis buffer into {well.well}",
            )
    text = f"Incubate the assay plate for {LYSIS_MINUTES} min at 37 °C"
    if cold:
        text += f". Meanwhile bring {' and '.join(cold)} to {BENCH_C:g} °C, in the dark"
    _wait(builder, text, ASSAY, LYSIS_MINUTES, BODY_C)


def spin(builder: WorklistBuilder) -> None:
    """Cells down, so that only supernatant is drawn."""
    builder.pause(
        OperatorTask(
            kind="centrifuge",
            instruction=f"Centrifuge the assay plate at {CENTRIFUGE_G} g for {CENTRIFUGE_MINUTES} min, put it back",
            labware=(ASSAY,),
            minutes=CENTRIFUGE_MINUTES,
            force_g=CENTRIFUGE_G,
        )
    )


def bring_in_the_dark(builder: WorklistBuilder, supplies: Iterable[Supply], lots: Mapping[str, Lot]) -> None:
    """Light-sensitive reagents come to the deck only when they are used next; nothing to do without any."""
    sensitive = [one for one in supplies if lots[one.liquid.name].light_sensitive]
    if not sensitive:
        return
    names = " and ".join(one.liquid.name for one in sensitive)
    builder.pause(
        OperatorTask(
            kind="equilibrate",
            instruction=f"Dim the light. Only now set {names} on the deck as the loading list says; it was kept in the "
            f"dark until here. Close the hood and go on at once",
            labware=tuple(dict.fromkeys(one.nickname for one in sensitive)),
            wells=tuple(well for one in sensitive for well in (*one.opened, *one.wells)),
            minutes=BRING_MINUTES,
        )
    )


def detection_supplies(
    builder: WorklistBuilder, request: CytotoxicityRequest, lots: Mapping[str, Lot]
) -> tuple[Supply, Supply]:
    """Substrate and stop solution, in the troughs placed as `REAGENTS`."""
    substrate = builder.supply(REAGENTS, ("A8", "A9"), bench_liquid(lots, request.substrate))
    return substrate, builder.supply(REAGENTS, ("A11", "A12"), bench_liquid(lots, request.stop_solution))


def bench_liquid(lots: Mapping[str, Lot], component: str) -> Liquid:
    """A liquid that is used as it comes from its lot."""
    return stock_liquid(lots[component], Amount(100, "% v/v"), component)


def plan_detection(
    builder: WorklistBuilder,
    request: CytotoxicityRequest,
    lots: Mapping[str, Lot],
    standing: Iterable[tuple[str, WellContents]],
    *,
    parts: bool,
) -> Worklist:
    """The read-out as a robot run of its own: centrifugation first, then supernatants and colour.

    Args:
        standing: wells of the assay plate with what the run before left in them.
        parts: allow parts of plate columns.

    Raises:
        PlanError: something does not fit; `DeckFullError` when narrower pipetting may fit.
    """
    builder.place(ASSAY, request.plate_load_name, "Assay plate", barcode=request.layout.barcode)
    builder.place(DETECTION, DETECTION_PLATE, "Detection plate", barcode=request.detection_barcode)
    builder.place(REAGENTS, REAGENT_TROUGHS, "Substrate, stop solution")
    for well, held in standing:
        if held.volume_ul > 0:
            builder.fill((ASSAY, well), held.volume_ul, Liquid(name=f"assay plate {well}", per_ul=held.per_ul))
    substrate, stop = detection_supplies(builder, request, lots)
    spin(builder)
    bring_in_the_dark(builder, (substrate, stop), lots)
    detect(builder, request, substrate, stop, parts=parts)
    return builder.build(recipe_revision=request.recipe_revision, seed=request.layout.seed)


def detect(
    builder: WorklistBuilder, request: CytotoxicityRequest, substrate: Supply, stop: Supply, *, parts: bool
) -> None:
    """Substrate into the empty plate with one set of tips, then supernatant, dark, stop solution."""
    wells = [well.well for well in request.layout.wells if well.role not in _SILENT_ROLES]
    found = _columns(builder, wells, request.supernatant_ul, substrate.nickname if parts else None)
    before = 0
    for spot, channels in found:
        builder.transfer(
            substrate,
            (DETECTION, spot),
            request.substrate_ul,
            channels=channels,
            fresh=channels != before,
            comment="substrate",
        )
        before = channels
    for spot, channels in found:
        builder.transfer(
            (ASSAY, spot),
            (DETECTION, spot),
            request.supernatant_ul,
            channels=channels,
            mix_after=2,
            flow=SUPERNATANT_FLOW,
            comment=f"supernatant of {_words(spot, channels)}",
        )
    text = f"Keep the detection plate in the dark for {DARK_MINUTES} min at 22 °C"
    _wait(builder, text, DETECTION, DARK_MINUTES, BENCH_C)
    for spot, channels in found:
        builder.transfer(
            stop, (DETECTION, spot), request.stop_ul, channels=channels, mix_after=1, comment="stop solution"
        )


def _columns(builder: WorklistBuilder, wells: Collection[str], volume_ul: float, trough: str | None) -> list[Part]:
    """Columns where every row holds enough for eight channels, then parts of the other columns or their single wells.

    `trough` holds what is given besides; without it no parts of columns are used.
    """
    kind = builder.kind(ASSAY)
    full, rest = list[Part](), list[str]()
    for column in sorted({int(name[1:]) for name in wells}):
        names = kind.reached(f"A{column}", 8)
        enough = all(builder.ledger.available(ASSAY, name) >= volume_ul for name in names)
        if enough and builder.deck.pipette(8) is not None:
            full.append((f"A{column}", 8))
        else:
            rest += [name for name in names if name in wells]
    found = list[Part]()
    for spot, channels in column_parts(kind, rest):
        spots = [(ASSAY, spot), (DETECTION, spot), *([(trough, "A1")] if trough else [])]
        if channels > 1 and trough and builder.reaches(spots, channels, volume_ul):
            found.append((spot, channels))
        else:
            found += [(name, 1) for name in kind.reached(spot, channels)]
    return [*full, *sorted(found, key=lambda part: -part[1])]


def _words(spot: str, channels: int) -> str:
    if channels == 8:
        return f"column {spot[1:]}"
    return spot if channels == 1 else f"{spot} and {channels - 1} below it"


def _wait(builder: WorklistBuilder, text: str, labware: str, minutes: float, temperature_c: float) -> None:
    kind: OperatorTaskKind = "incubate"
    builder.pause(
        OperatorTask(kind=kind, instruction=text, labware=(labware,), minutes=minutes, temperature_c=temperature_c)
    )
