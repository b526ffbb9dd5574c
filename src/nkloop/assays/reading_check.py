"""Does a file of a reader belong to this layout and this method? What differs is said, all at once."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.assays.methods import Method
from nkloop.assays.models import PlateLayout
from nkloop.assays.readings import PlateReading
from nkloop.errors import Problem, ReadingError

READ_SUFFIX = "-read"
"""A plate that is read in the place of the assay plate carries its barcode with this at the end."""


def check_reading(layout: PlateLayout, reading: PlateReading, method: Method) -> None:
    """Refuse a reading of another plate, size, mode, wavelength or time.

    Raises:
        ReadingError: what differs, each as one problem.
    """
    problems = [
        *_plate(layout, reading),
        *_settings(reading, method),
        *_values(reading, method),
        *_time(layout, reading, method),
    ]
    if problems:
        raise ReadingError.from_problems(problems)


def unstated(reading: PlateReading, method: Method) -> tuple[str, ...]:
    """What the file does not tell and therefore could not be compared."""
    wanted = method.read
    pairs = (
        ("barcode", "", reading.barcode),
        ("mode", wanted.mode, reading.mode),
        ("wavelength", wanted.wavelength_nm, reading.wavelength_nm),
        ("reference wavelength", wanted.reference_wavelength_nm, _reference(reading, method)),
        ("excitation", wanted.excitation_nm, reading.excitation_nm),
        ("emission", wanted.emission_nm, reading.emission_nm),
        ("time of the read", "", reading.read_at),
    )
    return tuple(name for name, want, told in pairs if want is not None and told is None)


def _plate(layout: PlateLayout, reading: PlateReading) -> Iterator[Problem]:
    where = reading.file
    if reading.plate_wells != layout.plate_wells:
        text = f"the file is of a plate of {reading.plate_wells} wells, the layout {layout.barcode} has"
        yield Problem(f"{text} {layout.plate_wells}", where, "give the layout of this plate")
    if reading.barcode is not None and reading.barcode not in {layout.barcode, layout.barcode + READ_SUFFIX}:
        text = f"the file is of plate '{reading.barcode}', the layout is of plate '{layout.barcode}'"
        yield Problem(text, where, "give the file or the layout of the right plate")


def _settings(reading: PlateReading, method: Method) -> Iterator[Problem]:
    where, wanted = reading.file, method.read
    if reading.mode is not None and reading.mode != wanted.mode:
        text = f"the plate was read in {reading.mode}, {method.name} needs {wanted.mode}"
        yield Problem(text, where, "read the plate again or name the right method")
    foreign = _foreign(reading, method)
    if foreign:
        text = f"the file holds {' and '.join(f'{w} nm' for w in foreign)}"
        need = f"{method.name} needs {wanted.wavelength_nm} ± {wanted.tolerance_nm} nm"
        yield Problem(f"{text}, {need}", where, "read the plate again or name the right method")
    reference = None if foreign else _reference(reading, method)
    compared = (
        ("wavelength", wanted.wavelength_nm, None if foreign else reading.wavelength_nm),
        ("reference wavelength", wanted.reference_wavelength_nm, reference),
        ("excitation", wanted.excitation_nm, reading.excitation_nm),
        ("emission", wanted.emission_nm, reading.emission_nm),
    )
    for name, want, told in compared:
        if want is not None and told is not None and abs(want - told) > wanted.tolerance_nm:
            text = f"the {name} is {told} nm, {method.name} needs {want} ± {wanted.tolerance_nm} nm"
            yield Problem(text, where, "read the plate again or name the right method")


def _values(reading: PlateReading, method: Method) -> Iterator[Problem]:
    """Numbers no reader of this mode can give: the file is of another method whatever its header says."""
    wanted = method.read
    numbers = [
        (value, well) for frame in reading.frames for well, value in frame.values.items() if frame.quantity == "signal"
    ]
    if not numbers:
        return
    (lowest, low_well), (highest, high_well) = min(numbers), max(numbers)
    advice = "check that the file and the method belong together"
    if wanted.lowest is not None and lowest < wanted.lowest:
        text = f"well {low_well} reads {lowest:g}, {wanted.mode} does not go below {wanted.lowest:g}"
        yield Problem(text, reading.file, advice)
    if wanted.highest is not None and highest > wanted.highest:
        text = f"well {high_well} reads {highest:g}, {wanted.mode} does not go above {wanted.highest:g}"
        yield Problem(text, reading.file, advice)


def _time(layout: PlateLayout, reading: PlateReading, method: Method) -> Iterator[Problem]:
    if layout.started_at is None or reading.read_at is None or method.formula == "kinetic":
        return
    shortest, longest = method.read.delay_minutes
    passed = (reading.read_at - layout.started_at).total_seconds() / 60
    low, high = method.contact.low_minutes + shortest, method.contact.high_minutes + longest
    if not low <= passed <= high:
        text = (
            f"the plate was read {passed:.0f} min after effectors met targets, {method.name} allows {low:g} to {high:g}"
        )
        yield Problem(text, reading.file, f"repeat the assay: {method.contact.reason}")


def _foreign(reading: PlateReading, method: Method) -> tuple[int, ...]:
    """Wavelengths of the blocks of a file when none of several is the one the method reads."""
    wanted = method.read
    own = tuple(dict.fromkeys(f.wavelength_nm for f in reading.frames if f.wavelength_nm is not None))
    if wanted.wavelength_nm is None or len(own) < 2:
        return ()
    near = [w for w in own if abs(w - wanted.wavelength_nm) <= wanted.tolerance_nm]
    return () if near else own


def _reference(reading: PlateReading, method: Method) -> int | None:
    """Reference wavelength the file tells: in its header, or as a block of its own beside the main one."""
    if reading.reference_wavelength_nm is not None or method.read.wavelength_nm is None:
        return reading.reference_wavelength_nm
    own = [f.wavelength_nm for f in reading.frames if f.wavelength_nm is not None]
    others = [w for w in own if abs(w - method.read.wavelength_nm) > method.read.tolerance_nm]
    return others[0] if len(own) > 1 and others else None
