"""Lots: what is in the fridge, how strong, until when."""

from __future__ import annotations

from datetime import date
from typing import Any, Self

from pydantic import Field, model_validator

from nkloop.errors import InventoryError, QuantityError
from nkloop.frozen import FrozenModel
from nkloop.quantities import Amount, Concentration, Kind, RemainingVolume, SpecificActivity


class Lot(FrozenModel):
    """One lot of one component, as vials or bottles of the same content."""

    id: str = Field(min_length=1, max_length=60)
    """Barcode of the container; unique in a lot list."""
    component: str
    """Component name as recipes write it; bench liquids (lysis buffer, PBS) use their own names."""
    lot_number: str
    supplier: str
    catalogue_number: str = ""
    concentration: Concentration
    """Concentration of the stock; liquids that are the component itself (base medium, serum) are 100 % v/v."""
    specific_activity: SpecificActivity | None = None
    """Certificate value in IU/mg; the only way from mass to activity."""
    carrier: str = "base"
    """What the stock is dissolved in."""
    volume: RemainingVolume
    """What is left in all containers of the lot; a used-up lot stays in the list with 0 µL."""
    expires: date
    storage: str = "-20 °C"
    freeze_thaws: int = Field(default=0, ge=0)
    max_freeze_thaws: int = Field(default=1, ge=0)
    price_eur: float | None = Field(default=None, ge=0)
    """Price of the volume left."""
    note: str = ""
    """What a reader of the list must know, such as which entries are estimates."""

    @model_validator(mode="before")
    @classmethod
    def _activity_is_its_own(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        bound = dict(data)
        for field in ("concentration", "specific_activity"):
            value = bound.get(field)
            if isinstance(value, str) and "IU" in value:
                try:
                    bound[field] = Amount.parse(value, substance=str(bound.get("component", "")))
                except QuantityError:
                    continue
        return bound

    @model_validator(mode="after")
    def _thaw_limit_is_kept(self) -> Self:
        if self.freeze_thaws > self.max_freeze_thaws:
            raise ValueError(
                f"lot {self.id} was thawed {self.freeze_thaws} times, at most {self.max_freeze_thaws} are allowed. "
                f"Remedy: take the lot out of the list"
            )
        return self

    @model_validator(mode="after")
    def _certificate_belongs_to_a_mass(self) -> Self:
        if self.specific_activity is not None and self.concentration.kind is not Kind.MASS_CONCENTRATION:
            raise ValueError(
                f"lot {self.id} has a specific activity, but its concentration {self.concentration} is no mass. "
                f"Remedy: give the concentration as mass, or leave the specific activity out"
            )
        return self

    @property
    def volume_ul(self) -> float:
        """What is left, in µL."""
        return self.volume.canonical

    @property
    def is_frozen(self) -> bool:
        """True when the lot is stored below 0 °C, so that using it costs a thaw."""
        return self.storage.lstrip().startswith(("-", "−"))

    def strength(self, kind: Kind) -> float:
        """Amount of the component in one µL of stock, in the canonical unit of `kind` (`Kind.value`).

        Mass becomes activity only through the certificate of this lot.

        Raises:
            InventoryError: the lot is given in another kind and has no certificate that converts.
        """
        own = self.concentration
        if own.kind is kind:
            return own.canonical
        pair = {own.kind, kind}
        if pair == {Kind.MASS_CONCENTRATION, Kind.ACTIVITY_CONCENTRATION} and self.specific_activity is not None:
            # certified lots are given as mass (checked above); ng/µL times IU/mg is 1e-6 IU/µL
            return own.canonical * self.specific_activity.canonical * 1e-6
        raise InventoryError(
            f"{own} of {self.component} cannot be told as {kind.words}",
            where=f"lot {self.id}",
            remedy="add the specific activity of the lot's certificate, in IU/mg",
        )

    def cost_eur(self, volume_ul: float) -> float | None:
        """Price of a volume of this lot, or None when the lot has no price or is used up."""
        if self.price_eur is None or self.volume_ul == 0:
            return None
        return self.price_eur * volume_ul / self.volume_ul
