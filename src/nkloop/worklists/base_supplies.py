"""Base medium on the deck: one tube or as many troughs as the run takes, drawn from one after the other."""

from __future__ import annotations

from math import ceil, floor

from nkloop.worklists.builder import Spot, Supply, WorklistBuilder
from nkloop.worklists.medium_vessels import TROUGH, TUBES_50, usable_ul
from nkloop.worklists.models import Liquid

BULK_UL = 8_000.0
"""From here on eight channels pour from a trough into a trough."""


class BaseSupplies:
    """Places the base medium and pours from it."""

    def __init__(self, builder: WorklistBuilder, liquid: Liquid, needed_ul: float) -> None:
        """Place what the run needs.

        Raises:
            DeckFullError: no slot is left.
        """
        self.builder = builder
        self.kind = TUBES_50 if needed_ul <= usable_ul(builder.type_of(TUBES_50)) else TROUGH
        number = max(1, ceil(needed_ul / usable_ul(builder.type_of(self.kind)) - 1e-9))
        self.supplies: list[Supply] = []
        for index in range(number):
            nickname = "base" if index == 0 else f"base_{index + 1}"
            builder.place(nickname, self.kind, f"Base medium {liquid.name}")
            self.supplies.append(builder.supply(nickname, ("A1",), liquid))

    def left(self, supply: Supply) -> float:
        """What a supply can still give."""
        return supply.capacity_ul - sum(supply.drawn.values())

    @property
    def last(self) -> Supply:
        """The supply that diluents come from; it is poured from last."""
        return self.supplies[-1]

    def pour(self, spot: Spot, volume_ul: float) -> None:
        """Base into an empty vessel, so that one tip or column serves all of it."""
        rest = volume_ul
        for supply in self.supplies:
            channels = self._channels(spot, rest)
            step = 0.01 * channels
            part = min(rest, floor((self.left(supply) + 1e-6) / step) * step)
            least = self.builder.minimum_ul()
            if 0 < rest - part < 8 * least:
                part -= 8 * least  # no remainder too small to pipette
            if part >= least:
                self._transfer(supply, spot, part)
                rest = round(rest - part, 2)
            if rest <= 0:
                return

    def _channels(self, spot: Spot, volume_ul: float) -> int:
        trough = self.kind == TROUGH and self.builder.kind(spot[0]).kind == "trough"
        return 8 if trough and volume_ul >= BULK_UL and self.builder.deck.pipette(8) is not None else 1

    def _transfer(self, supply: Supply, spot: Spot, volume_ul: float) -> None:
        channels = self._channels(spot, volume_ul)
        # the largest tips even for a remainder, so that it needs no rack of its own
        tip = self.builder.pipette(channels).max_volume_ul
        self.builder.transfer(
            supply,
            spot,
            volume_ul / channels,
            channels=channels,
            tip_ul=tip,
            at_rim=self.builder.ledger.volume_ul(*spot) > 0,  # the rest of a base that two troughs give
            comment="base medium",
        )
