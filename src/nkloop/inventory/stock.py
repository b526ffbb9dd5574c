"""The lot list of a lab: which lot to use, what is left after use, what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import model_validator

from nkloop.errors import InventoryError, NkloopError, Problem, ShortageError
from nkloop.frozen import FrozenModel
from nkloop.inventory.models import Lot
from nkloop.quantities import Amount, Kind
from nkloop.yamlfile import validate_yaml
from nkloop.yamlfile.problems import did_you_mean

_NOTHING_UL = 1e-6
"""A remaining volume below this is rounding, not liquid."""


class Cost(FrozenModel):
    """What a set of volumes costs."""

    eur: float
    """Sum over the lots that have a price."""
    without_price: tuple[str, ...] = ()
    """Lots that are not in the sum."""


class Inventory(FrozenModel):
    """The lots of a lab; taking from it makes a new inventory."""

    title: str = ""
    lots: tuple[Lot, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [lot.id for lot in self.lots]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"lot listed twice: {', '.join(twice)}. Remedy: give every container its own id")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a lot list: a YAML file with `lots`.

        Raises:
            InventoryError: with every problem of the file, each with line, column and remedy.
        """
        return validate_yaml(cls, path, InventoryError)

    @property
    def components(self) -> tuple[str, ...]:
        """Names of the components in the list, each once."""
        return tuple(dict.fromkeys(lot.component for lot in self.lots))

    def lot(self, lot_id: str) -> Lot:
        """Look a lot up.

        Raises:
            InventoryError: there is no such lot.
        """
        for lot in self.lots:
            if lot.id == lot_id:
                return lot
        known = [lot.id for lot in self.lots]
        raise InventoryError(
            f"no lot '{lot_id}' in the list", remedy=did_you_mean(lot_id, known) or "scan the barcode of a listed lot"
        )

    def choose(self, component: str, needed: Amount | float, use_until: date) -> Lot:
        """The lot to use for a volume (an amount, or µL): first expired first out, valid to the END of use.

        One lot gives all of the volume; lots are never mixed. The volume is what leaves the container, dead
        volume included.

        Raises:
            ShortageError: no lot can; tells every lot of the component and why it was passed over.
        """
        volume_ul = _microlitres(needed)
        candidates = sorted((lot for lot in self.lots if lot.component == component), key=lambda lot: lot.expires)
        reasons = {lot.id: _passed_over(lot, volume_ul, use_until) for lot in candidates}
        usable = [lot for lot in candidates if not reasons[lot.id]]
        if usable:
            return usable[0]
        raise self._shortage(component, volume_ul, use_until, candidates, reasons)

    def take(self, lot_id: str, volume_ul: float) -> Self:
        """The inventory after a volume (µL) was taken out of a lot; its price shrinks in proportion.

        Raises:
            InventoryError: there is no such lot, the volume is not positive, or the lot holds less.
        """
        lot, taken = self.lot(lot_id), _microlitres(volume_ul)
        left = lot.volume_ul - taken
        if left < -_NOTHING_UL:
            raise InventoryError(
                f"{_shown(taken)} cannot be taken, {_shown(lot.volume_ul)} are left",
                where=f"lot {lot_id}",
                remedy="count what is in the container and correct the list",
            )
        left = 0.0 if left < _NOTHING_UL else left
        price = None if lot.price_eur is None else lot.price_eur * left / lot.volume_ul
        after = lot.model_copy(update={"volume": Amount(left, "µL"), "price_eur": price})
        return self.model_copy(update={"lots": tuple(after if one.id == lot_id else one for one in self.lots)})

    def cost(self, taken: Mapping[str, float]) -> Cost:
        """What volumes (lot id to µL) cost at the prices of their lots.

        Raises:
            InventoryError: a lot is not in the list.
        """
        prices = {lot_id: self.lot(lot_id).cost_eur(volume) for lot_id, volume in taken.items()}
        return Cost(
            eur=math.fsum(price for price in prices.values() if price is not None),
            without_price=tuple(lot_id for lot_id, price in prices.items() if price is None),
        )

    def _shortage(
        self, component: str, volume_ul: float, use_until: date, candidates: list[Lot], reasons: Mapping[str, str]
    ) -> NkloopError:
        needed = f"{_shown(volume_ul)} of {component}, valid until {use_until}"
        if not candidates:
            return ShortageError(
                f"no lot of {component} in the list, {needed} needed",
                remedy=did_you_mean(component, self.components) or f"add a lot of {component} to the lot list",
            )
        fit = [lot for lot in candidates if not _passed_over(lot, 0.0, use_until)]
        together = math.fsum(lot.volume_ul for lot in fit)
        remedy = f"order {component} or plan less"
        if len(fit) > 1 and together >= volume_ul:
            remedy = f"the valid lots hold {_shown(together)} together, but are never mixed: plan smaller batches"
        problems = [Problem(f"no single lot holds {needed}", component, remedy)]
        problems += [Problem(f"passed over, {reasons[lot.id]}", f"lot {lot.id}") for lot in candidates]
        return ShortageError.from_problems(problems)


def _microlitres(volume: Amount | float) -> float:
    value = volume.to("µL") if isinstance(volume, Amount) else float(volume)
    if not (math.isfinite(value) and value > 0):
        raise InventoryError(f"a volume of {value:g} µL cannot be taken", remedy="ask for a volume above 0 µL")
    return value


def _passed_over(lot: Lot, volume_ul: float, use_until: date) -> str:
    """Why a lot cannot give the volume until that day; empty when it can."""
    if lot.expires < use_until:
        return f"it expires {lot.expires}, before the end of use {use_until}"
    if lot.is_frozen and lot.freeze_thaws >= lot.max_freeze_thaws:
        return f"it is frozen and has had {lot.freeze_thaws} of {lot.max_freeze_thaws} thaws"
    if lot.volume_ul <= 0:
        return "it is used up"
    if lot.volume_ul < volume_ul - _NOTHING_UL:
        return f"it holds {_shown(lot.volume_ul)}, {_shown(volume_ul)} are needed"
    return ""


def _shown(volume_ul: float) -> str:
    return Amount(volume_ul, Kind.VOLUME.value).display()
