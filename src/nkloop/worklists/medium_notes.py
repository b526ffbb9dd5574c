"""How a medium is made, in sentences: what a scientist reads before signing the plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from nkloop.inventory.models import Lot
from nkloop.quantities import Amount
from nkloop.worklists.carriers import carrier_name, carrier_notes, carrier_of
from nkloop.worklists.medium_run import MediumRun
from nkloop.worklists.medium_vessels import MediumVessel


def notes(
    runs: Sequence[MediumRun], lots: Mapping[str, Lot], minimum_ul: float, today: date, use_until: date
) -> tuple[str, ...]:
    """Sentences on vessels, pre-dilutions, order, cold and warmth; each said once."""
    told = [sentence for run in runs for sentence in _of_run(run, lots, minimum_ul)]
    vessels = [vessel for run in runs for vessel, _ in run.vessels]
    return tuple(dict.fromkeys([*_of_vessels(vessels), *told, *_of_handling(vessels, today, use_until)]))


def _of_vessels(vessels: Sequence[MediumVessel]) -> Iterator[str]:
    for order in dict.fromkeys(vessel.order.barcode for vessel in vessels):
        own = [vessel for vessel in vessels if vessel.order.barcode == order]
        each = f"{_volume(own[0].usable_ul)} in a {own[0].label}"
        stays = f"{_volume(own[0].total_ul - own[0].usable_ul)} more are made because they stay behind"
        if len(own) == 1:
            yield f"{own[0].order.stage_id}: {each} ({order}); {stays}."
        else:
            names = f"{own[0].barcode} to {own[-1].barcode}"
            yield (
                f"{own[0].order.stage_id}: {own[0].order.volume} is more than one vessel gives, so it is made as "
                f"{len(own)} complete media of {each} each ({names}); {stays} in each."
            )


def _of_run(run: MediumRun, lots: Mapping[str, Lot], minimum_ul: float) -> Iterator[str]:
    base = run.vessels[0][0].medium.base.component
    for component, chain in run.doses.chains.items():
        if not chain.dilutions:
            continue
        carrier = carrier_name(carrier_of(lots[component], lots), base)
        direct = sum(chain.amounts) / chain.stock_per_ul
        why = f"{direct:.2g} µL of stock would be below the {minimum_ul:g} µL the pipette moves reliably"
        if direct >= minimum_ul:
            why = "single doses of stock would be too small or too inaccurate"
        elif direct * 2 >= minimum_ul:
            why = f"{direct:.2g} µL of stock cannot be pipetted reliably"
        into = "the cocktail" if component in run.doses.in_cocktails else "the medium"
        doses = ", ".join(f"{volume:g} µL" for volume in chain.volumes_ul if volume > 0)
        drawn = chain.drawn_words
        told = f"; {drawn}" if drawn else ""
        yield (
            f"{component} is pre-diluted {chain.words} in {carrier}, because {why}; {doses} of it go into {into}{told}."
        )
    diluted = [component for component, chain in run.doses.chains.items() if chain.dilutions]
    yield from carrier_notes(diluted, lots, base)
    for cocktail in run.doses.cocktails:
        doses = ", ".join(f"{volume:g} µL" for volume in cocktail.volumes_ul if volume > 0)
        yield (
            f"{', '.join(cocktail.components)} are mixed once, as {cocktail.total_ul:g} µL of cocktail; {doses} of it "
            f"go into the media."
        )


def _of_handling(vessels: Sequence[MediumVessel], today: date, use_until: date) -> Iterator[str]:
    yield "Order: base, serum, other additives, then cytokines from the lowest dose to the highest; mixed at the end."
    yield "Stocks stand at 4 °C; intermediates are made in low-bind tubes and discarded the same day."
    for stage, medium in {vessel.order.stage_id: vessel.medium for vessel in vessels}.items():
        last = min(use_until, today + timedelta(days=medium.shelf_life.to("d")))
        yield (
            f"Keep the medium of {stage} at {medium.storage_temperature:g} °C and use it by {last} "
            f"({medium.shelf_life}); warm it to {medium.use_temperature:g} °C before it meets cells."
        )


def _volume(microlitres: float) -> str:
    return Amount(microlitres, "µL").display(4)
