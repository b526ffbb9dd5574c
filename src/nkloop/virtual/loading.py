"""The operator loads the deck: every liquid becomes what its lot truly holds, whatever the plan believes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nkloop.errors import BenchError, LabwareError, Problem
from nkloop.quantities.display import number
from nkloop.virtual.chance import bounded_normal
from nkloop.virtual.components import planned_carrier, planned_cells
from nkloop.virtual.containers import Container, Contents, Well
from nkloop.virtual.stocks import COUNTING_CV, fresh_cells, suspended
from nkloop.worklists.arrivals import left_by
from nkloop.worklists.models import PREPARED, DeckItem, Filling, Worklist

if TYPE_CHECKING:
    from nkloop.virtual.world import World

LOADING_SECONDS = 600.0
VOLUME_TOLERANCE = 0.2
"""A kept labware that differs more than this from the plan's volume makes an incident."""
HARVEST_RECOVERY = 0.9
"""Share of cells that survives taking out, washing and resuspending."""
_FRESH = ("donor", "line", "reference", "sample")


def load_deck(world: World, worklist: Worklist, barcodes: Mapping[str, str]) -> None:
    """Put on the deck what the worklist asks for. All or nothing.

    Raises:
        BenchError: a liquid has no lot or one nobody knows, or a barcode belongs to another kind of labware.
    """
    marks = {item.nickname: item.barcode or barcodes.get(item.nickname) for item in worklist.deck}
    staying = _staying(worklist, marks)
    left = {item.nickname for item in staying}
    problems = [problem for item in worklist.deck for problem in _item_problems(world, item, marks[item.nickname])]
    problems += [problem for item in staying for problem in _staying_problems(world, item)]
    problems += [
        problem
        for filling in worklist.fillings
        if marks.get(filling.labware) not in world.containers and not (filling.labware in left and left_by(filling))
        for problem in _filling_problems(world, worklist, filling)
    ]
    if problems:
        raise BenchError.from_problems(problems)
    world.clear_deck(staying={item.slot for item in staying})
    world.clock.advance(LOADING_SECONDS)
    known = set(world.containers)
    placed = {item.nickname: world.place(item, marks[item.nickname], stays=item in staying) for item in worklist.deck}
    for filling in worklist.fillings:
        container = placed[filling.labware]
        well = container.well(filling.well, world.clock.seconds)
        # on a labware that stays, what people were to bring during the run was set down when it was loaded
        if container.barcode in known or (filling.labware in left and (left_by(filling) or well.volume_ul > 0)):
            _pour_off(world, worklist, container, filling)
            _compare(world, container, filling)
        else:
            well.add(_truth(world, filling))
    for nickname, container in placed.items():
        # A culture plate is carried with care: its cells stay settled. What stays on the deck is not moved at all.
        if container.barcode not in known and nickname not in left:
            world.stir(container)


def _staying(worklist: Worklist, marks: Mapping[str, str | None]) -> list[DeckItem]:
    """Labware without a barcode in which an interrupted run has left something."""
    holding = {filling.labware for filling in worklist.fillings if left_by(filling)}
    return [item for item in worklist.deck if item.nickname in holding and not marks[item.nickname]]


def _staying_problems(world: World, item: DeckItem) -> list[Problem]:
    there = world.deck.get(item.slot)
    if there is not None and there.labware.load_name == item.load_name:
        return []
    found = there.labware.load_name if there is not None else "nothing"
    told = f"{item.nickname} shall stay on the deck as the interrupted run left it, {found} stands there"
    return [Problem(told, f"slot {item.slot}", "discard the wells of that run and begin anew")]


def _item_problems(world: World, item: DeckItem, barcode: str | None) -> list[Problem]:
    try:
        world.catalogue[item.load_name]
    except LabwareError as error:
        return list(error.problems)
    known = world.containers.get(barcode or "")
    if known is not None and known.labware.load_name != item.load_name:
        return [
            Problem(
                f"{barcode} is labware {known.labware.load_name}, the worklist expects {item.load_name}",
                f"slot {item.slot}",
                "put the labware there that the worklist names",
            )
        ]
    return []


def _filling_problems(world: World, worklist: Worklist, filling: Filling) -> list[Problem]:
    where = f"{filling.labware} {filling.well}"
    lot = filling.liquid.lot
    try:
        item = worklist.item(filling.labware)
        world.catalogue[item.load_name].reached(filling.well, 1)
    except KeyError:
        return [Problem(f"nothing on the deck is called {filling.labware}", where, "name a labware of the worklist")]
    except LabwareError as error:
        return list(error.problems)
    if not lot:
        remedy = "name the lot, donor unit, line, reference or earlier container the liquid comes from"
        return [Problem(f"liquid '{filling.liquid.name}' names no lot, nobody knows what to put there", where, remedy)]
    prefix, colon, rest = lot.partition(":")
    if not colon or lot in world.stocks:
        if lot in world.stocks:
            return []
        return [Problem(f"lot {lot} is not in the lot list", where, "scan a lot of the lot list, or add this one")]
    if prefix in _FRESH:
        if planned_cells(filling.liquid.per_ul) > 0 and rest:
            return []
        return [Problem(f"{lot} is to be filled without cells", where, "give the cells per µL of the suspension")]
    if prefix in {"harvest", "prepared"}:
        return _earlier_problems(world, prefix, rest, filling, where)
    remedy = "use an inventory lot, donor:, line:, reference:, sample:, harvest: or prepared:"
    return [Problem(f"'{lot}' is no known kind of liquid", where, remedy)]


