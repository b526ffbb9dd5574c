"""What is wrong with a method that its model cannot see: parts that contradict each other, and values nobody marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nkloop.assays.methods.models import Limit
from nkloop.yamlfile import Finding
from nkloop.yamlfile.plain import block, items, number
from nkloop.yamlfile.problems import one_of
from nkloop.yamlfile.reader import YamlPath

_NEEDS = {
    "effector_only": "effector_only",
    "medium_background": "background",
    "volume_correction": "volume_correction",
}
"""Term of the formula to the control it is computed from."""
_OPTICAL = ("absorbance", "fluorescence", "time-resolved fluorescence", "luminescence")
_MODES = {
    "release": _OPTICAL,
    "loss": (*_OPTICAL, "cytometry", "impedance"),
    "flow": ("cytometry",),
    "kinetic": (*_OPTICAL, "impedance"),
}
"""Formula to the modes that give what it is computed from."""
_PAIR = ("excitation_nm", "emission_nm")
_NEEDED_NM: Mapping[str, tuple[str, ...]] = {
    "absorbance": ("wavelength_nm",),
    "fluorescence": _PAIR,
    "time-resolved fluorescence": _PAIR,
}
"""Wavelengths without which a reading of the mode could be of any dye."""
_ALLOWED_NM: Mapping[str, tuple[str, ...]] = {
    **_NEEDED_NM,
    "absorbance": ("wavelength_nm", "reference_wavelength_nm"),
    "luminescence": ("emission_nm",),
}
_BOUND = {"high": "at most", "low": "at least"}
_ALL_NM = ("wavelength_nm", "reference_wavelength_nm", *_PAIR)


def method_findings(data: Any, common: Iterable[Limit]) -> Iterator[Finding]:
    """What is wrong with the plain data of a method, which may be malformed.

    Args:
        data: of the whole file.
        common: the limits every method starts from.
    """
    yield from _controls(data)
    for part, keys in (("contact", ("low_minutes", "high_minutes")), ("targets", ("low", "high"))):
        low, high = (number(block(data, part).get(key)) for key in keys)
        if low is not None and high is not None and low > high:
            yield Finding((part,), f"begins at {low:g} and ends at {high:g}", "put the lower figure first")
    yield from _mode(data)
    yield from _wavelengths(block(data, "read"), data.get("formula"))
    yield from _read_numbers(block(data, "read"))
    yield from limit_findings(data, common)
    for part in ("read", "contact", "targets"):
        yield from _unmarked((part,), data.get(part))


def limit_findings(data: Any, common: Iterable[Limit] = ()) -> Iterator[Finding]:
    """What is wrong with the limits of plain data; `common` are those they replace, if they replace any."""
    known = {limit.name: limit for limit in common}
    seen: set[str] = set()
    for path, limit in items(data, ("limits",)):
        name = limit.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Finding((*path, "name"), f"'{name}' is limited twice", "keep one of them")
            seen.add(name)
            if known:
                yield from _against(path, limit, known)
        yield from _order(path, limit)
        yield from _unmarked(path, limit)


def _controls(data: Any) -> Iterator[Finding]:
    controls = data.get("controls")
    listed = controls if isinstance(controls, list) else []
    terms = block(data, "terms")
    for term, role in _NEEDS.items():
        if terms.get(term) is True and role not in listed:
            yield Finding(("terms", term), f"needs {role} wells, which are not among the controls", f"add {role}")
    if "spontaneous" not in listed:
        yield Finding(("controls",), "targets alone (spontaneous) are missing, lysis is nothing without them", "add it")
    if data.get("formula") == "release" and "maximum" not in listed:
        yield Finding(("controls",), "release is a share of the maximum, which is missing", "add maximum")


def _mode(data: Any) -> Iterator[Finding]:
    read, formula = block(data, "read"), data.get("formula")
    mode = read.get("mode")
    if not isinstance(formula, str) or not isinstance(mode, str) or formula not in _MODES:
        return
    if mode in {one for modes in _MODES.values() for one in modes} and mode not in _MODES[formula]:
        fitting = [one for one, modes in _MODES.items() if mode in modes]
        told = f"formula '{formula}' cannot be computed from {mode}, it takes {' or '.join(_MODES[formula])}"
        yield Finding(("read", "mode"), told, f"correct the mode, or write formula: {' or '.join(fitting)}")
    elif mode == "cytometry" and read.get("quantity", "signal") == "signal":
        told = "cytometry gives counts of populations, and none is named"
        yield Finding(("read",), told, "add a line like `quantity: live_targets`")


def _wavelengths(read: Mapping[str, Any], formula: object) -> Iterator[Finding]:
    mode = read.get("mode")
    if not isinstance(mode, str):
        return
    given = [key for key in _ALL_NM if read.get(key) is not None]
    foreign = [key for key in given if key not in _ALLOWED_NM.get(mode, ())]
    takes = " and ".join(_ALLOWED_NM.get(mode, ())) or "no wavelength"
    for key in foreign:
        yield Finding(("read", key), f"{mode} takes {takes}, not {key}", "remove the line, or correct the mode")
    needed = _NEEDED_NM.get(mode, ())
    # an imager's time course names the dye in its note: its channels are no wavelengths
    if not (formula == "kinetic" and not given):
        for key in (one for one in needed if one not in given):
            remedy = f"add a line like `{key}: 490`, so that a reading of another dye is refused"
            yield Finding(("read",), f"{mode} without {key}", remedy)
    yield from _apart(read)


def _apart(read: Mapping[str, Any]) -> Iterator[Finding]:
    """Pairs of wavelengths that lie in each other's place."""
    excitation, emission = (number(read.get(key)) for key in _PAIR)
    if excitation is not None and emission is not None and emission <= excitation:
        told = f"{emission:g} nm is not above the excitation of {excitation:g} nm, as the light of a dye is"
        yield Finding(("read", "emission_nm"), told, "swap the two, or correct one")
    main, reference = (number(read.get(key)) for key in ("wavelength_nm", "reference_wavelength_nm"))
    tolerance = number(read.get("tolerance_nm", 5)) or 0.0
    if main is not None and reference is not None and abs(main - reference) <= tolerance:
        told = f"{reference:g} nm lies within {tolerance:g} nm of the wavelength of {main:g} nm"
        yield Finding(("read", "reference_wavelength_nm"), told, "choose one the dye does not absorb at, or remove it")


