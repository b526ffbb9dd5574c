"""What stands on the deck of a ledger and is mounted on its robot, and where each channel of a pipette stands.

What is asked for and is not there is a violation, said at the place where it was asked for.
"""

from __future__ import annotations

from nkloop.errors import LabwareError
from nkloop.worklists import rules
from nkloop.worklists.bench_deck import BenchDeck
from nkloop.worklists.ledger_state import PipetteState, Place, WellState
from nkloop.worklists.models import channels_of
from nkloop.worklists.pipetting_rules import PipettingBreaches

Reached = tuple[PipetteState, Place, tuple[str, ...]]
"""A pipette, the labware it works in, and the well of each of its channels."""


class LedgerDeck(PipettingBreaches):
    """Labware and pipettes of a ledger."""

    def __init__(self) -> None:
        """Start with an empty deck and a robot without pipettes."""
        super().__init__()
        self._places: dict[str, Place] = {}
        self._pipettes: dict[str, PipetteState] = {}
        self._first_with: dict[int, PipetteState] = {}
        """Number of channels to the first pipette that has so many."""

    def mount(self, mount: str, channels: int, name: str, minimum_ul: float, maximum_ul: float) -> None:
        """Put a pipette on a mount of the robot."""
        self._pipettes[mount] = PipetteState(name, channels, minimum_ul, maximum_ul)
        self._first_with = {one.channels: one for one in reversed(self._pipettes.values())}

    def _mount_named(self, mount: str, name: str, deck: BenchDeck | None) -> None:
        self._where = f"pipette {mount}"
        if deck is None:
            self.mount(mount, channels_of(name), name, *_range_of(name))
            return
        spec = next((p for p in deck.pipettes if p.mount == mount and p.load_name == name), None)
        if spec is None:
            there = ", ".join(f"{p.load_name} ({p.mount})" for p in deck.pipettes)
            told = f"{name} is not on the {mount} mount of the bench"
            cause = self.say(rules.PIPETTE_MISSING, told, f"plan with the bench's pipettes: {there}", name)
            self.leads_to(cause, rules.PIPETTE_MISSING, "8" if "8channel" in name else "1")
            return
        self.mount(mount, spec.channels, name, spec.min_volume_ul, spec.max_volume_ul)

    def _pipette(self, channels: int, mount: str) -> PipetteState | None:
        """The pipette on a mount; without a mount the first that has the channels."""
        pipette = self._pipettes.get(mount) if mount else self._first_with.get(1 if channels == 1 else 8)
        if pipette is None or channels > pipette.channels:
            where = f" on the {mount} mount" if mount else ""
            self.say(
                rules.PIPETTE_MISSING,
                f"no pipette with {channels} channels is on the robot{where}",
                "use a pipette of the worklist",
                f"{channels}",
            )
            return None
        return pipette

    def _well(self, nickname: str, well: str) -> tuple[Place, WellState] | None:
        place = self._places.get(nickname)
        if place is None:
            told = f"labware '{nickname}' is not on the deck"
            self.say(rules.LABWARE_MISSING, told, "put it on the deck or correct the name", nickname)
            return None
        if self._reach(place, well, 1) is None:
            return None
        return place, place.state(well)

    def _reach(self, place: Place, well: str, channels: int) -> tuple[str, ...] | None:
        key = (well, channels)
        if key not in place.reached:
            try:
                place.reached[key] = place.type.reached(well, channels)
            except LabwareError as error:
                self.say(rules.NO_SUCH_WELL, error.problems[0].message, error.problems[0].remedy)
                return None
        return place.reached[key]

    def _ready(self, channels: int, mount: str, labware: str, well: str) -> Reached | None:
        """The pipette with its tips and the wells they stand in; what is missing for it is a violation."""
        pipette = self._pipette(channels, mount)
        place = self._places.get(labware)
        if place is None:
            told = f"labware '{labware}' is not on the deck"
            self.say(rules.LABWARE_MISSING, told, "put it on the deck or correct the name", labware)
        elif place.type.kind == "tip_rack":
            self.say(rules.LABWARE_WRONG, f"'{labware}' is a tip rack and cannot hold liquid", "correct it", labware)
            place = None
        if pipette is None or place is None:
            return None
        names = self._reach(place, well, channels)
        if names is None:
            return None
        if not pipette.tip:
            self.say(rules.NO_TIP, f"{pipette.name} has no tip attached", "pick up a tip first", pipette.name)
            return None
        if len(pipette.held) != channels:
            told = f"{pipette.name} holds {len(pipette.held)} tips, the step works with {channels} channels"
            self.say(rules.NO_TIP, told, "pick up as many tips as channels", pipette.name)
            return None
        return pipette, place, names


def _range_of(pipette: str) -> tuple[float, float]:
    """Smallest and largest volume of a pipette, by its load name, for worklists checked without a bench."""
    if pipette.startswith("p"):
        return _OT2_RANGES.get(pipette.partition("_")[0], (1.0, 1000.0))
    return (1.0, 50.0) if pipette.endswith("_50") else (5.0, 1000.0)


_OT2_RANGES = {"p20": (1.0, 20.0), "p300": (20.0, 300.0), "p1000": (100.0, 1000.0)}
