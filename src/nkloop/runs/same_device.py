"""Is it the device a run was begun on that answers? Another one knows nothing of it, and has other wells before it."""

from __future__ import annotations

from nkloop.drivers.bench import Bench
from nkloop.drivers.interfaces import Identified
from nkloop.errors import BenchError
from nkloop.records.models import RunRecord


async def serial_of(bench: Bench) -> str | None:
    """Serial number of the liquid handler; None where it tells none.

    Raises:
        DeviceUnreachableError: it does not answer.
    """
    handler = bench.liquid_handler
    return (await handler.serial_number() or None) if isinstance(handler, Identified) else None


async def require_same_device(run: RunRecord, bench: Bench) -> None:
    """Refuse another device than the one a run was begun on; where either tells no serial number, take it for it.

    Raises:
        BenchError: it is another one; both are named.
        DeviceUnreachableError: it does not answer.
    """
    if run.device_serial is None:
        return
    found = await serial_of(bench)
    if found is None or found == run.device_serial:
        return
    simulated = bench.file.simulated
    raise BenchError(
        f"run {run.id} was begun on {run.device} with serial number {run.device_serial}, but {found} answers on bench "
        f"{bench.name}: what it says tells nothing of the run",
        where=bench.liquid_handler.name,
        remedy=("set NKLOOP_VIRTUAL_URL to the address of that virtual bench" if simulated else "connect that device")
        + f"; one that will never answer again is given up with `nkloop reconcile {run.id} --lost`",
    )


async def replacement_of(run: RunRecord, bench: Bench) -> str:
    """Serial number of the device that has taken the place of the one a run was begun on.

    Raises:
        BenchError: it is the same one, or nobody can tell, since one of the two tells no serial number.
        DeviceUnreachableError: it does not answer.
    """
    found = await serial_of(bench)
    if run.device_serial is not None and found not in {None, run.device_serial}:
        return found or ""
    told = "tells no serial number" if found is None else f"has serial number {found}"
    own = "has noted no serial number" if run.device_serial is None else f"was begun on {run.device_serial}"
    raise BenchError(
        f"{bench.liquid_handler.name} of bench {bench.name} {told} and run {run.id} {own}, so it was not replaced as "
        "far as anybody can tell",
        where=bench.liquid_handler.name,
        remedy="leave --robot-replaced out, or connect the new device",
    )
