"""PyLabRobot resources made of our own labware data, and where the wells of a worklist are on a deck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import BenchError
from nkloop.labware.models import LabwareType
from nkloop.labware.outlines import Outline, known_outline, maker_outlines
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.models import Worklist

if TYPE_CHECKING:
    from nkloop.drivers.pylabrobot.family import Family

_Base = adapter.part("resources").Well


class Well(_Base):  # type: ignore[misc, valid-type]  # PyLabRobot ships no types
    """A well that is only itself and stays where it is.

    PyLabRobot compares geometries, and multiplies the rotations of all that a well stands on each time it is asked for
    its place; on a deck that nobody rearranges during a run both cost more than all other work.
    """

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stay(self)

    def get_absolute_size_z(self) -> float:
        """Height in mm; nothing on these decks is turned."""
        return float(self._size_z)


def stay(resource: Any) -> None:
    """Have a resource of a deck that nobody rearranges remember where it is."""
    find = resource.get_location_wrt
    places: dict[tuple[int, str, str, str], Any] = {}

    def get_location_wrt(other: Any, x: str = "l", y: str = "f", z: str = "b") -> Any:
        key = (id(other), x, y, z)
        if key not in places:
            places[key] = find(other, x, y, z)
        place = places[key]
        return at(place.x, place.y, place.z)

    resource.get_location_wrt = get_location_wrt


def at(x: float, y: float, z: float) -> Any:
    """A PyLabRobot coordinate in mm."""
    return adapter.part("resources").Coordinate(x, y, z)


class Table:
    """The deck of one worklist: every labware in its slot, wells filled, racks full."""

    def __init__(self, worklist: Worklist, catalogue: LabwareLookup, family: Family) -> None:
        """Build it.

        Raises:
            BenchError: a slot is on no carrier, a tip cannot be taken.
            LabwareError: labware is not known, or its geometry is not.
        """
        self.deck = family.deck()
        self.kinds: dict[str, LabwareType] = {}
        self.outlines: dict[str, Outline] = {}
        self._resources: dict[str, Any] = {}
        self._corners: dict[str, Any] = {}
        self._grids: dict[str, dict[str, tuple[float, float, float, float]]] = {}
        for item in worklist.deck:
            kind = catalogue[item.load_name]
            self.kinds[item.nickname] = kind
            if kind.kind == "tip_rack":
                known = maker_outlines().get(kind.load_name)
                resource = family.tip_rack(item.nickname, kind, known)
            else:
                self.outlines[item.nickname] = known_outline(catalogue, kind.load_name)
                resource = family.plate(item.nickname, kind, self.outlines[item.nickname])
            family.place(self.deck, item.slot, resource)
            if kind.kind == "tip_rack":
                for spot in resource.get_all_items():
                    stay(spot)
            self._resources[item.nickname] = resource
        for filling in worklist.fillings:
            well = self.well(filling.labware, filling.well)
            well.tracker.set_volume(well.tracker.get_used_volume() + filling.volume_ul)

    def top_mm(self, nickname: str) -> float:
        """Height of the upper rim of a labware over the device's table."""
        resource = self._resources[nickname]
        return float(resource.get_location_wrt(self.deck, z="top").z)

    def well(self, nickname: str, name: str) -> Any:
        """One well.

        Raises:
            BenchError: the labware has no such well.
        """
        return self._item(nickname, name)

    def wells(self, nickname: str, name: str, channels: int) -> list[Any]:
        """Wells so many channels stand in, the rear one first."""
        return [self._item(nickname, one) for one in self.kinds[nickname].reached(name, channels)]

    def spots(self, rack: str, name: str, channels: int) -> list[Any]:
        """Tip spots so many channels stand over, the rear one first."""
        return [self._item(rack, one) for one in self.kinds[rack].reached(name, channels)]

    def rim_mm(self, nickname: str, name: str) -> float:
        """Height of the rim of a well over the device's table."""
        place = self._item(nickname, name)
        return float(place.get_location_wrt(self.deck).z + place.get_size_z())

    def locate(self, x: float, y: float) -> tuple[str, str] | None:
        """Labware and well (or tip spot) under a point of the device's table, in mm; None between them."""
        for nickname, resource in self._resources.items():
            corner = self._corners.get(nickname)
            if corner is None:
                corner = self._corners[nickname] = resource.get_location_wrt(self.deck)
            across, back = x - corner.x, y - corner.y
            if 0 <= across <= resource.get_size_x() and 0 <= back <= resource.get_size_y():
                for name, (left, front, wide, deep) in self._grid(nickname).items():
                    if left <= across <= left + wide and front <= back <= front + deep:
                        return nickname, name
        return None

    def _grid(self, nickname: str) -> dict[str, tuple[float, float, float, float]]:
        """Left and front edge, width and depth of each well of a labware, in mm from its corner."""
        if nickname not in self._grids:
            found, outline = {}, self.outlines.get(nickname)
            for name in self.kinds[nickname].wells:
                if outline is None:  # a tip rack
                    place = self._item(nickname, name)
                    found[name] = (place.location.x, place.location.y, place.get_size_x(), place.get_size_y())
                else:
                    (x, y), (wide, deep) = outline.centre(name), outline.across
                    found[name] = (x - wide / 2, y - deep / 2, wide, deep)
            self._grids[nickname] = found
        return self._grids[nickname]

    def _item(self, nickname: str, name: str) -> Any:
        if nickname not in self._resources:
            raise BenchError(f"'{nickname}' is not on the deck", where=nickname, remedy="correct the worklist")
        try:
            return self._resources[nickname].get_item(name)
        except (IndexError, KeyError, ValueError) as error:
            raise BenchError(
                f"{nickname} has no place {name}", where=nickname, remedy="correct the worklist"
            ) from error
