"""What stands between a worklist and a deck that PyLabRobot drives, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import evo, star
from nkloop.drivers.pylabrobot.family import Family
from nkloop.drivers.pylabrobot.resources import Table
from nkloop.drivers.pylabrobot.stations import Stations
from nkloop.errors import LabwareError, NkloopError
from nkloop.labware.models import LabwareType
from nkloop.worklists.bench_deck import BenchDeck, PipetteSpec
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import DeckItem, Worklist, channels_of

_SLACK_UL = 1e-6


def look_at(
    worklist: Worklist,
    family: Family,
    catalogue: LabwareLookup,
    deck: BenchDeck | None,
    stations: Stations,
    *,
    simulated: bool = True,
) -> tuple[Finding, ...]:
    """Compare a worklist with the bench: labware, carriers, tips, pipettes, volumes, temperatures, shakers."""
    found = [
        *_labware(worklist, family, catalogue),
        *(() if simulated else _taught(worklist, family, catalogue)),
        *_pipettes(worklist, family, deck),
        *_volumes(worklist, family, catalogue, deck),
        *_stations(worklist, stations),
        *_classes(family),
    ]
    if all(finding.ok for finding in found):
        found.append(_deck(worklist, family, catalogue))
    return tuple(found)


def inspect_deck(family: Family, deck: BenchDeck, stations: Stations) -> tuple[Finding, ...]:
    """What the bench file says of itself: carriers that exist and fit, every slot of the deck on one of them."""
    try:
        family.deck()
    except NkloopError as error:
        return (_refused("deck", error),)
    n = len(family.settings.carriers)
    found = [Finding(subject="deck", found=f"{n} carriers fit {family.model.title}", ok=True)]
    named = {slot for carrier in family.settings.carriers for slot in carrier.slots}
    for module in deck.modules:
        ok = stations.holds(module.slot) or stations.shakes(module.slot)
        told = "a device of the bench" if ok else "no device: people are asked"
        found.append(Finding(subject=f"{module.load_name} in {module.slot}", found=told, ok=True))
    if named:
        told = ", ".join(sorted(str(slot) for slot in named if slot))
        found.append(Finding(subject="slots", found=told, ok=True))
    return (*found, *_classes(family))


def _labware(worklist: Worklist, family: Family, catalogue: LabwareLookup) -> Iterator[Finding]:
    for item in worklist.deck:
        try:
            kind = catalogue[item.load_name]
        except (LabwareError, KeyError):
            remedy = "add it to labware/catalogue.yaml"
            yield Finding(
                subject=item.nickname, found=f"labware {item.load_name} is not known", ok=False, remedy=remedy
            )
            continue
        yield from _carried(item, kind, family)
        if kind.kind == "tip_rack" and family.rack_name(kind.load_name) is None:
            told = f"{family.model.title} cannot take the tips of {kind.load_name}"
            remedy = "plan the worklist for this bench, with its own tips"
            yield Finding(subject=item.nickname, found=told, ok=False, remedy=remedy)


def _taught(worklist: Worklist, family: Family, catalogue: LabwareLookup) -> Iterator[Finding]:
    """A Tecan goes to the heights taught for each labware; nobody may guess them for a real arm."""
    if family.model.name not in evo.MODELS:
        return
    if family.settings.waste is None:
        remedy = "teach it and write `waste` with x_mm, y_mm and height into the bench file"
        yield Finding(subject="tip waste", found="its place is not taught", ok=False, remedy=remedy)
    for load_name in sorted({item.load_name for item in worklist.deck} - family.settings.heights.keys()):
        try:
            is_rack = catalogue[load_name].kind == "tip_rack"
        except (LabwareError, KeyError):  # told with the labware
            continue
        if not is_rack:
            remedy = f"teach them and write `heights` of {load_name} into the bench file"
            yield Finding(subject=load_name, found="its heights are not taught", ok=False, remedy=remedy)


def _carried(item: DeckItem, kind: LabwareType, family: Family) -> Iterator[Finding]:
    """The slot is a site of a carrier that takes this kind of labware, and low enough to pass over."""
    if not family.model.n_rails:
        return
    carrier = next((one for one in family.settings.carriers if item.slot in one.slots), None)
    if carrier is None:
        remedy = f"name slot {item.slot} in `carriers` of the bench file, or plan with another deck"
        yield Finding(subject=item.nickname, found=f"slot {item.slot} is on no carrier", ok=False, remedy=remedy)
        return
    takes_tips = carrier.kind.startswith(family.tip_carriers)
    if takes_tips != (kind.kind == "tip_rack"):
        told = f"{kind.load_name} would stand on {carrier.kind}, which takes {'tips' if takes_tips else 'no tips'}"
        remedy = "name the slots of tip carriers in `tip_slots` of the bench's deck and plan again"
        yield Finding(subject=item.nickname, found=told, ok=False, remedy=remedy)


def _pipettes(worklist: Worklist, family: Family, deck: BenchDeck | None) -> Iterator[Finding]:
    for mount, name in worklist.pipettes.items():
        n = channels_of(name)
        try:
            channels = family.channels(mount, n)
        except NkloopError as error:
            yield _refused(f"{mount} pipette", error)
            continue
        if len(channels) > family.n_channels():
            told = f"{n} channels are needed, the arm has {family.n_channels()}"
            yield Finding(subject=f"{mount} pipette", found=told, ok=False, remedy="plan with fewer channels")
            continue
        spec = _spec(deck, mount, name)
        told = f"{name} as channels {', '.join(str(c + 1) for c in channels)}"
        if deck is not None and spec is None:
            told += ": the bench file does not describe it, its volumes are not checked"
        yield Finding(subject=f"{mount} pipette", found=told, ok=True)


def _volumes(worklist: Worklist, family: Family, catalogue: LabwareLookup, deck: BenchDeck | None) -> Iterator[Finding]:
    """The first volume of each pipette that it cannot move; one wrong figure usually comes many times."""
    told: set[str] = set()
    for step in worklist.steps:
        mount = worklist.mount_of(step) if step.action in {"transfer", "mix"} else None
        if mount is None or mount in told:
            continue
        spec = _spec(deck, mount, worklist.pipettes[mount])
        low = max(spec.min_volume_ul if spec else 0.0, evo.SMALLEST_UL if family.model.name in evo.MODELS else 0.0)
        high = spec.max_volume_ul if spec else float("inf")
        mixed = (step.mix_volume_ul,) if step.action == "transfer" and step.mix_before + step.mix_after else ()
        wrong = [v for v in (step.volume_ul, *mixed) if not low - _SLACK_UL <= v <= high + _SLACK_UL]
        if wrong:
            told.add(mount)
            yield Finding(
                subject=f"step {step.number}",
                found=f"{wrong[0]:g} µL is outside {low:g} to {high:g} µL",
                ok=False,
                remedy="plan the worklist for this bench, which dilutes or splits",
            )


def _stations(worklist: Worklist, stations: Stations) -> Iterator[Finding]:
    for item in worklist.deck:
        if item.temperature_c is None:
            continue
        wanted = f"{item.nickname} at {item.temperature_c:g} °C"
        if not stations.holds(item.slot):
            yield Finding(subject=wanted, found="no device there: a person is asked before the run", ok=True)
            continue
        low, high = stations.limits(item.slot).celsius or (0, 0)
        ok = low <= item.temperature_c <= high
        found = f"the device in slot {item.slot} does {low:g} to {high:g} °C"
        yield Finding(subject=wanted, found=found, ok=ok, remedy="use another device or temperature")
    shaken = {(s.labware, s.rpm) for s in worklist.steps if s.action == "shake"}
    for nickname, rpm in sorted(shaken):
        slot = worklist.item(nickname).slot
        if not stations.shakes(slot):
            yield Finding(subject=f"shaking {nickname}", found="no shaker there: a person is asked each time", ok=True)
            continue
        low, high = stations.limits(slot).rpm or (0, 0)
        found = f"the shaker in slot {slot} does {low} to {high} rpm, {rpm} rpm is asked"
        yield Finding(subject=f"shaking {nickname}", found=found, ok=low <= rpm <= high, remedy="change the speed")


def _classes(family: Family) -> Iterator[Finding]:
    """Liquid classes with who has checked them; the maker's curve for water where there is none."""
    if not family.settings.liquid_classes:
        yield Finding(subject="liquid classes", found="none: all liquids as the maker's water", ok=True)
    for liquid in family.settings.liquid_classes:
        who = f"verified by {liquid.verified_by}" if liquid.verified_by else "verified by nobody"
        yield Finding(subject=f"liquid class {liquid.name}", found=who, ok=True)


