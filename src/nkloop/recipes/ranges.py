"""Whether an amount of a component makes sense: its kind, and the range the recipe says is plausible."""

from __future__ import annotations

from collections.abc import Iterator

from nkloop.quantities import Amount, Kind
from nkloop.recipes.media import Component
from nkloop.yamlfile.problems import Finding
from nkloop.yamlfile.reader import YamlPath


def amount_fits(path: YamlPath, component: Component, amount: Amount) -> Iterator[Finding]:
    """A finding when an amount is of another kind than its component is dosed by, or outside the plausible range."""
    low, high = component.plausible
    if amount.kind is not low.kind:
        yield Finding(path, *_other_kind(component.name, amount, low))
    elif not low.canonical <= amount.canonical <= high.canonical:
        yield Finding(
            path,
            f"{amount} of {component.name} is outside its plausible range {low} to {high}",
            _slip(amount, low, high) or "correct the amount, or widen the range of the component with a source",
        )


def _other_kind(name: str, amount: Amount, low: Amount) -> tuple[str, str]:
    message = f"{amount} of {name} measures {amount.kind.words}, but {name} is dosed by {low.kind.words}, like {low}"
    activity = Kind.ACTIVITY_CONCENTRATION
    if activity in (amount.kind, low.kind):
        return message, f"write it in {low.unit}; mass and activity convert only through the certificate of a lot"
    return message, f"write it in {low.unit}"


def _slip(amount: Amount, low: Amount, high: Amount) -> str:
    for power in (1e-3, 1e3, 1e-6, 1e6):
        if low.canonical <= amount.canonical * power <= high.canonical:
            wrong = f"{max(power, 1 / power):.0f}"
            return f"check the unit: it is off by a factor of {wrong} if {amount.scaled(power).display()} was meant"
    return ""
