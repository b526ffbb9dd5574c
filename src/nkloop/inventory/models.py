"""Lots: what is in the fridge, how strong, until when."""

from __future__ import annotations

import math
from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, field_validator, model_validator

from nkloop.errors import InventoryError, QuantityError
from nkloop.frozen import FrozenModel
from nkloop.inventory.containers import CAPACITY_UL, Container, count_errors, expanded, without_counts
from nkloop.quantities import Amount, Concentration, Duration, Kind, RemainingVolume, SpecificActivity

LotState = Literal["released", "quarantined", "blocked"]
"""Only a released lot is chosen for plans."""


class Certificate(FrozenModel):
    """The certificate of analysis a lot's values are copied from."""

    id: str = Field(min_length=1)
    """Number on the certificate."""
    issued: date
    """Day it was issued."""


class Lot(FrozenModel):
    """One lot of one component, as vials or bottles of the same content."""

    id: str = Field(min_length=1, max_length=60)
    """Barcode of the lot; unique in a lot list."""
    component: str
    """Component name as recipes write it; bench liquids (lysis buffer, PBS) use their own names."""
    lot_number: str
    """The supplier's own number of the lot."""
    supplier: str
    catalogue_number: str = ""
    concentration: Concentration
    """Concentration of the stock; liquids that are the component itself (base medium, serum) are 100 % v/v."""
    specific_activity: SpecificActivity | None = None
    """Certificate value in IU/mg; the only way from mass to activity."""
    certificate: Certificate | None = None
    """Where concentration and specific activity are certified."""
    carrier: str = "base"
    """What the stock is dissolved in."""
    diluent: str = "base"
    """What it is diluted in before use: a liquid of the lot list such as `HSA buffer`, or the base of the medium."""
    buffer: dict[str, Concentration] = Field(default_factory=dict)
    """Substances of the stock's buffer that the medium gets along with the component, such as `DMSO: 100 % v/v`."""
    volume: RemainingVolume
    """What is left in all containers of the lot, their sum when they are listed; a used-up lot stays with 0 µL."""
    containers: tuple[Container, ...] = ()
    """Vials, tubes or bottles; a lot without them is one container with the lot's own barcode and no dead volume."""
    expires: date
    """Last day the lot may be used, unopened and stored as it says."""
    opened_life: Duration | None = None
    """How long a container keeps once it was opened or thawed; to the expiry when not given."""
    storage: str = "-20 °C"
    """Where it is kept, in words, for run sheets; nothing is computed from it."""
    freeze_thaws: int = Field(default=0, ge=0)
    """Thaws of a lot without listed containers."""
    max_freeze_thaws: int = Field(default=1, ge=0)
    """Most thaws of one container; one that is frozen and has had them all is not thawed again."""
    light_sensitive: bool = False
    """True when it must stand in the dark; run sheets say so and a rule holds plans to it."""
    state: LotState = "released"
    """Only a released lot is chosen."""
    state_reason: str = ""
    """Why a lot is quarantined or blocked."""
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
            if isinstance(value, str) and ("IU" in value or "TU" in value):
                try:
                    bound[field] = Amount.parse(value, substance=str(bound.get("component", "")))
                except QuantityError:
                    continue
        return bound

    @model_validator(mode="before")
    @classmethod
    def _volume_is_the_sum_of_the_containers(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("containers"):
            return data
        if data.get("volume") is not None:
            return data
        return {**data, "volume": Amount(_total_ul(data["containers"]), "µL")}

    @field_validator("containers", mode="wrap")
    @classmethod
    def _entries_are_read_as_they_stand(cls, value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        """What is wrong with an entry is told once and of its own line, however many containers it stands for."""
        wrong = count_errors(value)
        if wrong:
            raise ValidationError.from_exception_data("containers", wrong)
        read(without_counts(value))
        return read(expanded(value))

    @model_validator(mode="after")
    def _containers_fit_the_lot(self) -> Self:
        if self.containers:
            total = math.fsum(one.volume.canonical for one in self.containers)
            if not math.isclose(total, self.volume.canonical, rel_tol=1e-9, abs_tol=1e-3):
                raise ValueError(
                    f"lot {self.id} is said to hold {self.volume}, its containers {Amount(total, 'µL').display()}. "
                    f"Remedy: leave the volume of the lot out, it is the sum of the containers"
                )
        elif self.volume.canonical > CAPACITY_UL["unspecified"]:
            raise ValueError(
                f"lot {self.id} is said to be one container of {self.volume}, more than "
                f"{Amount(CAPACITY_UL['unspecified'], 'µL').display()}. Remedy: check the unit, or list its containers"
            )
        for one in self.containers:
            if one.thawed is not None and not self.is_frozen:
                raise ValueError(
                    f"container {one.barcode} is said to be thawed, but lot {self.id} is stored at {self.storage}. "
                    f"Remedy: write the day as `opened`, or correct the storage"
                )
        return self

    @model_validator(mode="after")
    def _thaw_limit_is_kept(self) -> Self:
        for name, thaws in (
            (f"lot {self.id}", self.freeze_thaws),
            *((f"container {one.barcode}", one.freeze_thaws) for one in self.containers),
        ):
            if thaws > self.max_freeze_thaws:
                raise ValueError(
                    f"{name} was thawed {thaws} times, at most {self.max_freeze_thaws} are allowed. "
                    f"Remedy: take it out of the list"
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
    def vessels(self) -> tuple[Container, ...]:
        """The containers, also of a lot that lists none."""
        if self.containers:
            return self.containers
        return (Container(barcode=self.id, volume=self.volume, freeze_thaws=self.freeze_thaws),)

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
            remedy=_telling(own.kind, kind),
        )

    def cost_eur(self, volume_ul: float) -> float | None:
        """Price of a volume of this lot, or None when the lot has no price or is used up."""
        if self.price_eur is None or self.volume_ul == 0:
            return None
        return self.price_eur * volume_ul / self.volume_ul


def _telling(own: Kind, wanted: Kind) -> str:
    """What makes a concentration of one kind tellable as another."""
    if (own, wanted) == (Kind.MASS_CONCENTRATION, Kind.ACTIVITY_CONCENTRATION):
        return "add the specific activity of the lot's certificate, in IU/mg"
    if (own, wanted) == (Kind.ACTIVITY_CONCENTRATION, Kind.MASS_CONCENTRATION):
        return "give the lot as mass, with the specific activity of its certificate in IU/mg"
    return f"give the lot as {wanted.words}, from its certificate"


def _total_ul(containers: Any) -> float:
    """Sum of the volumes as written, 0 where one of them cannot be read; its own refusal tells why."""
    try:
        return math.fsum(
            (one if isinstance(one, Container) else Container.model_validate(one)).volume.canonical
            for one in expanded(containers)
        )
    except (ValueError, TypeError, AttributeError):
        return 0.0
