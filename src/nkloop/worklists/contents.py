"""The contents ledger: what is in every well, on every pipette and in every tip rack, step by step.

Volumes are µL; amounts of components are in the canonical unit of their kind (ng, IU, µL, cells). Violations are
collected with the number of the step that makes them, so that one pass tells everything that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from nkloop.errors import LabwareError
from nkloop.labware.models import LabwareType
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.handling_rules import COLD_C, WARM_C, arrival_breaches, may_not_arrive, source_breaches
from nkloop.worklists.ledger_deck import LedgerDeck, Reached
from nkloop.worklists.ledger_state import (
    CELLS,
    SLACK_UL,
    HeldTip,
    Place,
    WellState,
    draw,
    give,
    marks_of,
    mixture,
)
from nkloop.worklists.models import DeckItem, OperatorTask, Step, Worklist

_RESTS = re.compile(r"incubat|centrifug|in the dark", re.IGNORECASE)
_SPINS = re.compile(r"centrifug", re.IGNORECASE)


class LabwareLookup(Protocol):
    """Anything that gives a labware type for a load name: the catalogue, or a dict in tests."""

    def __getitem__(self, load_name: str, /) -> LabwareType:
        """Return the type; raises LabwareError or KeyError when it is unknown."""


@dataclass(frozen=True, slots=True)
class WellContents:
    """What one well holds."""

    volume_ul: float
    amounts: dict[str, float]
    """Component to amount in the canonical unit of its kind (ng, IU, µL, cells)."""
    lots: frozenset[str] = frozenset()
    """Lots and other identities of which something may be in the well."""

    @property
    def per_ul(self) -> dict[str, float]:
        """Concentration of every component; empty for an empty well."""
        if self.volume_ul <= 0:
            return {}
        return {name: amount / self.volume_ul for name, amount in self.amounts.items()}


class Ledger(LedgerDeck):
    """Contents of a deck; starts empty, is filled, and follows steps or single pipette commands."""

    def __init__(self, catalogue: LabwareLookup) -> None:
        """Build an empty ledger that looks labware types up in `catalogue`."""
        super().__init__()
        self._catalogue = catalogue
        self._n_steps = 0
        self._with_targets: frozenset[tuple[str, str]] = frozenset()
        self.taken: dict[str, float] = {}
        """µL drawn out of fillings per lot."""
        self.tips_used = 0

    @classmethod
    def of(cls, worklist: Worklist, catalogue: LabwareLookup, deck: BenchDeck | None = None) -> Ledger:
        """Build the ledger as the deck stands before the first step.

        `deck` gives the pipettes' ranges and says whether they are there; without it the names say the range.
        """
        ledger = cls(catalogue)
        ledger._with_targets = frozenset((target.labware, target.well) for target in worklist.targets)
        for item in worklist.deck:
            ledger.place(item)
        for mount, name in worklist.pipettes.items():
            ledger._mount_named(mount, name, deck)
        items = {item.nickname: item for item in worklist.deck}
        for filling in worklist.fillings:
            ledger._where = f"filling {filling.labware} {filling.well}"
            item_ = items.get(filling.labware)
            if item_ is None:
                told = f"'{filling.labware}' is not on the deck"
                ledger.say(rules.LABWARE_MISSING, told, "put it on the deck or correct the name", filling.labware)
                continue
            liquid = filling.liquid
            ledger.fill(item_, filling.well, filling.volume_ul, liquid.per_ul, lot=liquid.lot)
        return ledger

    # -- building -----------------------------------------------------------------------------------------------

    def place(self, item: DeckItem) -> None:
        """Put a labware on the deck; an unknown load name is a violation."""
        if item.nickname in self._places:
            self.say(
                rules.NAME_TWICE, f"nickname '{item.nickname}' is used twice", "give every labware its own nickname"
            )
            return
        try:
            kind = self._catalogue[item.load_name]
        except (LabwareError, KeyError):
            told = f"labware '{item.load_name}' is not in the catalogue"
            cause = self.say(rules.LABWARE_UNKNOWN, told, "use a labware of labware/catalogue.yaml", item.nickname)
            self.leads_to(cause, rules.LABWARE_MISSING, item.nickname)
            return
        self._places[item.nickname] = Place(item, kind)

    def fill(
        self, item: DeckItem, well: str, volume_ul: float, per_ul: Mapping[str, float], *, lot: str | None = None
    ) -> None:
        """Add liquid to a well of a labware (placed if it is not yet there), with its contents per µL."""
        if item.nickname not in self._places:
            self.place(item)
        found = self._well(item.nickname, well)
        if found is None:
            return
        place, target = found
        if place.type.kind == "tip_rack":
            self.say(rules.LABWARE_WRONG, f"'{item.nickname}' is a tip rack and cannot hold liquid", "correct it")
        target.marks |= marks_of(item.nickname, per_ul)
        target.is_cold = item.temperature_c is not None and item.temperature_c <= COLD_C
        target.is_uneven = False
        if target.marks & CELLS and item.temperature_c is not None and item.temperature_c < WARM_C:
            told = f"cells stand on {item.nickname}, which is held at {item.temperature_c:g} °C, below {WARM_C:g} °C"
            self.say(rules.CELLS_COLD, told, "put the cells in a rack without cooling", item.nickname)
        comes = {name: concentration for name, concentration in per_ul.items() if concentration}
        target.per_ul = mixture(target.per_ul, target.volume, comes, volume_ul) if target.volume > 0 else comes
        target.volume += volume_ul
        target.lot = lot
        if lot is not None:
            target.lots |= {lot}
        if target.volume > place.type.working_volume_ul + SLACK_UL:
            self._overfilled(place, well, target)

    # -- asking -------------------------------------------------------------------------------------------------

    def well(self, nickname: str, well: str) -> WellContents:
        """Contents of a well, empty when nothing was ever in it.

        Raises:
            LabwareError: the labware is not on the deck, or it has no such well.
        """
        place = self._places.get(nickname)
        if place is None or well not in place.type.well_names:
            raise LabwareError(f"there is no well {well} of '{nickname}' on the deck", remedy="correct the name")
        return _contents(place.wells.get(well) or WellState())

    def wells(self) -> Iterator[tuple[str, str, WellContents]]:
        """Every well that holds or held something: nickname, well, contents."""
        for nickname, place in self._places.items():
            for name, state in place.wells.items():
                yield nickname, name, _contents(state)

    def volumes(self) -> dict[tuple[str, str], float]:
        """µL in every well that holds or held something, by nickname and well."""
        places = self._places.items()
        return {(nickname, name): state.volume for nickname, place in places for name, state in place.wells.items()}

    def marked(self) -> Iterator[tuple[str, str, int, float]]:
        """Wells that hold cells, lysis buffer, substrate or stop solution: nickname, well, which of them, volume."""
        for nickname, place in self._places.items():
            for name, state in place.wells.items():
                if state.marks:
                    yield nickname, name, state.marks, state.volume

    def volume_ul(self, nickname: str, well: str) -> float:
        """What stands in a well, 0 when nothing ever did or there is no such well."""
        place = self._places.get(nickname)
        state = place.wells.get(well) if place is not None else None
        return state.volume if state is not None else 0.0

    def rested(self) -> frozenset[str]:
        """Labware that was incubated or centrifuged since cells or substrate last came."""
        return frozenset(name for name, place in self._places.items() if place.is_rested)

    def touched(self, mount: str) -> frozenset[str] | None:
        """Components that the tips on a mount have touched; None when none is held."""
        pipette = self._pipettes.get(mount)
        if pipette is None or not pipette.tip:
            return None
        return frozenset().union(*(held.touched for held in pipette.held))

    def available(self, nickname: str, well: str) -> float:
        """µL that can be drawn without going below the dead volume."""
        place = self._places[nickname]
        return max(0.0, self.well(nickname, well).volume_ul - place.type.dead_volume_ul)

    # -- moving -------------------------------------------------------------------------------------------------

    def apply(self, step: Step) -> None:
        """Follow one step, collecting what is wrong with it."""
        self._where = f"step {step.number}"
        self._n_steps += 1
        if step.action == "pause":
            self.drop_all()
            self._rest(step)
        if step.action not in {"transfer", "mix"} or not self._is_finite(step):
            return
        if step.tip:
            self.pick_up(step.channels, step.tip, step.mount)
        source = self._ready(step.channels, step.mount, step.labware, step.well)
        if step.action == "mix":
            self._stir(source, step.volume_ul)
            return
        if step.mix_before:
            self._stir(source, step.mix_volume_ul)
        self._check_range(step)
        self._check_source(step)
        self._draw(source, step.volume_ul)
        target = self._ready(step.channels, step.mount, step.to_labware, step.to_well)
        if target is None:
            self._leave_out(step.to_labware, step.to_well, step.channels)
            return
        self._give(target, step.volume_ul, touching=step.dispense_at != "rim")
        if step.mix_after:
            self._stir(target, step.mix_volume_ul)

    def pick_up(self, channels: int, tip: str, mount: str = "") -> None:
        """Drop the tips held by a pipette and pick up as many as channels, the uppermost at `<rack>:<well>`."""
        pipette = self._pipette(channels, mount)
        if pipette is None:
            return
        pipette.tip, pipette.held = "", []
        rack, _, well = tip.partition(":")
        place = self._places.get(rack)
        if place is None or place.type.kind != "tip_rack":
            rule = rules.NO_SUCH_TIP if place is None else rules.LABWARE_WRONG
            self.say(rule, f"tip {tip} is absent: no tip rack '{rack}' on the deck", "put the rack on the deck")
            return
        names = self._reach(place, well, channels)
        if names is None:
            return
        used = () if place.used_tips.isdisjoint(names) else [name for name in names if name in place.used_tips]
        if used:
            self.say(
                rules.TIP_USED_TWICE, f"tip {rack}:{used[0]} was used before", "take a tip that is still in the rack"
            )
        place.used_tips.update(names)
        self.tips_used += len(names) - len(used)
        pipette.tip, pipette.capacity = tip, place.type.working_volume_ul or place.type.well_volume_ul
        pipette.most = min(pipette.capacity, pipette.maximum) + SLACK_UL
        pipette.held = [HeldTip() for _ in names]

    def drop_all(self) -> None:
        """Drop the tips of every pipette."""
        for pipette in self._pipettes.values():
            pipette.tip, pipette.held = "", []

    def aspirate(self, channels: int, labware: str, well: str, volume_ul: float, mount: str = "") -> None:
        """Draw `volume_ul` with each channel; drawing below the dead volume or into a used tip is a violation."""
        self._draw(self._ready(channels, mount, labware, well), volume_ul)

    def _draw(self, reach: Reached | None, volume_ul: float) -> None:
        if reach is None:
            return
        pipette, place, names = reach
        if volume_ul > pipette.most:
            self._above_capacity(pipette, volume_ul)
        wells, enough, is_spun = place.wells, place.type.dead_volume_ul - SLACK_UL, place.is_spun
        for held, name in zip(pipette.held, names, strict=True):
            source = wells.get(name) or place.state(name)
            left = source.volume - volume_ul
            held.upset_by = source.upset_by if left >= enough else self._overdrawn(place, name, source, volume_ul)
            if held.touched and not held.touched <= source.per_ul.keys():
                self._unclean(pipette, held, source, f"{place.item.nickname} {name}")
            draw(source, held, volume_ul if left >= 0 else source.volume)
            held.is_spun = is_spun
            if source.lot is not None:
                self.taken[source.lot] = self.taken.get(source.lot, 0.0) + volume_ul
                if not held.lots <= source.lots:
                    self._other_lot(pipette, held, source, f"{place.item.nickname} {name}")

    def dispense(
        self, channels: int, labware: str, well: str, volume_ul: float, mount: str = "", *, touching: bool = True
    ) -> None:
        """Give `volume_ul` out of each channel's tip; above the working volume is a violation.

        `touching=False` drops it from the rim: nothing of the target gets on the tip.
        """
        target = self._ready(channels, mount, labware, well)
        if target is None:
            self._leave_out(labware, well, channels)
        else:
            self._give(target, volume_ul, touching=touching)

    def dispense_each(
        self, channels: int, labware: str, well: str, volumes_ul: Sequence[float], mount: str = ""
    ) -> None:
        """Give its own volume out of each channel's tip, as it has happened: nothing is checked."""
        if (target := self._ready(channels, mount, labware, well)) is not None:
            for held, name, volume in zip(target[0].held, target[2], volumes_ul, strict=True):
                give(held, target[1].state(name), min(volume, held.volume), touching=True)

    def _give(self, reach: Reached, volume_ul: float, *, touching: bool) -> None:
        pipette, place, names = reach
        if volume_ul > pipette.most:
            self._above_capacity(pipette, volume_ul)
        wells, most, arrived = place.wells, place.type.working_volume_ul + SLACK_UL, 0
        for held, name in zip(pipette.held, names, strict=True):
            target = wells.get(name) or place.state(name)
            if held.source is not target:  # what a mix gives back into its own well is no new arrival
                arrived |= held.marks
                if may_not_arrive(held, target):
                    for breach in arrival_breaches(place, name, held, target, self._with_targets):
                        self._say_once(*breach)
            give(held, target, volume_ul if volume_ul < held.volume else held.volume, touching=touching)
            if held.upset_by >= 0 > target.upset_by:
                target.upset_by = held.upset_by
            if target.volume > most:
                self._overfilled(place, name, target)
        place.note_arrival(arrived)

    def _leave_out(self, labware: str, well: str, channels: int) -> None:
        """Wells that get nothing because the step cannot be done: what is short there follows from it."""
        place = self._places.get(labware)
        names = place.reached.get((well, channels), ()) if place is not None else ()
        for name in names:
            if place is not None and (state := place.state(name)).upset_by < 0:
                state.upset_by = self.last_cause

    def mix(self, channels: int, labware: str, well: str, volume_ul: float, mount: str = "") -> None:
        """Draw and give back in the same well: contents stay, the volume must be there, the tip gets wet."""
        self._stir(self._ready(channels, mount, labware, well), volume_ul)

    def _stir(self, reach: Reached | None, volume_ul: float) -> None:
        if reach is None:
            return
        pipette, place, names = reach
        if volume_ul > pipette.most:
            self._above_capacity(pipette, volume_ul)
        total = volume_ul * (len(names) if len(set(names)) == 1 else 1)
        wells, enough = place.wells, place.type.dead_volume_ul - SLACK_UL + total
        for held, name in zip(pipette.held, names, strict=True):
            state = wells.get(name) or place.state(name)
            if state.volume < enough:
                self._overdrawn(place, name, state, total)
            if held.touched and not held.touched <= state.per_ul.keys():
                self._unclean(pipette, held, state, f"{place.item.nickname} {name}")
            held.touched.update(state.per_ul)
            state.is_uneven, state.mixed_at = False, self._n_steps

    # -- rules --------------------------------------------------------------------------------------------------

    def _is_finite(self, step: Step) -> bool:
        numbers = (step.volume_ul, step.mix_volume_ul, step.flow_factor)
        # a sum of numbers that are not negative is finite when each is
        if min(numbers) >= 0 and isfinite(sum(numbers)) and step.volume_ul > 0:
            return True
        told = ", ".join(f"{number:g}" for number in numbers)
        self.say(rules.NOT_FINITE, f"volume, mixing volume and flow are {told}", "write finite numbers above 0")
        return False

    def _rest(self, step: Step) -> None:
        """Cells settle on purpose in what is incubated or centrifuged, and liquids there even out."""
        task = step.operator
        if task is None or not task.instruction.strip():
            self.say(rules.PAUSE_UNNAMED, "the pause does not say what is to be done", "write an instruction")
            return
        if not self.is_rest(task):
            return
        for nickname in task.labware or tuple(self._places):
            if (place := self._places.get(nickname)) is not None:
                place.is_rested = True
                place.is_spun = task.kind == "centrifuge" or bool(_SPINS.search(task.instruction))
                for well in place.wells.values():
                    well.is_uneven = False

    @staticmethod
    def is_rest(task: OperatorTask) -> bool:
        """Whether what stands on a labware rests during this: it is incubated, centrifuged or kept in the dark."""
        if task.kind == "settle":  # closed vessels beside the robot
            return False
        return task.kind in {"incubate", "centrifuge"} or bool(_RESTS.search(task.instruction))

    def _check_source(self, step: Step) -> None:
        place = self._places.get(step.labware)
        if place is not None:
            for breach in source_breaches(step, place, self._n_steps):
                self._say_once(*breach)

    def _check_range(self, step: Step) -> None:
        pipette = self._pipette(step.channels, step.mount)
        if pipette is not None and step.volume_ul < pipette.minimum - SLACK_UL:
            self._below_minimum(pipette, step.volume_ul)


def _contents(state: WellState) -> WellContents:
    amounts = {name: per_ul * state.volume for name, per_ul in state.per_ul.items()}
    return WellContents(state.volume, amounts, state.lots)
