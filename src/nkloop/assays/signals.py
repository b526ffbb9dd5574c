"""From what a file says to one signal per well, as the method wants it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nkloop.assays.analysis import ReadAs
from nkloop.assays.checks import UNREAD
from nkloop.assays.kinetic import kinetic_signals
from nkloop.assays.methods import Method
from nkloop.assays.models import KillingOverTime, PlateLayout, QualityMeasure, ReadingOrigin
from nkloop.assays.quality.measures import judged
from nkloop.assays.reading_check import check_reading, unstated
from nkloop.assays.readings import Frame, PlateReading
from nkloop.errors import ReadingError


def signals_from(
    layout: PlateLayout, reading: PlateReading, method: Method, *, excluded: Collection[str] = ()
) -> tuple[dict[str, float], ReadAs]:
    """Signal per well and what else must be known of the reading; `excluded` wells need no value.

    Raises:
        ReadingError: the file does not fit the layout or the method, or wells of the layout have no number.
    """
    check_reading(layout, reading, method)
    _refuse_unreadable(layout, reading, excluded)
    told = [_read_settings(reading, method)]
    saturated = frozenset(well for frame in reading.frames for well in frame.saturated)
    notes: dict[str, tuple[str, ...]] = {}
    kinetics: tuple[KillingOverTime, ...] = ()
    if method.formula == "kinetic":
        values, kinetics = kinetic_signals(layout, reading, method, excluded)
    elif method.read.mode == "cytometry":
        values, notes, events = _counted(reading, method)
        told += events
    else:
        values = _end_point(reading, method)
    origin = ReadingOrigin(
        file=reading.file,
        file_sha256=reading.file_sha256,
        format=reading.format,
        instrument=reading.instrument,
        serial_number=reading.serial_number,
        read_at=reading.read_at,
        settings=reading.settings,
        notes=reading.notes,
    )
    used = {well.well for well in layout.wells}
    # a reader tells the whole plate; wells the layout says nothing of are no part of the assay
    kept = {well: value for well, value in values.items() if well in used}
    return kept, ReadAs(saturated & used, notes, tuple(told), kinetics, origin)


def _end_point(reading: PlateReading, method: Method) -> dict[str, float]:
    frames = [f for f in reading.frames if f.quantity == "signal"]
    times = {f.minutes for f in frames if f.minutes is not None}
    if len(times) > 1:
        raise ReadingError(
            f"the file holds {len(times)} time points, {method.name} is read once",
            where=reading.file,
            remedy="name a kinetic method, or export one time point",
        )
    if not frames:
        raise _lacking(reading, "signal", method)
    if len(frames) == 1:
        return dict(frames[0].values)
    return _difference(reading, frames, method)


def _difference(reading: PlateReading, frames: list[Frame], method: Method) -> dict[str, float]:
    """Main minus reference wavelength, well by well."""
    wanted = method.read

    def at(wavelength: int | None) -> Frame | None:
        near = [
            f
            for f in frames
            if wavelength and f.wavelength_nm and abs(f.wavelength_nm - wavelength) <= wanted.tolerance_nm
        ]
        return near[0] if len(near) == 1 else None

    main, reference = at(wanted.wavelength_nm), at(wanted.reference_wavelength_nm)
    if len(frames) != 2 or main is None or reference is None:
        shown = ", ".join("none told" if f.wavelength_nm is None else f"{f.wavelength_nm} nm" for f in frames)
        raise ReadingError(
            f"the file holds {len(frames)} blocks of signals (wavelengths: {shown}) and {method.name} cannot tell "
            "which to use",
            where=reading.file,
            remedy="keep one block, or the main and the reference wavelength, each with its `wavelength` line",
        )
    return {well: value - reference.values[well] for well, value in main.values.items() if well in reference.values}


def _counted(
    reading: PlateReading, method: Method
) -> tuple[dict[str, float], dict[str, tuple[str, ...]], list[QualityMeasure]]:
    """Counts of a cytometer as the quantity the method wants, with a note on wells with few targets."""
    by_name: Mapping[str, Mapping[str, float]] = {f.quantity: f.values for f in reading.frames}
    wanted = method.read.quantity
    _refuse_impossible(reading, by_name)
    dead, live, everything = (by_name.get(n) for n in ("dead_targets", "live_targets", "all_targets"))
    if everything is None and dead is not None and live is not None:
        everything = {well: dead[well] + live[well] for well in dead if well in live}
    if wanted in by_name:
        values = dict(by_name[wanted])
    elif wanted == "dead_percent" and dead is not None and everything is not None:
        values = {well: 100 * dead[well] / n for well, n in everything.items() if n > 0 and well in dead}
    elif wanted == "live_targets" and dead is not None and everything is not None:
        values = {well: n - dead[well] for well, n in everything.items() if well in dead}
    else:
        raise _lacking(reading, wanted, method)
    if everything is None:
        return values, {}, []
    limit = method.limit("target_events")
    few = {w: n for w, n in everything.items() if n < limit.good and method.formula == "flow"}
    notes: dict[str, tuple[str, ...]] = {well: (f"{n:.0f} targets counted",) for well, n in few.items()}
    if method.formula != "flow" or not everything:
        return values, notes, []
    lowest = min(everything.values())
    return values, notes, [judged(limit, lowest, "at least {value:.0f} targets were counted in every well")]


def _refuse_impossible(reading: PlateReading, by_name: Mapping[str, Mapping[str, float]]) -> None:
    negative = [f"{well} ({name})" for name, values in by_name.items() for well, v in values.items() if v < 0]
    over = [well for well, v in by_name.get("dead_percent", {}).items() if v > 100]
    dead, everything = by_name.get("dead_targets", {}), by_name.get("all_targets", {})
    more = [well for well, n in dead.items() if n > everything.get(well, n)]
    for wells, text in (
        (negative, "counts below 0"),
        (over, "more than 100 % dead"),
        (more, "more dead targets than targets"),
    ):
        if wells:
            raise ReadingError(
                f"{text} in {', '.join(wells[:8])}",
                where=reading.file,
                remedy="export the table of the cytometer again",
            )


def _refuse_unreadable(layout: PlateLayout, reading: PlateReading, excluded: Collection[str]) -> None:
    needed = {w.well for w in layout.wells if w.role not in UNREAD} - set(excluded)
    broken = {well: text for f in reading.frames for well, text in f.unreadable.items() if well in needed}
    if broken:
        shown = ", ".join(f"{well} ('{text}')" for well, text in list(broken.items())[:8])
        raise ReadingError(
            f"wells whose value is not a number: {shown}",
            where=reading.file,
            remedy="read the plate again, or exclude the well with a reason",
        )


def _read_settings(reading: PlateReading, method: Method) -> QualityMeasure:
    missing = unstated(reading, method)
    return QualityMeasure(
        name="read_settings",
        value=float(len(missing)),
        limit="what the file tells fits; the value counts what it does not tell",
        source=method.read.origin,
        outcome="pass",
        reason="the file tells everything and it fits"
        if not missing
        else f"what the file tells fits; it does not tell {', '.join(missing)}, so that is not checked",
    )


def _lacking(reading: PlateReading, wanted: str, method: Method) -> ReadingError:
    found = ", ".join(dict.fromkeys(f.quantity for f in reading.frames))
    return ReadingError(
        f"{method.name} needs '{wanted}', the file holds {found}",
        where=reading.file,
        remedy="name the right method, or export the table the method needs",
    )