def _deck(worklist: Worklist, family: Family, catalogue: LabwareLookup) -> Finding:
    """The deck can be built, and nothing on it stands higher than the channels pass."""
    try:
        table = Table(worklist, catalogue, family)
    except NkloopError as error:
        return _refused("deck", error)
    if family.model.name in star.MODELS:
        for item in worklist.deck:
            top = table.top_mm(item.nickname)
            if top > star.TRAVERSE_MM:
                told = f"{item.nickname} ends {top:.0f} mm high, channels pass at {star.TRAVERSE_MM:g} mm"
                remedy = f"put slot {item.slot} on a lower carrier, for example one of kind `{star.FLAT}`"
                return Finding(subject="deck", found=told, ok=False, remedy=remedy)
    return Finding(subject="deck", found=f"{len(worklist.deck)} labware on {family.model.title}", ok=True)


def _spec(deck: BenchDeck | None, mount: str, name: str) -> PipetteSpec | None:
    pipettes = deck.pipettes if deck is not None else ()
    return next((p for p in pipettes if p.mount == mount and p.load_name == name), None)


def _refused(subject: str, error: NkloopError) -> Finding:
    first = error.problems[0]
    where = f" ({first.where})" if first.where else ""
    return Finding(subject=subject, found=f"{first.message}{where}", ok=False, remedy=first.remedy)
