"""Plate readings out of the Allotrope simple model that allotropy makes of a reader's export.

Three habits of allotropy are undone here: a cell that is no number comes as -0.0 with the cell's text beside it as an
error; a reading of exactly 0 may come the same way; absorbance is labelled mAU although the number is the OD of the
file, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nkloop.assays.readings.models import Frame, PlateReading
from nkloop.assays.readings.values import well_name
from nkloop.errors import ReadingError

Json = Mapping[str, Any]
_MODES = ("absorbance", "fluorescence", "luminescence")
_OVER_RANGE = frozenset({"#sat", "sat", "saturated", "ovrflw", "overflow", "over", ">max", "*****", "+++"})
_PER_MINUTE = {"ms": 60_000.0, "s": 60.0, "min": 1.0, "h": 1 / 60}
_UNNAMED = ("plate", "n/a")
"""Plate identifiers that begin so are counted up by the program; nobody scanned them."""


@dataclass
class _Block:
    """Values of one detection setting of one plate, at one time."""

    values: dict[str, float] = field(default_factory=dict)
    saturated: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    def put(self, well: str, value: float, error: str) -> None:
        number = _number(error)
        if not error or number is not None:
            self.values[well] = value if number is None else number
        elif error.strip().lower() in _OVER_RANGE:
            self.saturated.append(well)
        else:
            self.unreadable[well] = error


@dataclass(frozen=True)
class _Setting:
    """What tells one block of a plate from another."""

    mode: str
    wavelength: int | None
    excitation: int | None
    emission: int | None
    minutes: float | None


def plate_readings(document: Json, *, file: str, digest: str, program: str) -> tuple[PlateReading, ...]:
    """Every plate of a document, in the order they stand.

    Raises:
        ReadingError: it holds no optical reading of a plate, or a well is read twice with the same setting.
    """
    body = document.get("plate reader aggregate document")
    entries = body.get("plate reader document", ()) if isinstance(body, Mapping) else ()
    plates: dict[str, dict[_Setting, _Block]] = {}
    first: dict[str, Json] = {}
    for measured in (entry["measurement aggregate document"] for entry in entries):
        for one in measured["measurement document"]:
            name = str(one.get("sample document", {}).get("well plate identifier", ""))
            first.setdefault(name, {**measured, "analyst": "", "one": one})
            _collect(plates.setdefault(name, {}), one, file)
    if not any(plates.values()):
        raise ReadingError(
            f"the {program} export holds no plate that was read",
            where=file,
            remedy="export the raw data of one plate, absorbance, fluorescence or luminescence",
        )
    device = body.get("device system document", {}) if isinstance(body, Mapping) else {}
    return tuple(
        _reading(name, blocks, first[name], device, file=file, digest=digest, program=program)
        for name, blocks in plates.items()
        if blocks
    )


def _collect(blocks: dict[_Setting, _Block], one: Json, file: str) -> None:
    control: Json = next(iter(one["device control aggregate document"]["device control document"]), {})
    place = str(one["sample document"]["location identifier"])
    well = well_name(place)
    if well is None:
        raise ReadingError(f"'{place}' is no well of a plate", where=file, remedy="export wells named like A1")
    errors = one.get("error aggregate document", {}).get("error document", ())
    error = "; ".join(str(entry["error"]) for entry in errors)
    for mode, minutes, value in _values(one):
        setting = _Setting(
            "time-resolved fluorescence" if mode == "fluorescence" and _is_delayed(control) else mode,
            _nm(control, "detector wavelength setting"),
            _nm(control, "excitation wavelength setting"),
            _nm(control, "detector wavelength setting") if mode == "fluorescence" else None,
            minutes,
        )
        block = blocks.setdefault(setting, _Block())
        if well in block.values or well in block.saturated or well in block.unreadable:
            raise ReadingError(
                f"well {well} is read twice with the same setting",
                where=file,
                remedy="export each read, or each plate, to a file of its own",
            )
        block.put(well, value, error)


def _values(one: Json) -> Iterator[tuple[str, float | None, float]]:
    """Mode, minutes and value of every number of a well; several times for a kinetic read."""
    for mode in _MODES:
        if mode in one:
            yield mode, None, float(one[mode]["value"])
    for key, cube in one.items():
        of = next((mode for mode in _MODES if key.startswith(mode) and key.endswith("data cube")), None)
        if of is None or cube["cube-structure"]["dimensions"][0]["concept"] != "elapsed time":
            continue
        per_minute = _PER_MINUTE[cube["cube-structure"]["dimensions"][0]["unit"]]
        for time, value in zip(cube["data"]["dimensions"][0], cube["data"]["measures"][0], strict=True):
            if value is not None:
                yield of, float(time) / per_minute, float(value)


def _is_delayed(control: Json) -> bool:
    told = str(control.get("detection type", "")).lower()
    return ("time" in told and "resolved" in told) or told in {"trf", "htrf"}


def _reading(
    name: str, blocks: Mapping[_Setting, _Block], about: Json, device: Json, *, file: str, digest: str, program: str
) -> PlateReading:
    settings = tuple(blocks)
    wavelengths = sorted({s.wavelength for s in settings if s.wavelength is not None})
    read_at, notes = file_time(about.get("measurement time"))
    single = settings[0] if len({(s.mode, s.excitation) for s in settings}) == 1 else None
    is_fluorescent = single is not None and "fluorescence" in single.mode
    frames = tuple(
        Frame(
            minutes=setting.minutes,
            wavelength_nm=None if is_fluorescent else setting.wavelength,
            values=block.values,
            saturated=tuple(block.saturated),
            unreadable=block.unreadable,
        )
        for setting, block in blocks.items()
    )
    return PlateReading.model_validate(
        {
            "file": file,
            "file_sha256": digest,
            "format": program,
            "plate_wells": _size(frames),
            "frames": frames,
            "barcode": None if name.lower().startswith(_UNNAMED) or not name else name,
            "mode": single.mode if single else None,
            "wavelength_nm": wavelengths[0] if len(wavelengths) == 1 and not is_fluorescent else None,
            "excitation_nm": single.excitation if single else None,
            "emission_nm": single.emission if single and len(wavelengths) == 1 else None,
            "instrument": device_text(device, "model number") or device_text(device, "device identifier"),
            "serial_number": device_text(device, "equipment serial number"),
            "read_at": read_at,
            "settings": _settings(about, name),
            "notes": notes,
        }
    )


def _settings(about: Json, name: str) -> dict[str, str]:
    keys = ("analytical method identifier", "experimental data identifier", "experiment type")
    told = {key: str(about[key]) for key in keys if about.get(key)}
    told |= {"plate": name} if name else {}
    temperature = about["one"].get("compartment temperature")
    return told | ({"temperature": f"{temperature['value']:g} °C"} if temperature else {})


def file_time(text: object) -> tuple[datetime | None, tuple[str, ...]]:
    """The time a document tells, None when it tells none; with a note when it has no zone, and UTC stands in."""
    if not text:
        return None, ()
    moment = datetime.fromisoformat(str(text))
    if moment.utcoffset():
        return moment, ()
    return moment.replace(tzinfo=UTC), (
        f"the time {moment:%Y-%m-%d %H:%M:%S} has no zone in the file and is taken as UTC",
    )


def device_text(device: Json, key: str) -> str | None:
    """What a document says of the instrument; None where it says that it does not know."""
    value = str(device.get(key, "N/A"))
    return None if value in {"N/A", "Unknown", ""} else value


def _nm(control: Json, key: str) -> int | None:
    value = control.get(key, {}).get("value")
    # MARS files whose heading counts repeats (`Raw Data (490 1)`) come as 1 nm
    return round(float(value)) if value is not None and float(value) >= 190 else None


def _size(frames: Iterable[Frame]) -> int:
    wells = [well for frame in frames for well in (*frame.values, *frame.saturated, *frame.unreadable)]
    return 384 if any(well[0] > "H" or int(well[1:]) > 12 for well in wells) else 96


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def names_of(readings: Sequence[PlateReading]) -> str:
    """The plates of a file, for messages."""
    return ", ".join(reading.settings.get("plate") or reading.barcode or "without a name" for reading in readings)
