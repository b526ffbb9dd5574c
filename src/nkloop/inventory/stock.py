"""The lot list of a lab: which lot and containers to use, and what volumes cost."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Self

from pydantic import model_validator

from nkloop.errors import InventoryError, NkloopError, Problem, ShortageError
from nkloop.frozen import FrozenModel
from nkloop.inventory.containers import Container
from nkloop.inventory.models import Lot
from nkloop.inventory.picking import (
    NOTHING_UL,
    Held,
    Pick,
    container_fault,
    free_ul,
    held_per_container,
    kind_fault,
    lot_valid_until,
    passed_over,
    portions,
    shown,
)
from nkloop.quantities import Amount, Kind
from nkloop.yamlfile import validate_yaml
from nkloop.yamlfile.problems import did_you_mean


class Cost(FrozenModel):
    """What a set of volumes costs."""

    eur: float
    """Sum over the lots that have a price."""
    without_price: tuple[str, ...] = ()
    """Lots that are not in the sum."""


class Inventory(FrozenModel):
    """The lots of a lab, as they stand."""

    title: str = ""
    lots: tuple[Lot, ...]
    """Every lot of the list, those that cannot be used too."""
    held: tuple[Held, ...] = ()
    """What plans have reserved; a lot list file has none."""

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [lot.id for lot in self.lots]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"lot listed twice: {', '.join(twice)}. Remedy: list it once, with all its containers")
        return self

    @model_validator(mode="after")
    def _barcodes_are_unique(self) -> Self:
        places: dict[str, str] = {}
        for lot in self.lots:
            for one in lot.vessels:
                if one.barcode in places:
                    raise ValueError(
                        f"container {one.barcode} of lot {lot.id} is listed twice, first in lot {places[one.barcode]}. "
                        f"Remedy: give every container its own barcode"
                    )
                places[one.barcode] = lot.id
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

    def container(self, barcode: str) -> tuple[Lot, Container]:
        """Look a container and its lot up by the container's barcode.

        Raises:
            InventoryError: there is no such container.
        """
        found = [(lot, one) for lot in self.lots for one in lot.vessels if one.barcode == barcode]
        if found:
            return found[0]
        lots = {lot.id: lot for lot in self.lots}
        if barcode in lots:
            listed = ", ".join(one.barcode for one in lots[barcode].vessels[:4])
            raise InventoryError(
                f"'{barcode}' is a lot, not a container", remedy=f"scan one of its containers: {listed}"
            )
        known = [one.barcode for lot in self.lots for one in lot.vessels]
        raise InventoryError(
            f"no container '{barcode}' in the stock",
            remedy=did_you_mean(barcode, known) or "scan the barcode of a container that `nkloop lots show LOT` shows",
        )

    def choose(self, component: str, needed: Amount | float, use_until: date, kinds: Collection[Kind] = ()) -> Lot:
        """The lot to use for a volume (an amount, or µL): first expired first out, valid to the END of use.

        Args:
            kinds: what the concentration of the lot has to be told in; any when empty.

        Raises:
            ShortageError: no lot can; tells every lot of the component and why it was passed over.
        """
        return self._chosen(component, _microlitres(needed), use_until, kinds)

    def pick(self, component: str, needed: Amount | float, use_until: date, kinds: Collection[Kind] = ()) -> Pick:
        """The lot to use and its containers, those first that end first: expired, or opened for too long.

        One lot gives all of the volume; lots are never mixed, but several containers of one lot may be pooled. The
        volume is what leaves the containers; their own dead volumes come on top.

        Args:
            kinds: what the concentration of the lot has to be told in; any when empty.

        Raises:
            ShortageError: no lot can; tells every lot of the component and why it was passed over.
        """
        volume_ul = _microlitres(needed)
        return self._of(self._chosen(component, volume_ul, use_until, kinds), volume_ul, use_until)

    def pick_from(self, lot_id: str, needed: Amount | float, use_until: date) -> Pick:
        """The containers of one lot that give a volume.

        Raises:
            InventoryError: there is no such lot.
            ShortageError: it cannot give that much until then, and why.
        """
        lot, volume_ul = self.lot(lot_id), _microlitres(needed)
        reason = passed_over(lot, volume_ul, use_until, self.held)
        if reason:
            problem = Problem(f"{shown(volume_ul)} of {lot.component} cannot be taken, {reason}", f"lot {lot_id}")
            raise ShortageError.from_problems([replace(problem, remedy="plan again, or add to the lot")])
        return self._of(lot, volume_ul, use_until)

    def _chosen(self, component: str, volume_ul: float, use_until: date, kinds: Collection[Kind]) -> Lot:
        candidates = [lot for lot in self.lots if lot.component == component]
        if len(candidates) > 1:  # a key looks at every container of its lot
            candidates.sort(key=lambda lot: (lot_valid_until(lot, use_until), lot.expires))
        reasons: dict[str, str] = {}
        for lot in candidates:
            reasons[lot.id] = passed_over(lot, volume_ul, use_until, self.held, kinds)
            if not reasons[lot.id]:
                return lot
        raise self._shortage(component, volume_ul, use_until, candidates, reasons, kinds)

    def _of(self, lot: Lot, volume_ul: float, use_until: date) -> Pick:
        return Pick(lot=lot, portions=portions(lot, volume_ul, use_until, held_per_container(self.held)))

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
        self,
        component: str,
        volume_ul: float,
        use_until: date,
        candidates: list[Lot],
        reasons: Mapping[str, str],
        kinds: Collection[Kind],
    ) -> NkloopError:
        needed = f"{shown(volume_ul)} of {component}, valid until {use_until}"
        if not candidates:
            return ShortageError(
                f"no lot of {component} in the list, {needed} needed",
                remedy=self._adding(component),
            )
        free = [0.0 if kind_fault(lot, kinds) else self._free(lot, use_until) for lot in candidates]
        remedy = f"order {component} or plan less"
        missing = volume_ul - max(free)
        if sum(1 for one in free if one > 0) > 1 and math.fsum(free) >= volume_ul:
            remedy = f"the valid lots hold {shown(math.fsum(free))} together, but are never mixed: plan smaller batches"
        short = f"; {shown(missing)} are missing" if missing > NOTHING_UL else ""
        problems = [Problem(f"no single lot holds {needed}{short}", component, remedy)]
        problems += [Problem(f"passed over, {reasons[lot.id]}", f"lot {lot.id}") for lot in candidates]
        return ShortageError.from_problems(problems)

    def _adding(self, component: str) -> str:
        """What to do about a component without a lot; a name with another number is another cytokine, no slip."""
        number = re.findall(r"\d+", component)
        alike = [one for one in self.components if re.findall(r"\d+", one) == number]
        add = f"add a lot of {component} to the lot list; a counted stock takes it in with `nkloop lots import FILE`"
        near = did_you_mean(component, alike)
        return f"{near} Otherwise {add}" if near else add

    def _free(self, lot: Lot, use_until: date) -> float:
        if lot.state != "released" or lot.expires < use_until:
            return 0.0
        held = held_per_container(self.held)
        return math.fsum(free_ul(one, held) for one in lot.vessels if not container_fault(lot, one, use_until))


def _microlitres(volume: Amount | float) -> float:
    value = volume.to("µL") if isinstance(volume, Amount) else float(volume)
    if not (math.isfinite(value) and value > 0):
        raise InventoryError(f"a volume of {value:g} µL cannot be taken", remedy="ask for a volume above 0 µL")
    return value
