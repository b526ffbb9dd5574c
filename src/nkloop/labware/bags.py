"""Closed culture vessels and the dose tubes that are welded on to them: `labware/bags.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from nkloop.errors import LabwareError
from nkloop.frozen import FrozenModel
from nkloop.yamlfile import validate_yaml

FILE = "bags.yaml"


class Bag(FrozenModel):
    """One kind of closed culture vessel: a bag, or the single-use vessel of a bioreactor."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    """As plans and the command line name it."""
    title: str
    lowest_ml: float = Field(gt=0)
    """Least volume a culture may have in it."""
    capacity_ml: float = Field(gt=0)
    """Most volume a culture may have in it."""
    vessel: Literal["bag", "bioreactor"] = "bag"
    tare_g: float | None = Field(default=None, gt=0)
    """Weight with its lines, empty; None when nobody weighed one, and no weight is then told."""
    residual_ml: float = Field(default=0, ge=0)
    """What stays in it and in the line when it is drained."""
    rinse_ml: float = Field(default=0, ge=0)
    """Base medium it is rinsed with after it was drained, so that few cells stay behind."""
    manufacturer: str
    catalogue_number: str
    provenance: str
    """Where the volumes come from."""

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.lowest_ml >= self.capacity_ml:
            raise ValueError(
                f"lowest_ml {self.lowest_ml:g} is not below capacity_ml {self.capacity_ml:g}. Remedy: swap them"
            )
        return self


class DoseTube(FrozenModel):
    """One kind of tube the robot fills and a technician welds on to a bag."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    rack: str
    """Load name of the rack it stands in on the deck; gives volume and dead volume."""
    line_dead_ul: float = Field(ge=0)
    """Volume that stays in its line."""
    provenance: str
    """Where the dead volume comes from."""


class BagCatalogue(FrozenModel):
    """Every bag and dose tube of a workspace."""

    bags: tuple[Bag, ...] = Field(min_length=1)
    dose_tubes: tuple[DoseTube, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [*(bag.name for bag in self.bags), *(tube.name for tube in self.dose_tubes)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice. Remedy: give each bag and tube its own name")
        return self

    @classmethod
    def load(cls, folder: Path) -> BagCatalogue:
        """Read `bags.yaml` of a labware folder.

        Raises:
            LabwareError: it is missing or wrong; every problem with file, line and column.
        """
        return validate_yaml(cls, folder / FILE, LabwareError)

    def smallest(self, vessel: str, volume_ml: float) -> Bag:
        """The smallest bag or bioreactor whose range holds a volume.

        Raises:
            LabwareError: none does.
        """
        alike = [bag for bag in self.bags if bag.vessel == vessel]
        fitting = [bag for bag in alike if bag.lowest_ml <= volume_ml <= bag.capacity_ml]
        if not fitting:
            ranges = ", ".join(f"{bag.name} {bag.lowest_ml:g} to {bag.capacity_ml:g} mL" for bag in alike)
            raise LabwareError(
                f"no {vessel} takes {volume_ml:.4g} mL", where="vessel", remedy=f"choose a volume for {ranges}"
            )
        return min(fitting, key=lambda bag: bag.capacity_ml)

    def smallest_holding(self, vessel: str, volume_ml: float) -> Bag:
        """The smallest bag or bioreactor that can hold a volume, be it below the range of a culture.

        Raises:
            LabwareError: none can.
        """
        alike = [bag for bag in self.bags if bag.vessel == vessel]
        fitting = [bag for bag in alike if volume_ml <= bag.capacity_ml]
        if not fitting:
            largest = max(alike, key=lambda bag: bag.capacity_ml, default=None)
            most = "" if largest is None else f", the largest, {largest.name}, takes {largest.capacity_ml:g} mL"
            raise LabwareError(
                f"no {vessel} holds {volume_ml:.4g} mL{most}", where=FILE, remedy=f"enter the {vessel} it is in {FILE}"
            )
        return min(fitting, key=lambda bag: bag.capacity_ml)

    def bag(self, name: str) -> Bag:
        """Look a bag up.

        Raises:
            LabwareError: there is none of this name.
        """
        found = next((bag for bag in self.bags if bag.name == name), None)
        if found is None:
            known = ", ".join(bag.name for bag in self.bags)
            raise LabwareError(f"there is no bag '{name}'", where=FILE, remedy=f"use one of: {known}")
        return found
