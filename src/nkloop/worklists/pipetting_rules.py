"""Rules of pipetting: what a draw leaves, what a well takes, what a tip and a pipette take, and what a tip touched.

The ledger compares the numbers itself, because it does so for every channel of every step; here stands what is said.
"""

from __future__ import annotations

from nkloop.worklists import rules
from nkloop.worklists.breaches import Breaches
from nkloop.worklists.ledger_state import HeldTip, PipetteState, Place, WellState


class PipettingBreaches(Breaches):
    """Says what is wrong with a single draw or gift."""

    def _below_minimum(self, pipette: PipetteState, volume_ul: float) -> None:
        self.say(
            rules.BELOW_MINIMUM,
            f"{volume_ul:g} µL is below the reliable minimum of {pipette.name} ({pipette.minimum:g} µL)",
            "dilute first and transfer more",
        )

    def _above_capacity(self, pipette: PipetteState, volume_ul: float) -> None:
        bound = "tip" if pipette.capacity < pipette.maximum else "pipette"
        most = min(pipette.capacity, pipette.maximum)
        self.say(
            rules.ABOVE_CAPACITY,
            f"{volume_ul:g} µL is more than the {bound} takes ({most:g} µL)",
            "split the volume or take a larger tip",
            f"{self._where} {volume_ul:g}",
        )

    def _overdrawn(self, place: Place, name: str, source: WellState, volume_ul: float) -> int:
        """Index of the violation that this draw is or follows from, -1 when all is well."""
        left, dead = source.volume - volume_ul, place.type.dead_volume_ul
        if source.upset_by >= 0:
            return self._follows(source.upset_by)
        where = f"{place.item.nickname} {name}"
        told = (
            f"{where} is overdrawn: {volume_ul:g} µL of {source.volume:g} µL leaves {left:g} µL, "
            f"the dead volume is {dead:g} µL"
        )
        return self._say_once(rules.OVERDRAW, where, told, "fill more or draw less")

    def _overfilled(self, place: Place, name: str, target: WellState) -> None:
        working = place.type.working_volume_ul
        if target.upset_by >= 0:
            self._follows(target.upset_by)
            return
        where = f"{place.item.nickname} {name}"
        told = f"{where} is overfilled: {target.volume:g} µL, its working volume is {working:g} µL"
        target.upset_by = self._say_once(rules.OVERFILL, where, told, "give less or use a larger well")

    def _unclean(self, pipette: PipetteState, held: HeldTip, source: WellState, where: str) -> None:
        if not source.per_ul:
            return
        foreign = ", ".join(sorted(held.touched - source.per_ul.keys()))
        stock = f"stock {source.lot}" if source.lot is not None else "a well that is drawn from"
        is_stock = source.lot is not None and ":" not in source.lot
        self.say(
            rules.STOCK_TOUCHED if is_stock else rules.CARRY_OVER,
            f"tip {pipette.tip} has touched {foreign} and would contaminate {where} ({stock})",
            "take a new tip first",
        )
        held.touched &= source.per_ul.keys()

    def _other_lot(self, pipette: PipetteState, held: HeldTip, source: WellState, where: str) -> None:
        """A tip that has drawn of other lots enters a stock: of the same component, or it is told as carry-over."""
        if source.lot is None or ":" in source.lot or not held.touched <= source.per_ul.keys():
            return
        foreign = ", ".join(sorted(held.lots - source.lots))
        self.say(
            rules.STOCK_TOUCHED,
            f"tip {pipette.tip} has been in {foreign} and would bring it into {where} (stock {source.lot})",
            "take a new tip first",
            f"{pipette.tip} in {where}",
        )
