"""The list of what is in an automated incubator, put right by a person who has looked."""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.drivers.incubating import IncubatingOperator
from nkloop.drivers.stations import KeptPlate, ListsPlates
from nkloop.errors import BenchError
from nkloop.records import Records
from nkloop.records.models import OperatorAction
from nkloop.runs.beside import beside_held


def kept_plates(bench: Bench) -> tuple[KeptPlate, ...]:
    """Plates on the list of the incubator of a bench; nothing is asked of the device.

    Raises:
        BenchError: the bench has no incubator that nkloop drives, or its list cannot be read.
    """
    return _list_of(bench).kept()


async def settle_plate(bench: Bench, records: Records, barcode: str, *, is_inside: bool, by: str, reason: str) -> str:
    """Put down where a person has found a plate; nothing moves. What was put down is returned in a sentence.

    Args:
        bench: whose incubator.
        records: where it is kept who said so, and why; before the list is changed, so that no change is nobody's.
        barcode: of the plate.
        is_inside: whether it is in its place inside; else it is out.
        by: name of the person.
        reason: why, in a sentence.

    Raises:
        BenchError: the bench has no incubator that nkloop drives, or its list cannot be read.
        DeviceError: the plate is not on the list, or cannot be there.
        DeviceHeldError: somebody moves a plate into or out of it now.
    """
    listed = _list_of(bench)
    told = f"{barcode} is {'inside, in its place' if is_inside else 'out'}"
    async with beside_held(bench, "incubator", records, f"list of the incubator: {told}"):
        before = next((one for one in listed.kept() if one.barcode == barcode), None)
        listed.may_settle(barcode, is_inside=is_inside)
        action = OperatorAction(
            at=await bench.clock.now(),
            confirmed_by=by,
            title=f"incubator of {bench.name}: {told}",
            instruction=f"The list said: {before_told(before)}.",
            note=reason,
        )
        records.journal.add_action(action)
        listed.settle(barcode, is_inside=is_inside)
    return told


def before_told(plate: KeptPlate | None) -> str:
    """What the list says of a plate, in words."""
    if plate is None:
        return "nothing"
    since = f"inside since {plate.since:%Y-%m-%d %H:%M} UTC" if plate.since is not None else "not inside"
    moving = "nobody saw the end of its way" if plate.is_moving else ""
    return ", ".join(filter(None, (since, f"for {plate.errand}" if plate.errand else "", moving)))


def _list_of(bench: Bench) -> ListsPlates:
    storage = bench.operator.storage if isinstance(bench.operator, IncubatingOperator) else None
    if not isinstance(storage, ListsPlates):
        raise BenchError(
            f"bench {bench.name} has no incubator that nkloop drives",
            where="incubator",
            remedy="name the bench whose file has a `driver` under `incubator`: `nkloop bench list`",
        )
    return storage
