"""From what a file says of a plate to the reading that was asked for; or why it is not that reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nkloop.assays.measurements import Reading, ReadRequest
from nkloop.assays.readings import Frame, PlateReading


@dataclass(frozen=True)
class Refusal:
    """Why a file, or a plate of it, is put aside."""

    code: str
    """One word, looked up in `docs/how-to/take-in-reader-files.md`: `wrong_wells`, `out_of_time`, …"""
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        told = f"{self.code}: {self.reason}"
        return f"{told}. What to do: {self.remedy}" if self.remedy else told


def fitted(
    plate: PlateReading, request: ReadRequest, wells: Sequence[str], tolerance_nm: int, read_at: datetime
) -> Reading | Refusal:
    """The reading asked for, out of a file.

    Args:
        plate: what the file says.
        request: what is waited for.
        wells: wells the plate has.
        tolerance_nm: how far a wavelength may be off.
        read_at: when it was read, zone settled.
    """
    refused = _wrong_mode(plate, request) or _wrong_plate(plate, wells) or _wrong_optics(plate, request, tolerance_nm)
    if refused is not None:
        return refused
    signal = [frame for frame in plate.frames if frame.quantity == "signal"]
    chosen = _chosen(signal, plate, request, tolerance_nm)
    if isinstance(chosen, Refusal):
        return chosen
    main, reference = chosen
    wanted = request.wells or tuple(wells)
    missing = _missing(wanted, [main, *([reference] if reference else [])])
    if missing is not None:
        return missing
    saturated = tuple(w for w in wanted if w in main.saturated or (reference is not None and w in reference.saturated))
    taken = reference.values if reference is not None else {}
    return Reading(
        barcode=request.barcode,
        mode=request.mode,
        wavelength_nm=request.wavelength_nm or request.emission_nm,
        reference_wavelength_nm=request.reference_wavelength_nm,
        values={w: main.values[w] - taken.get(w, 0.0) for w in wanted if w in main.values},
        saturated=saturated,
        instrument=plate.instrument or plate.format,
        serial_number=plate.serial_number or "",
        read_at=read_at,
        file_sha256=plate.file_sha256,
    )


def _wrong_mode(plate: PlateReading, request: ReadRequest) -> Refusal | None:
    if plate.mode is not None and plate.mode != request.mode:
        remedy = "read the plate again with the right protocol"
        return Refusal("wrong_mode", f"the plate was read in {plate.mode}, {request.mode} was asked for", remedy)
    signal = [frame for frame in plate.frames if frame.quantity == "signal"]
    times = {frame.minutes for frame in signal if frame.minutes is not None}
    if not signal or len(times) > 1:
        told = f"{len(times)} time points" if times else ", ".join(frame.quantity for frame in plate.frames)
        remedy = "export one read at one time, or analyse the file with `nkloop analyse plate`"
        return Refusal("wrong_mode", f"the file holds {told}, one read was asked for", remedy)
    return None


def _wrong_plate(plate: PlateReading, wells: Sequence[str]) -> Refusal | None:
    outside = sorted(plate.wells - set(wells))
    if outside:
        told = f"the file holds well {outside[0]}, the plate waited for has {len(wells)} wells"
        return Refusal("wrong_wells", told, "check that the file is of this plate and of its format")
    return None


def _wrong_optics(plate: PlateReading, request: ReadRequest, tolerance_nm: int) -> Refusal | None:
    if request.mode != "fluorescence":
        return None
    for name, asked, told in (
        ("excitation", request.excitation_nm, plate.excitation_nm),
        ("emission", request.emission_nm, plate.emission_nm),
    ):
        if asked is not None and told is not None and abs(asked - told) > tolerance_nm:
            reason = f"the {name} is {told} nm, {asked} ± {tolerance_nm} nm was asked for"
            return Refusal("wrong_wavelength", reason, "read the plate again with the right filters")
    return None


def _chosen(
    signal: Sequence[Frame], plate: PlateReading, request: ReadRequest, tolerance_nm: int
) -> tuple[Frame, Frame | None] | Refusal:
    """Main block and the block of the reference wavelength, where one was asked for."""
    if request.mode != "absorbance" or request.wavelength_nm is None:
        if len(signal) == 1:
            return signal[0], None
        return Refusal("wrong_mode", f"the file holds {len(signal)} blocks of signals, one was asked for", "export one")
    main = _at(signal, plate, request.wavelength_nm, tolerance_nm)
    if main is None:
        return _no_wavelength(signal, plate, request.wavelength_nm, tolerance_nm)
    if request.reference_wavelength_nm is None:
        return main, None
    reference = _at([one for one in signal if one is not main], plate, request.reference_wavelength_nm, tolerance_nm)
    told = plate.reference_wavelength_nm
    is_subtracted = (
        told is not None and abs(told - request.reference_wavelength_nm) <= tolerance_nm and len(signal) == 1
    )
    if reference is None and not is_subtracted:
        return _no_wavelength(signal, plate, request.reference_wavelength_nm, tolerance_nm)
    return main, reference


def _at(frames: Sequence[Frame], plate: PlateReading, wavelength_nm: int, tolerance_nm: int) -> Frame | None:
    """The one block at a wavelength; a single block that names none is at the plate's wavelength, if that is told."""
    near = [f for f in frames if f.wavelength_nm is not None and abs(f.wavelength_nm - wavelength_nm) <= tolerance_nm]
    if len(near) == 1:
        return near[0]
    own = plate.wavelength_nm
    if len(frames) == 1 and frames[0].wavelength_nm is None and own is not None:
        return frames[0] if abs(own - wavelength_nm) <= tolerance_nm else None
    return None


def _no_wavelength(signal: Sequence[Frame], plate: PlateReading, wavelength_nm: int, tolerance_nm: int) -> Refusal:
    own = [f.wavelength_nm or plate.wavelength_nm for f in signal]
    told = ", ".join(f"{one} nm" for one in dict.fromkeys(own) if one) or "no wavelength"
    reason = f"the file tells {told}, {wavelength_nm} ± {tolerance_nm} nm was asked for"
    return Refusal("wrong_wavelength", reason, "read the plate again with the right protocol, and export its settings")


def _missing(wanted: Sequence[str], frames: Sequence[Frame]) -> Refusal | None:
    for frame in frames:
        unread = {well: text for well, text in frame.unreadable.items() if well in wanted}
        if unread:
            well, text = next(iter(unread.items()))
            reason = f"{len(unread)} wells hold no number, {well} holds '{text}'"
            return Refusal("wrong_wells", reason, "read the plate again")
        absent = [w for w in wanted if w not in frame.values and w not in frame.saturated]
        if absent:
            listed = ", ".join(absent[:8]) + (" …" if len(absent) > 8 else "")
            reason = f"{len(absent)} of {len(wanted)} wells asked for are not in the file: {listed}"
            return Refusal("wrong_wells", reason, "read the wells asked for, all of them, and export again")
    return None