def _earlier_problems(world: World, prefix: str, rest: str, filling: Filling, where: str) -> list[Problem]:
    barcode, _, name = rest.rpartition(":")
    container = world.containers.get(barcode)
    if container is None:
        return [Problem(f"no labware with barcode '{barcode}' was ever used here", where, "check the barcode")]
    well = container.wells.get(name)
    if well is None or well.volume_ul <= 0:
        return [Problem(f"well {name} of {barcode} is empty", where, "name a well that holds something")]
    if prefix == "harvest" and planned_cells(filling.liquid.per_ul) <= 0:
        return [Problem(f"harvest of {rest} is to be filled without cells", where, "give the cells per µL")]
    return []


def _truth(world: World, filling: Filling) -> Contents:
    """What truly goes into the well."""
    lot, volume, per_ul = filling.liquid.lot or "", filling.volume_ul, filling.liquid.per_ul
    if lot in world.stocks:
        return Contents(volume, {name: share * volume for name, share in world.stocks.per_ul(lot).items()})
    prefix, _, rest = lot.partition(":")
    random = world.random("filling", world.loads, filling.labware, filling.well)
    if prefix in _FRESH:
        cells = fresh_cells(prefix, rest, planned_cells(per_ul), volume, random)
        return Contents(volume, suspended(cells, planned_carrier(per_ul), volume))
    barcode, _, name = rest.rpartition(":")
    source = world.touch(world.containers[barcode], name)
    if prefix == "prepared":
        source.stir(world.clock.seconds)
        if source.volume_ul < volume:
            world.note("short_supply", f"{barcode} {name}", f"{source.volume_ul:.0f} µL there, {volume:g} µL wanted")
        return source.take(volume)
    ratio = world.count_ratio(barcode, name, 1 + COUNTING_CV * bounded_normal(random))
    return _harvest(world, source, filling, ratio)


def _harvest(world: World, source: Well, filling: Filling, ratio: float) -> Contents:
    """Wash cells out of a culture well and resuspend them to the density a count made people believe in.

    The planned density counts all cells of the preparation, viable or not, as nominal E:T does.
    """
    volume, per_ul = filling.volume_ul, filling.liquid.per_ul
    needed = planned_cells(per_ul) / ratio * volume
    present = source.cells("cd34", "progenitor", "nk", "myeloid", "other", "dead")
    usable = present * HARVEST_RECOVERY
    share = min(1.0, needed / usable) if usable > 0 else 1.0
    if needed > usable:
        world.note(
            "short_supply",
            f"{filling.labware} {filling.well}",
            f"{number(needed)} cells wanted, {number(usable)} recovered",
        )
    taken = source.take(share * source.volume_ul)
    cells = {key: amount * HARVEST_RECOVERY for key, amount in taken.amounts.items() if ":" in key}
    for key, amount in cells.items():
        taken.amounts[key] -= amount
    world.drain("wash", taken)
    carrier = suspended({}, planned_carrier(per_ul), volume)
    return Contents(volume, {**carrier, **cells})


def _pour_off(world: World, worklist: Worklist, container: Container, filling: Filling) -> None:
    """Take off base medium what people run in themselves: it is made in one batch with what the robot takes."""
    moves = [move for step in worklist.steps for move in step.moves if not move.from_vessel]
    by_hand = sum(move.volume_ul for move in moves)
    is_by_hand = bool(moves) or any(vessel.is_of_this_run for vessel in worklist.vessels)
    is_base = (filling.liquid.lot or "").startswith(f"{PREPARED}{container.barcode}:")
    well = world.touch(container, filling.well)
    if is_by_hand and is_base and well.volume_ul - filling.volume_ul >= max(by_hand, 1.0):
        well.stir(world.clock.seconds)
        world.drain("by hand", well.take(well.volume_ul - filling.volume_ul))


def _compare(world: World, container: Container, filling: Filling) -> None:
    real = world.touch(container, filling.well).volume_ul
    if abs(real - filling.volume_ul) > VOLUME_TOLERANCE * filling.volume_ul:
        message = f"the plan believes {filling.volume_ul:g} µL, {real:.0f} µL are there"
        world.note("plan_differs", f"{container.identity} {filling.well}", message, volume_ul=real - filling.volume_ul)
