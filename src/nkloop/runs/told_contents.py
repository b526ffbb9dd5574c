"""What people say the wells of a plate hold, held against what the records say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from nkloop.errors import PlanError, Problem, RecordError, first_of
from nkloop.quantities.display import number, volume_told
from nkloop.records import Records
from nkloop.runs.contents import known_contents
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.contents import LabwareLookup, WellContents
from nkloop.worklists.present_table import Present

LOST_SHARE, LOST_UL = 0.15, 50.0
"""Share of a volume, and µL of it, that evaporation and samples explain; the larger of the two counts."""
GAINED_SHARE = 0.02
"""Share by which a volume may be read too large; liquid does not come from nowhere."""
LEAST_SHARE = 0.5
"""Share of the recorded volume below which it is rather another plate or table than a loss."""
STRONGER_SHARE = 0.2
"""Share by which a concentration may have risen: water evaporates, and assays are off."""
AS_TOLD = "--present-as-told"
_SHOWN = 4
"""Most wells, and most concentrations, that one sentence names."""


@dataclass(frozen=True)
class Difference:
    """One quantity of one well that the table and the records tell differently."""

    well: str
    told: float
    """In the canonical unit of its kind, as the table has it."""
    recorded: float
    component: str = ""
    """Empty for the volume."""

    @property
    def by_percent(self) -> float:
        """How much more the table has than the records, in percent of these; infinite where these have none."""
        return 100 * (self.told / self.recorded - 1) if self.recorded else inf

    @property
    def is_impossible(self) -> bool:
        """Whether it is a volume that nothing people do not tell explains."""
        return not self.component and (self.told > self.recorded or self.told < LEAST_SHARE * self.recorded)

    @property
    def sentence(self) -> str:
        """`900 µL in A1 where the records have 1.5 mL (40 % less)`."""
        if self.component and not self.recorded:
            return f"{self.component} in {self.well} where the records have none"
        percent = f"{number(abs(self.by_percent))} % {'more' if self.by_percent > 0 else 'less'}"
        if self.component:
            return f"{percent} {self.component} in {self.well} than the records have"
        told, recorded = volume_told(self.told), volume_told(self.recorded)
        return f"{told} in {self.well} where the records have {recorded} ({percent})"


def differences(told: Mapping[str, Present], recorded: Mapping[str, WellContents]) -> tuple[Difference, ...]:
    """Where a table of contents differs from the records by more than evaporation and samples explain.

    Wells that are empty by the records, or that they do not know, are not compared.

    Returns:
        Volumes first, then concentrations, each with the largest difference first.
    """
    found: list[Difference] = []
    for well, present in told.items():
        held = recorded.get(well)
        if held is None or held.volume_ul <= 0:
            continue
        if _is_other_volume(present.volume_ul, held.volume_ul):
            found.append(Difference(well, present.volume_ul, held.volume_ul))
        found += [
            Difference(well, value, known, name)
            for name, value in present.per_ul.items()
            if value > (1 + STRONGER_SHARE) * (known := held.per_ul.get(name, 0.0))
        ]
    return tuple(sorted(found, key=lambda one: (bool(one.component), -abs(one.by_percent))))


def _is_other_volume(told: float, recorded: float) -> bool:
    explained = max(LOST_SHARE * recorded, LOST_UL)
    is_less = told < recorded - explained or told < LEAST_SHARE * recorded
    return is_less or told > (1 + GAINED_SHARE) * recorded


def differences_on(
    told: Mapping[str, Present], barcode: str, bench: str, records: Records, catalogue: LabwareLookup, deck: BenchDeck
) -> tuple[Difference, ...]:
    """The same for a plate with a barcode; nothing where nobody knows what it holds, or another bench had it last."""
    runs = records.journal.with_labware((barcode,))
    if not runs or runs[-1].bench != bench:
        return ()
    try:
        known = known_contents(records, catalogue, deck, barcode)
    except RecordError:
        return ()
    return differences(told, known.wells)


def difference_warning(barcode: str, found: tuple[Difference, ...]) -> str:
    """One sentence about a plate with its largest differences; there must be one."""
    volumes = [one.sentence for one in found if not one.component]
    strengths = [one.sentence for one in found if one.component]
    said = "; ".join(first_of(some, _SHOWN) for some in (volumes, strengths) if some)
    return f"--present differs from the records of plate {barcode}: {said}. See that plate, table and barcode are right"


def require_possible(barcode: str, found: tuple[Difference, ...]) -> None:
    """Refuse volumes that neither evaporation nor a sample explains.

    Raises:
        PlanError: a volume is above the recorded one, or below half of it.
    """
    if not (wrong := [one for one in found if one.is_impossible]):
        return
    bounds = f"at most {GAINED_SHARE:.0%} more and at least {LEAST_SHARE:.0%} of it can be".replace("%", " %")
    told = first_of([one.sentence for one in wrong], _SHOWN)
    remedy = (
        f"see that the table is of plate {barcode} and its volumes are in the right unit; where the wells do "
        f'hold that, say why: {AS_TOLD} "fed by hand on Monday"'
    )
    raise PlanError.from_problems((Problem(f"{told}; {bounds}", f"--present, plate {barcode}", remedy),))
