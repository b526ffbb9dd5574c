"""The plate readers a bench file may name by model: PyLabRobot's backend, what it measures, how it has to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from nkloop.assays.measurements import ReadRequest
from nkloop.drivers.interfaces import Finding
from nkloop.drivers.pylabrobot import adapter
from nkloop.errors import BenchError, DeviceError

Range = tuple[int, int]
_FOCAL_HEIGHT_MM = 12.0
_OPEN_EMISSION_NM = 0
"""Luminescence without a filter."""


class ReaderModel(NamedTuple):
    """One reader the registry knows; wavelengths in nm by the maker's specification or PyLabRobot's own checks."""

    title: str
    backend: str
    """`part:Name` of PyLabRobot's backend."""
    absorbance: Range | None = None
    excitation: Range | None = None
    emission: Range | None = None
    luminescence: bool = False
    reads_whole_plates: bool = False
    """PyLabRobot cannot read single wells with it; the wells wanted are picked afterwards."""
    asked_by: Literal["wells", "wavelengths"] = "wells"
    """`wavelengths` for the backends that take lists of wavelengths and no wells, unlike PyLabRobot's front end."""
    plates: tuple[int, ...] = ()
    """Numbers of wells it reads; empty for any."""
    opens_empty: bool = False
    """It measures its blank while it is opened, so no plate may lie in it then."""
    initialises: bool = False
    """PyLabRobot initialises it when it opens it, which may move its tray or optics."""
    needs: tuple[str, ...] = ()
    """Settings it cannot be reached without."""


_PART = "plate_reading"
MODELS: dict[str, ReaderModel] = {
    "clariostar": ReaderModel(
        "BMG CLARIOstar",
        f"{_PART}:CLARIOstarBackend",
        absorbance=(220, 1000),
        luminescence=True,
        reads_whole_plates=True,
        initialises=True,
    ),
    "cytation5": ReaderModel(
        "Agilent BioTek Cytation 5",
        f"{_PART}:CytationBackend",
        *((230, 999), (250, 700), (250, 700)),
        luminescence=True,
    ),
    "synergy_h1": ReaderModel(
        "Agilent BioTek Synergy H1",
        f"{_PART}:SynergyH1Backend",
        *((230, 999), (250, 700), (250, 700)),
        luminescence=True,
    ),
    "spectramax_384_plus": ReaderModel(
        "Molecular Devices SpectraMax 384 Plus",
        f"{_PART}:MolecularDevicesSpectraMax384PlusBackend",
        absorbance=(190, 1000),
        reads_whole_plates=True,
        asked_by="wavelengths",
        needs=("port",),
    ),
    "spectramax_m5": ReaderModel(
        "Molecular Devices SpectraMax M5",
        f"{_PART}:MolecularDevicesSpectraMaxM5Backend",
        *((200, 1000), (250, 850), (250, 850)),
        luminescence=True,
        reads_whole_plates=True,
        asked_by="wavelengths",
        needs=("port",),
    ),
    "spectramax_gemini_em": ReaderModel(
        "Molecular Devices SpectraMax Gemini EM",
        f"{_PART}:MolecularDevicesSpectraMaxGeminiEMBackend",
        *(None, (250, 850), (360, 850)),
        luminescence=True,
        needs=("port",),
    ),
    "byonoy_absorbance_96": ReaderModel(
        "Byonoy Absorbance 96 Automate",
        f"{_PART}:ByonoyAbsorbance96AutomateBackend",
        absorbance=(380, 1000),
        reads_whole_plates=True,
        opens_empty=True,
        plates=(96,),
    ),
    "byonoy_luminescence_96": ReaderModel(
        "Byonoy Luminescence 96 Automate",
        f"{_PART}:ByonoyLuminescence96AutomateBackend",
        luminescence=True,
        reads_whole_plates=True,
        plates=(96,),
    ),
    "infinite_200_pro": ReaderModel(
        "Tecan Infinite 200 PRO",
        f"{_PART}:ExperimentalTecanInfinite200ProBackend",
        *((230, 1000), (230, 850), (280, 850)),
        luminescence=True,
        initialises=True,
    ),
}


