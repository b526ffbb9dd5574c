"""How a written amount is taken apart: number and unit, or the reason why it is ambiguous."""

from __future__ import annotations

import math
import re

from nkloop.errors import QuantityError

HOW = "write a number and a unit, like 25 ng/mL"
"""What to write instead, for messages about an amount that cannot be read."""
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER_OF_TEN = r"10\s*(?:\^|\*\*)\s*[+\-−]?[0-9]+"
NUMBER = (
    rf"(?:{_POWER_OF_TEN}"
    rf"|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+\-−]?[0-9]+|\s*[x×*·]\s*{_POWER_OF_TEN})?)"
)
"""Regular expression of a number without sign as people write it: `25`, `1e5`, `1×10^5`, `10^5`."""
_TEXT = re.compile(rf"^([+\-−]?{NUMBER})(?![eE][0-9])\s*([^\d\s].*)$")
_POWER = re.compile(r"^(.*?)(?:[x×*·]\s*)?10\s*(?:\^|\*\*)\s*([+-]?\d+)$")
_NOT_FINITE = re.compile(r"^[+-]?\.?(nan|inf)", re.IGNORECASE)
_AMBIGUOUS = (
    (re.compile(r"\d,\s?\d"), "has a comma between digits", "write a decimal point, no separators"),
    (
        re.compile(r"\d[\s'’_]\d{3}(?!\d)"),
        "has a separator between digits",
        "write the digits together, like 1000 or 1e6",
    ),
    (re.compile(r"^[~≈<>≤≥]|±|\+/-"), "is not one exact amount", "write one number; ranges have fields of their own"),
    (re.compile(r"\d\s*(-|–|to|\.\.)\s*\d+(\.\d+)?\s*\D"), "is a range", "write one number with a unit"),
    (re.compile(r"[x×*]\s*10[eE]"), "multiplies with a power twice", "write 1e6 or 1x10^6"),
    (re.compile(r"^\d+\s*:\s*\d+"), "is a dilution, not an amount", "write the concentration it gives, like 25 ng/mL"),
)


def take_apart(text: str) -> tuple[float, str]:
    """The number and the written unit of an amount.

    Raises:
        QuantityError: the text is ambiguous, lacks a number or a unit, holds two amounts, or is not finite.
    """
    plain = re.sub(r"(?<=10)([⁻⁰¹²³⁴-⁹]+)", lambda m: "^" + m[1].translate(_SUPERSCRIPTS), text.strip())
    plain = re.sub(r"(?<=[A-Za-zµμ])⁻¹", "-1", plain)
    without_powers = re.sub(r"\^\s*-|[eE]-|-1$", "", plain)
    for pattern, reason, remedy in _AMBIGUOUS:
        if pattern.search(without_powers):
            raise QuantityError(f"'{text}' {reason}", remedy=remedy)
    match = _TEXT.match(plain)
    if match is None and _NOT_FINITE.match(plain):
        raise QuantityError(f"'{text}' is not a finite amount", remedy=HOW)
    if match is None:
        raise QuantityError(f"'{text}' is not a number with a unit", remedy=HOW)
    unit = match[2].strip()
    if re.search(r"(?<![\w^-])\d", re.sub(r"-1$", "", unit)):
        raise QuantityError(f"'{text}' holds more than one amount", remedy="write one number and one unit")
    magnitude = _number(match[1])
    if not math.isfinite(magnitude):
        raise QuantityError(f"'{text}' is not a finite amount, its number is too large to be counted with", remedy=HOW)
    return magnitude, unit


def _number(written: str) -> float:
    plain = written.replace("−", "-").replace("**", "^").replace(" ", "")
    power = _POWER.match(plain)
    if power is None:
        return float(plain)
    mantissa = power[1] if power[1] not in {"", "+", "-"} else f"{power[1]}1"
    return float(f"{mantissa}e{int(power[2])}") if "e" not in mantissa.lower() else float(mantissa)
