"""Brings wells up to the present: growth, killing, chemistry and evaporation at the temperature they stood at."""

from __future__ import annotations

from math import exp

from nkloop.virtual.biology import grow
from nkloop.virtual.chance import stream
from nkloop.virtual.components import CULTURE_KINDS, role_of
from nkloop.virtual.containers import Container, Contents, Well
from nkloop.virtual.donors import DonorTraits, donor_traits
from nkloop.virtual.killing import kill
from nkloop.virtual.signals import develop

EVAPORATION_PER_DAY = 0.003
"""Share of a well's volume lost per day in a humidified incubator."""
VIGOUR_SD = 0.012
"""Well-to-well spread of growth; about 0.05 log10 in fold after 35 days."""
_ALIVE = tuple(f"{kind}:" for kind in CULTURE_KINDS)


def metabolic_pace(temperature_c: float) -> float:
    """Speed of everything alive against 37 °C."""
    if temperature_c >= 36:
        return 1.0
    if temperature_c >= 30:
        return 0.7
    return 0.1 if temperature_c >= 15 else 0.0


def chemical_pace(temperature_c: float) -> float:
    """Speed of the LDH reaction against room temperature."""
    if temperature_c >= 30:
        return 1.5
    return 1.0 if temperature_c >= 15 else 0.2


class Life:
    """Advances wells lazily: a well is worked out when somebody touches or looks at it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._donors: dict[str, DonorTraits] = {}
        self.evaporated = Contents()
        """What left all wells as vapour."""

    def donor(self, name: str) -> DonorTraits:
        """Traits of a donor unit."""
        if name not in self._donors:
            self._donors[name] = donor_traits(self._seed, name)
        return self._donors[name]

    def bring(self, container: Container, name: str, now: float) -> Well:
        """Work a well out up to `now` (world seconds) and return it."""
        well = container.well(name, now)
        hours = (now - well.lived_until) / 3600
        if hours <= 0:
            return well
        well.lived_until = now
        if well.volume_ul <= 0 or not well.amounts:
            return well
        temperature = container.temperature_c
        pace = metabolic_pace(temperature)
        if pace > 0 and any(key.startswith(_ALIVE) for key in well.amounts):
            grow(well.amounts, well.volume_ul, hours * pace, self.donor, self._vigour(container, name, well))
        kill(well.amounts, well.volume_ul, hours, pace)
        develop(well.amounts, well.volume_ul, hours * chemical_pace(temperature))
        if container.place == "incubator":
            self._evaporate(well, hours)
        return well

    def bring_all(self, container: Container, now: float) -> None:
        """Work out every well of a container."""
        for name in list(container.wells):
            self.bring(container, name, now)

    def _vigour(self, container: Container, name: str, well: Well) -> float:
        if well.vigour is None:
            draw = stream(self._seed, "vigour", container.identity, name).standard_normal()
            well.vigour = float(1 + VIGOUR_SD * draw)
        return well.vigour

    def _evaporate(self, well: Well, hours: float) -> None:
        lost = well.volume_ul * (1 - exp(-EVAPORATION_PER_DAY * hours / 24))
        well.volume_ul -= lost
        self.evaporated.volume_ul += lost
        base = next((key for key in well.amounts if role_of(key) == "base"), None)
        if base is not None:
            water = min(lost, well.amounts[base])
            well.amounts[base] -= water
            self.evaporated.add(Contents(0.0, {base: water}))
