"""Numbers and dates as people read them: two or three digits, a real minus sign, units left to the caller."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from nkloop.quantities.display import volume_told

MISSING = "–"


def figure(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never in powers of ten; a dash when unknown.

    Thousands are not set apart: `1,989` is less than two to who writes decimal commas.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    # Beyond 1e15 every float is whole, and rounding the largest ones up overflows.
    rounded = round(value, decimals) if abs(value) < 1e15 else value
    text = f"{rounded:.{max(0, min(decimals, 9))}f}"
    return text.replace("-", "\u2212")


def fixed(value: float | None, decimals: int = 2) -> str:
    """A number with so many decimals; a dash when unknown."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return text.replace("-", "\u2212") if text.strip("-0.") else text.lstrip("-")


def signed(value: float | None, decimals: int = 2) -> str:
    """A difference with its sign always written; a dash when unknown."""
    text = fixed(value, decimals)
    return text if text.startswith("\u2212") or text == MISSING or not text.strip("0.") else f"+{text}"


def interval(low: float | None, high: float | None, decimals: int = 2) -> str:
    """`low to high` with signs; a dash when there is no interval."""
    if low is None or high is None:
        return MISSING
    return f"{signed(low, decimals)} to {signed(high, decimals)}"


def percent(value: float | None, decimals: int = 0) -> str:
    """A percentage that already is one, with its sign."""
    return MISSING if value is None else f"{fixed(value, decimals)} %"


def fold(log10_fold: float | None) -> str:
    """Fold expansion from its log10, two significant digits."""
    return MISSING if log10_fold is None else f"{figure(10**log10_fold, 2)}×"


def factor(value: float) -> str:
    """A factor against the reference, `×1.60`."""
    return f"×{fixed(value)}"


def volume(microlitres: float) -> str:
    """A volume in the unit people would use, four significant digits without trailing zeros."""
    return volume_told(microlitres) if math.isfinite(microlitres) else MISSING


def moment(when: datetime | None) -> str:
    """Date and time to the minute with its zone."""
    return MISSING if when is None else f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".rstrip()


def day(when: datetime) -> str:
    """The date alone."""
    return f"{when:%Y-%m-%d}"


def length(begin: datetime | None, end: datetime | None) -> str:
    """Time between two moments in the unit people would use; a dash when one is missing."""
    if begin is None or end is None:
        return MISSING
    return duration((end - begin) / timedelta(minutes=1))


def duration(minutes: float) -> str:
    """A time span in seconds, minutes, hours or days."""
    for limit, size, unit in ((2, 1 / 60, "s"), (120, 1, "min"), (72 * 60, 60, "h")):
        if minutes < limit:
            return f"{figure(minutes / size, 2)} {unit}"
    return f"{figure(minutes / 1440, 2)} d"


def hours(minutes: float) -> str:
    """A lead time: minutes up to two hours, then hours."""
    return f"{plain(minutes / 60)} h" if minutes >= 120 else f"{plain(minutes)} min"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 plate`, `12 plates`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listing(items: tuple[str, ...] | list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def plain(value: float, digits: int = 3) -> str:
    """A setting as it was entered: `10`, `2.5`, `0.31`, without trailing zeros."""
    text = figure(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def chance(probability: float) -> str:
    """A probability (0 to 1) in percent; a model of a few arms is never sure, so nothing beyond 1 to 99 % is said."""
    if probability > 0.99:
        return "above 99 %"
    if probability < 0.01:
        return "below 1 %"
    return percent(probability * 100)


def p_value(p: float | None) -> str:
    """A p-value to three decimals, `< 0.001` below that."""
    return MISSING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """`0.42 (0.39 to 0.45)`; an end that is not known is a question mark, without either there is the value alone."""
    if value is None or (low is None and high is None):
        return figure(value)
    return f"{figure(value)} ({'?' if low is None else figure(low)} to {'?' if high is None else figure(high)})"