def _read_numbers(read: Mapping[str, Any]) -> Iterator[Finding]:
    delay = read.get("delay_minutes")
    if isinstance(delay, list) and len(delay) == 2:
        shortest, longest = (number(one) for one in delay)
        if shortest is not None and longest is not None and not 0 <= shortest <= longest:
            told = f"{shortest:g} to {longest:g} min after the end of contact, must rise from 0 or more"
            yield Finding(("read", "delay_minutes"), told, "write the shortest first: `[shortest, longest]`")
    lowest, highest, linear = (number(read.get(key)) for key in ("lowest", "highest", "highest_linear"))
    if lowest is not None and highest is not None and lowest >= highest:
        yield Finding(("read", "lowest"), f"{lowest:g} is not below highest, {highest:g}", "correct one of them")
    if linear is not None and highest is not None and linear > highest:
        told = f"{linear:g} is above highest, {highest:g}, which no reader gives"
        yield Finding(("read", "highest_linear"), told, "correct one of them")
    if linear is not None and lowest is not None and linear <= lowest:
        yield Finding(("read", "highest_linear"), f"{linear:g} is not above lowest, {lowest:g}", "correct one of them")


def _against(path: YamlPath, limit: Mapping[str, Any], known: Mapping[str, Limit]) -> Iterator[Finding]:
    name, better = limit["name"], limit.get("better")
    if name not in known:
        hint = one_of(name, sorted(known))
        yield Finding((*path, "name"), f"'{name}' is no quality figure", hint)
    elif isinstance(better, str) and better in _BOUND and better != known[name].better:
        told = f"{name} is better {known[name].better}, not {better}: bad plates would pass"
        yield Finding((*path, "better"), told, f"write `better: {known[name].better}`")


def _order(path: YamlPath, limit: Mapping[str, Any]) -> Iterator[Finding]:
    good, usable = (number(limit.get(key)) for key in ("good", "usable"))
    better = limit.get("better")
    if good is None or usable is None or not isinstance(better, str) or better not in _BOUND:
        return
    if (usable > good) if better == "high" else (usable < good):
        told = f"usable is {usable:g}, where {better} is better it must be {_BOUND[better]} good, {good:g}"
        yield Finding((*path, "usable"), told, "swap the two, or correct one")


def _unmarked(path: YamlPath, part: Any) -> Iterator[Finding]:
    if isinstance(part, dict) and "verified_by" not in part:
        remedy = "add `verified_by: null`, or the name of who compared the values with their source"
        yield Finding(path, "does not say who verified its values", remedy)
