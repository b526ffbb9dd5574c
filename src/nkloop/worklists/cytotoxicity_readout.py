"""The second half of a killing assay (LDH release): incubation, lysis, detection."""

from __future__ import annotations

from collections.abc import Collection

from nkloop.worklists.builder import Supply, WorklistBuilder
from nkloop.worklists.column_parts import Part, column_parts
from nkloop.worklists.models import OperatorTask, OperatorTaskKind
from nkloop.worklists.plans import CytotoxicityRequest

ASSAY, DETECTION = "assay", "detection"
LYSIS_MINUTES = 45
"""Lysis buffer acts this long before harvest (Promega FAQ fq0006); the effectors' contact includes it."""
CENTRIFUGE_G, CENTRIFUGE_MINUTES = 250, 4
DARK_MINUTES, BENCH_C, BODY_C = 30, 22.0, 37.0
SUPERNATANT_FLOW = 0.3
_SILENT_ROLES = {"medium_ring", "empty"}


def incubate_and_lyse(builder: WorklistBuilder, request: CytotoxicityRequest, lysis: Supply) -> None:
    """Incubate, bring lysis buffer into maximum and volume-correction wells, incubate on, centrifuge.

    Lysis goes well by well: eight channels would bring it into the outer ring too.
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
    _wait(builder, f"Incubate the assay plate for {LYSIS_MINUTES} min at 37 °C", ASSAY, LYSIS_MINUTES, BODY_C)
    builder.pause(
        OperatorTask(
            kind="centrifuge",
            instruction=f"Centrifuge the assay plate at {CENTRIFUGE_G} g for {CENTRIFUGE_MINUTES} min, put it back",
            labware=(ASSAY,),
            minutes=CENTRIFUGE_MINUTES,
            force_g=CENTRIFUGE_G,
        )
    )


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
        if channels > 1 and trough and builder.reaches([(ASSAY, spot), (DETECTION, spot), (trough, "A1")], channels):
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
