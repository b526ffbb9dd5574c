"""Vessels for a medium: the smallest that takes the volume with what stays behind, several when one is too small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from nkloop.errors import PlanError
from nkloop.labware.models import LabwareType
from nkloop.quantities import Kind
from nkloop.recipes.models import Ingredient, Medium, Recipe
from nkloop.worklists.contents import LabwareLookup
from nkloop.worklists.medium_request import additives_in_order
from nkloop.worklists.plans import MediumOrder

TUBES_1_5 = "opentrons_24_tuberack_nest_1.5ml_snapcap"
TUBES_15 = "opentrons_15_tuberack_nest_15ml_conical"
TUBES_50 = "opentrons_6_tuberack_nest_50ml_conical"
TROUGH = "nest_1_reservoir_195ml"
VESSELS = (
    (TUBES_1_5, "1.5 mL tube"),
    (TUBES_15, "15 mL tube"),
    (TUBES_50, "50 mL tube"),
    (TROUGH, "trough"),
)
"""From small to large; the last is the largest, more is prepared in several of it."""
Container = Literal["", "tube-1.5", "tube-15", "tube-50", "trough"]
"""What people call the vessel they want; empty for the smallest that takes the volume."""
CONTAINERS: dict[Container, str] = {"tube-1.5": TUBES_1_5, "tube-15": TUBES_15, "tube-50": TUBES_50, "trough": TROUGH}
"""What people call the vessels, and their load names."""


def container_of(load_name: str) -> Container:
    """What people call a vessel, by its load name.

    Raises:
        KeyError: media are made in no such vessel.
    """
    return {known: name for name, known in CONTAINERS.items()}[load_name]


@dataclass(frozen=True)
class MediumVessel:
    """One vessel of complete medium."""

    order: MediumOrder
    medium: Medium
    additives: tuple[Ingredient, ...]
    """In the order they are added."""
    load_name: str
    label: str
    barcode: str
    usable_ul: float
    total_ul: float
    """What is prepared: what can be drawn and what stays behind."""

    @property
    def dissolved(self) -> tuple[Ingredient, ...]:
        """Additives that are not volumes of their own, such as cytokines."""
        return tuple(i for i in self.additives if i.amount.kind is not Kind.FRACTION)


def vessels_for(recipe: Recipe, orders: Sequence[MediumOrder], catalogue: LabwareLookup) -> tuple[MediumVessel, ...]:
    """The vessels of all orders, in the order they are asked for."""
    return tuple(vessel for order in orders for vessel in _of_order(recipe, order, catalogue))


def _of_order(recipe: Recipe, order: MediumOrder, catalogue: LabwareLookup) -> list[MediumVessel]:
    medium = recipe.stage(order.stage_id).medium
    volume = order.volume.canonical
    kinds = [one for one in VESSELS if order.load_name in {"", one[0]}]
    number = max(1, ceil(volume / usable_ul(catalogue[kinds[-1][0]]) - 1e-9))
    each = ceil(round(volume / number * 100, 3)) / 100
    kind, label = next(((catalogue[name], label) for name, label in kinds if each <= usable_ul(catalogue[name]) + 1e-6))
    return [
        MediumVessel(
            order=order,
            medium=medium,
            additives=additives_in_order(recipe, medium, order.omit),
            load_name=kind.load_name,
            label=label,
            barcode=order.barcode if index == 0 else f"{order.barcode}-{index + 1}",
            usable_ul=each,
            total_ul=round(each + kind.dead_volume_ul, 2),
        )
        for index in range(number)
    ]


def require_one_vessel(order: MediumOrder, catalogue: LabwareLookup) -> None:
    """Refuse an order that does not fit one vessel of its kind, for whoever goes on with one medium in one vessel.

    Raises:
        PlanError: with the vessel that would hold it, where there is one.
    """
    kind = order.load_name or VESSELS[-1][0]
    most = usable_ul(catalogue[kind])
    if order.volume.kind is not Kind.VOLUME or order.volume.canonical <= most + 1e-6:
        return
    fit = next((name for name, _ in VESSELS if order.volume.canonical <= usable_ul(catalogue[name]) + 1e-6), None)
    holds = "prepare several batches" if fit is None else f"choose {container_of(fit)}, which holds it, or none"
    raise PlanError(
        f"{order.volume} of medium does not fit one {dict(VESSELS)[kind]}, which gives {most / 1000:.4g} mL",
        where="vessel",
        remedy=f"{holds}; `nkloop plan medium` plans a medium in several vessels",
    )


def usable_ul(kind: LabwareType) -> float:
    """What can be drawn from a full vessel."""
    return kind.working_volume_ul - kind.dead_volume_ul