def refusal(model: ReaderModel, request: ReadRequest, n_wells: int) -> str:
    """Why a reader cannot make this measurement; empty when it can."""
    if model.plates and n_wells not in model.plates:
        return f"it reads plates with {model.plates[0]} wells, this one has {n_wells}"
    if request.mode == "luminescence":
        return "" if model.luminescence else "it does not measure luminescence"
    if request.mode == "absorbance":
        asked = (request.wavelength_nm, request.reference_wavelength_nm)
        return _outside("absorbance", asked, model.absorbance)
    return _outside("excitation", (request.excitation_nm,), model.excitation) or _outside(
        "emission", (request.emission_nm,), model.emission
    )


def _outside(what: str, asked: Sequence[int | None], bounds: Range | None) -> str:
    if bounds is None:
        return f"it does not measure {what}"
    low, high = bounds
    wrong = next((nm for nm in asked if nm is not None and not low <= nm <= high), None)
    return "" if wrong is None else f"{what} at {wrong} nm is outside {low} to {high} nm"


async def measure(backend: Any, style: str, plate: Any, wells: list[Any], request: ReadRequest, nm: int | None) -> Any:
    """Ask a backend as it wants to be asked; the newest of its measurements.

    PyLabRobot's front end hands `wells` and one wavelength to every backend; those of Molecular Devices take neither
    and would fail, so the backends are asked directly.
    """
    if style == "wavelengths":
        return (await _by_wavelengths(backend, plate, request, nm))[-1]
    told: dict[str, Any] = {"plate": plate, "wells": wells}
    if request.mode == "absorbance":
        return (await backend.read_absorbance(wavelength=nm, **told))[-1]
    if request.mode == "luminescence":
        return (await backend.read_luminescence(focal_height=_FOCAL_HEIGHT_MM, **told))[-1]
    return (
        await backend.read_fluorescence(
            excitation_wavelength=request.excitation_nm,
            emission_wavelength=request.emission_nm,
            focal_height=_FOCAL_HEIGHT_MM,
            **told,
        )
    )[-1]


async def _by_wavelengths(backend: Any, plate: Any, request: ReadRequest, nm: int | None) -> Any:
    if request.mode == "absorbance":
        return await backend.read_absorbance(plate=plate, wavelengths=[nm])
    emission = request.emission_nm or _OPEN_EMISSION_NM
    if request.mode == "luminescence":
        return await backend.read_luminescence(plate=plate, emission_wavelengths=[emission])
    return await backend.read_fluorescence(
        plate=plate,
        excitation_wavelengths=[request.excitation_nm],
        emission_wavelengths=[emission],
        cutoff_filters=[backend._get_cutoff_filter_index_from_wavelength(emission)],
    )


async def identity(backend: Any) -> tuple[Finding, ...]:
    """What a reader tells of itself, where PyLabRobot asks it: firmware, serial number, filters."""
    found = []
    for subject, question in (("firmware", "get_firmware_version"), ("serial number", "get_serial_number")):
        ask = getattr(backend, question, None)
        if ask is not None:
            answer = await ask()
            told = " ".join(str(part) for part in answer) if isinstance(answer, list | tuple) else str(answer)
            found.append(Finding(subject=subject, found=told, ok=True))
    filters = getattr(backend, "available_wavelengths", None)
    if filters:
        told = ", ".join(f"{nm:g}" for nm in filters) + " nm"
        found.append(Finding(subject="filters", found=told, ok=True))
    return tuple(found)


def build(model: str, where: str, settings: dict[str, Any]) -> Any:
    """Backend of a model.

    Raises:
        BenchError: a setting is missing, or the installed PyLabRobot lacks what it needs.
    """
    if model not in MODELS:
        raise BenchError(f"plate reader '{model}' is not known", where=where, remedy=f"use {', '.join(MODELS)}")
    known = MODELS[model]
    missing = [name for name in known.needs if name not in settings]
    if missing:
        raise BenchError(
            f"a {known.title} needs {' and '.join(missing)}", where=where, remedy="write it into backend_settings"
        )
    made = adapter.named(known.backend, where)
    return adapter.built(lambda: made(**settings), f"PyLabRobot's backend of a {known.title}", where)


def refused(model: ReaderModel, why: str, where: str) -> DeviceError:
    """A measurement the reader cannot make, in one sentence."""
    has = []
    if model.absorbance:
        has.append(f"absorbance {model.absorbance[0]} to {model.absorbance[1]} nm")
    if model.excitation:
        has.append("fluorescence")
    if model.luminescence:
        has.append("luminescence")
    return DeviceError(why, where=where, remedy=f"{model.title} measures {', '.join(has)}")
