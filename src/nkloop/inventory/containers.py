"""Containers of a lot: the vial, tube or bottle a person takes in the hand."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount, Duration, RemainingVolume

ContainerKind = Literal["unspecified", "tube", "cryovial", "15 mL tube", "50 mL tube", "bottle", "bag"]
"""What a container is, as lot lists write it."""
KINDS: tuple[str, ...] = get_args(ContainerKind)
DEAD_VOLUME_UL: dict[str, float] = {
    "unspecified": 0.0,
    "tube": 30.0,
    "cryovial": 30.0,
    "15 mL tube": 100.0,
    "50 mL tube": 500.0,
    "bottle": 2000.0,
    "bag": 5000.0,
}
"""What cannot be got out, in µL. 1.5 mL tubes keep 20 to 50 µL; the other values are estimates nobody has verified,
so a lab that has measured its own writes `dead_volume` on the container."""
CAPACITY_UL: dict[str, float] = {
    "unspecified": 20e6,
    "tube": 2200.0,
    "cryovial": 5000.0,
    "15 mL tube": 17e3,
    "50 mL tube": 58e3,
    "bottle": 5e6,
    "bag": 20e6,
}
"""What a container of the kind holds to its brim at most, in µL: a volume above it is a slip of the unit. Cryovials are
sold up to 5 mL, tubes up to 2 mL, single-use bags up to 20 L; brims of the centrifuge tubes are estimates."""
MOST_CONTAINERS = 500
"""More of one entry is a typing error."""


class Container(FrozenModel):
    """One container of a lot."""

    barcode: str = Field(min_length=1, max_length=60)
    """Unique in a lot list."""
    kind: ContainerKind = "unspecified"
    """What it is; decides the dead volume."""
    volume: RemainingVolume
    """What is in it now."""
    dead_volume: RemainingVolume | None = None
    """What cannot be got out of it; that of its kind when not given."""
    opened: date | None = None
    """Day it was first opened."""
    thawed: date | None = None
    """Day of the last thaw while it is kept liquid at 4 °C; none while it is frozen."""
    freeze_thaws: int = Field(default=0, ge=0)
    """Thaws so far, the present one included."""

    @model_validator(mode="after")
    def _thawed_means_counted(self) -> Self:
        if self.thawed is not None and self.freeze_thaws == 0:
            raise ValueError(
                f"container {self.barcode} was thawed on {self.thawed}, but 0 thaws are counted. "
                f"Remedy: write freeze_thaws: 1, or as many as it had"
            )
        return self

    @model_validator(mode="after")
    def _volume_fits_the_kind(self) -> Self:
        if (problem := over_capacity(self, self.volume.canonical)) is not None:
            raise ValueError(f"container {self.barcode} {problem}")
        return self

    @property
    def dead_ul(self) -> float:
        """What cannot be got out, in µL."""
        return DEAD_VOLUME_UL[self.kind] if self.dead_volume is None else self.dead_volume.canonical

    @property
    def volume_ul(self) -> float:
        """What is in it, in µL."""
        return self.volume.canonical

    def valid_until(self, expires: date, opened_life: Duration | None) -> date:
        """Last day of use: the expiry, or opened (thawed) day plus opened life when that is earlier.

        A thawed container of a lot without a stated opened life is good for the day of its thaw only.
        """
        begun = min((day for day in (self.opened, self.thawed) if day is not None), default=None)
        if begun is None:
            return expires
        if opened_life is None:
            return expires if self.thawed is None else min(expires, self.thawed)
        return min(expires, begun + timedelta(minutes=opened_life.canonical))


def over_capacity(container: Container, volume_ul: float) -> str | None:
    """What is wrong with `volume_ul` in this container, with the remedy; nothing when it fits."""
    if volume_ul <= CAPACITY_UL[container.kind]:
        return None
    named = "" if container.kind == "unspecified" else f" of kind '{container.kind}'"
    held, most = (Amount(ul, "µL").display() for ul in (volume_ul, CAPACITY_UL[container.kind]))
    return (
        f"cannot hold {held}: a container{named} holds at most {most}. "
        f"Remedy: check the unit (µL, mL, L), or write what kind it is ({', '.join(KINDS[1:])})"
    )


def expanded(entries: Any) -> Any:
    """Container entries with `count: n` written out as n containers, their barcodes ending in -01 to -n.

    Raises:
        ValueError: a count is not a whole number from 1 to `MOST_CONTAINERS`.
    """
    if not isinstance(entries, list | tuple):
        return entries
    return [one for entry in entries for one in _each(entry)]


def without_counts(entries: Any) -> Any:
    """Container entries as one container each, in the order they are written."""
    if not isinstance(entries, list | tuple):
        return entries
    return [
        {key: value for key, value in one.items() if key != "count"} if isinstance(one, dict) else one
        for one in entries
    ]


def count_errors(entries: Any) -> list[InitErrorDetails]:
    """What is wrong with the counts of container entries, each with its place."""
    listed = entries if isinstance(entries, list | tuple) else ()
    found: list[InitErrorDetails] = []
    for index, entry in enumerate(listed):
        told = _count_fault(entry) if isinstance(entry, dict) and "count" in entry else ""
        if told:
            fault = PydanticCustomError("value_error", "{told}", {"told": told})
            found.append(InitErrorDetails(type=fault, loc=(index, "count"), input=entry["count"]))
    return found


def _count_fault(entry: dict[str, Any]) -> str:
    count = entry["count"]
    if isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= MOST_CONTAINERS:
        return ""
    shown = "null" if count is None else str(count)[:20]
    return (
        f"count {shown} of container {entry.get('barcode', '')} is not a whole number from 1 to {MOST_CONTAINERS}. "
        f"Remedy: write how many there are"
    )


def _each(entry: Any) -> list[Any]:
    if not isinstance(entry, dict) or "count" not in entry:
        return [entry]
    if told := _count_fault(entry):
        raise ValueError(told)
    count, rest = entry["count"], {key: value for key, value in entry.items() if key != "count"}
    digits = max(2, len(str(count)))
    return [{**rest, "barcode": f"{rest.get('barcode', '')}-{number:0{digits}}"} for number in range(1, count + 1)]
