"""The worklist: exactly what a robot does, step by step, and what stands in which well before it starts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from nkloop.errors import Problem
from nkloop.frozen import FrozenModel, content_hash
from nkloop.worklists.rules import refuses

Procedure = Literal["medium_preparation", "cytokine_dosing", "cytotoxicity_assay"]
PLATE_READING: Literal["plate_reading"] = "plate_reading"
"""A run of a robot that reads a plate in the reader on its deck; no procedure of a worklist file."""
Action = Literal["transfer", "mix", "pause", "shake", "delay"]
ReaderAction = Literal["lid", "read"]
"""What a robot does with the reader on its deck: moves the lid, measures the blank or the plate."""
LEFT_TIP = "fresh: the run before has dropped its tips"
"""Why a step of a rest takes a tip of its own: one that no step before it has used."""
FULL_RACK = "fresh, of a full rack: the one of the run before has no such tip left"
"""The same where its rack has to be replaced first."""
READER_ACTIONS: frozenset[str] = frozenset(get_args(ReaderAction))
Robot = Literal["flex", "ot2", "star", "evo"]
Nickname = str
# fmt: off
OperatorTaskKind = Literal[
    "confirm", "incubate", "centrifuge", "store", "seed", "harvest", "weld", "move_to_reader",
    "move", "thaw", "warm", "equilibrate", "drain", "rinse", "weigh", "sample",
    "settle", "fill",
]
# fmt: on


SUSPENSION = "cell suspension of"
"""Beginning of the title of a vessel with the cells of a donor that is made in a run, for that run alone."""


PREPARED = "prepared:"
"""Beginning of the lot of a liquid that an earlier run has prepared: `prepared:BARCODE:WELL`."""


def channels_of(pipette: str) -> Literal[1, 8]:
    """Channels of a pipette, told by its Opentrons load name."""
    return 8 if "8channel" in pipette or "multi" in pipette else 1


class Liquid(FrozenModel):
    """A homogeneous liquid: how much of each component one µL holds, in canonical units (`Kind.value`).

    Keys are component names; liquids that are components themselves (base medium, serum, lysis buffer) hold
    1 µL per µL. Cells are keys like `effector:arm-2/U1`, counted in cells per µL.
    """

    name: str
    per_ul: dict[str, float]
    lot: str | None = None
    """Lot id when the liquid comes from the inventory; the barcode that is scanned at loading."""


class DeckItem(FrozenModel):
    """A labware on the deck."""

    nickname: Nickname = Field(pattern=r"^[a-z][a-z0-9_]*$")
    slot: str = Field(pattern=r"^([A-D][1-4]|[1-9]|1[01])$")
    """`A1` to `D4` on a Flex, `1` to `11` on an OT-2."""
    load_name: str
    namespace: str = "opentrons"
    version: int = 1
    label: str = ""
    """What a person reads on the run sheet and on the robot's screen."""
    module: str | None = None
    """Opentrons load name of the module under it (`temperatureModuleV2`, `heaterShakerModuleV1`)."""
    adapter: str | None = None
    temperature_c: float | None = Field(default=None, ge=4, le=95)
    """Set point the module holds during the run."""
    barcode: str | None = None
    """Identity of a labware that outlives the run (culture plate, assay plate); None for consumables."""


class Filling(FrozenModel):
    """What a well holds when the run starts."""

    labware: Nickname
    well: str
    volume_ul: float = Field(gt=0)
    liquid: Liquid


class VesselMove(FrozenModel):
    """A volume a person moves between closed vessels beside the robot."""

    from_vessel: str = ""
    """Name of the vessel it leaves, `<labware>:<well>` of a tube on the deck, or empty for base medium."""
    to_vessel: str = ""
    """Name of the vessel it enters; empty for waste and samples."""
    volume_ul: float = Field(gt=0)
    is_without_cells: bool = False
    """True for supernatant that is taken off settled cells; else the vessel is mixed."""


class Vessel(FrozenModel):
    """A closed vessel beside the robot: what it may hold, holds at the start, and shall hold at the end."""

    name: str
    title: str
    lowest_ul: float = Field(gt=0)
    """Least volume of a culture it is left with; less is allowed for one that is emptied, and during an exchange."""
    residual_ul: float = Field(default=0, ge=0)
    """What cannot be drained out of it."""
    capacity_ul: float = Field(gt=0)
    volume_ul: float = Field(ge=0)
    end_ul: float = Field(ge=0)
    cells_per_ul: float = Field(default=0, ge=0)
    end_cells_per_ul: float | None = None
    """Density it shall end with; None when it is not asked."""
    is_emptied: bool = False
    """True when the culture leaves it for good."""

    @property
    def is_of_this_run(self) -> bool:
        """Whether it is made in the run and used up in it, so that another run's of the same name is another one."""
        return self.title.startswith(SUSPENSION)


class OperatorTask(FrozenModel):
    """What a person (or an automated incubator) does while the robot is paused."""

    kind: OperatorTaskKind
    instruction: str
    labware: tuple[Nickname, ...] = ()
    wells: tuple[str, ...] = ()
    """Wells of that labware it is about; all of them when empty."""
    minutes: float = Field(default=0, ge=0)
    """How long the robot waits for it, the handling itself apart."""
    temperature_c: float | None = None
    force_g: float | None = Field(default=None, ge=0)
    moves: tuple[VesselMove, ...] = ()
    """What goes from where to where between closed vessels, in this order."""


class Step(FrozenModel):
    """One numbered step. A transfer aspirates once and dispenses once with each channel."""

    number: int = Field(ge=1)
    action: Action | ReaderAction
    labware: Nickname = ""
    well: str = ""
    to_labware: Nickname = ""
    to_well: str = ""
    volume_ul: float = Field(default=0, ge=0)
    """Volume of EACH channel."""
    channels: int = Field(default=1, ge=1, le=8)
    """Channels at work: 1, all 8, or 2 to 7 of an eight-channel pipette; `well` is the uppermost they stand in."""
    mount: Literal["", "left", "right"] = ""
    """Mount of the pipette, where several have as many channels; empty means the one that has them."""
    tip: str = ""
    """`<tip rack nickname>:<well>` picks up a new tip (the old one is dropped); empty keeps the tip in use."""
    tip_policy: str = ""
    """Why a new tip is taken here or the old one kept, in one phrase."""
    mix_before: int = Field(default=0, ge=0, le=20)
    mix_after: int = Field(default=0, ge=0, le=20)
    mix_volume_ul: float = Field(default=0, ge=0)
    flow_factor: float = Field(default=1.0, gt=0, le=2)
    """Share of the pipette's default flow rate; 0.3 for cells and viscous liquids."""
    dispense_at: Literal["level", "rim"] = "level"
    """`level` lets the tip touch the liquid of the target; `rim` drops the liquid from the rim of the well, so that
    nothing of the target gets on the tip and one tip may serve many targets. A rim dispense needs a later mix."""
    seconds: float = Field(default=0, ge=0)
    """Length of a shake or delay."""
    rpm: int = Field(default=0, ge=0, le=3000)
    comment: str = ""
    operator: OperatorTask | None = None
    """Set for pauses."""

    @property
    def moves(self) -> tuple[VesselMove, ...]:
        """What people move between closed vessels in it; empty for everything else."""
        return self.operator.moves if self.operator is not None else ()

    @model_validator(mode="after")
    def _has_what_its_action_needs(self) -> Self:
        if self.action == "transfer" and not (self.labware and self.well and self.to_labware and self.to_well):
            raise ValueError(f"step {self.number}: a transfer needs source and destination")
        if self.dispense_at == "rim" and (self.action != "transfer" or self.mix_after):
            raise ValueError(f"step {self.number}: only a transfer without mix_after is dispensed from the rim")
        if self.action in {"transfer", "mix"} and not self.volume_ul > 0:
            raise ValueError(f"step {self.number}: {self.action} of {self.volume_ul:g} µL, must be above 0")
        if self.action == "pause" and self.operator is None:
            raise ValueError(f"step {self.number}: a pause needs an operator task")
        return self


class Uncertainty(FrozenModel):
    """Predicted error of one concentration."""

    cv_percent: float
    """Standard deviation of the random error in percent of the concentration."""
    bias_percent: float
    """Bound of the systematic error in percent, either way."""


class PreparedErrors(FrozenModel):
    """How far off a liquid was predicted to be that was prepared before; whatever gets some of it is off together."""

    lots: tuple[str, ...]
    """Lots of the fillings that are of it."""
    errors: dict[str, Uncertainty]
    """By component; what is missing counts as exact."""
    origin: str = ""
    """Where the errors are known from, in words."""
    run: str = ""
    """Id of the recorded run that prepared it; empty when it is still to be made, or was made elsewhere."""


class Target(FrozenModel):
    """What a well shall hold at the end, per component in canonical concentration, and how far off is tolerated."""

    labware: Nickname
    well: str
    component: str
    per_ul: float = Field(ge=0)
    tolerance_percent: float = Field(default=5.0, gt=0)


class EndVolume(FrozenModel):
    """What a well of a vessel that outlives the run shall hold at the end."""

    labware: Nickname
    well: str
    volume_ul: float = Field(ge=0)


class LotFacts(FrozenModel):
    """What a check must know of a lot on the deck, as the inventory knew it when the worklist was planned."""

    id: str
    component: str
    expires: date
    on_hand_ul: float = Field(ge=0)
    """What all containers of the lot held."""
    keep_cold: bool = False
    """Stands on a cooled block during the run."""
    light_sensitive: bool = False
    storage: str = ""
    """Where it is taken from, as the lot list says it: `-80 °C`."""
    container_ul: float = Field(default=0, ge=0)
    """What its fullest container holds: frozen, all of it has to thaw, however little is taken; 0 where nobody says."""


MOST_HOURS = 720.0
"""Oldest count of a culture a plan is made from, a month; more is a slip of the unit."""
CELLS_OUT_MINUTES = 60.0
"""Longest time of cells outside the incubator when nobody says otherwise; a working value nobody has verified."""


THAWED_MINUTES = 60.0
"""Longest time from the freezer to the cells of a component that is added to cultures, when nobody says otherwise; a
working value nobody has verified."""


LIGHT_MINUTES = 30.0
"""Longest time a light-sensitive liquid stands open on the deck; a working value nobody has verified."""


MIX_AT_ROOM_MINUTES = 120.0
"""Longest time a mix of stocks that are kept cold stands at room temperature; a working value nobody has verified."""


class Limits(FrozenModel):
    """Bounds a run must keep that are not volumes."""

    cells_out_minutes: float = Field(default=CELLS_OUT_MINUTES, gt=0)
    """Longest time cells stay on the deck between incubations."""
    cells_in: tuple[Nickname, ...] = ()
    """Labware that holds cells, besides what the fillings tell by their names (`donor:`, `effector:`, `target:`)."""
    stagger_percent: float = Field(default=5.0, gt=0)
    """Largest share of the contact time between the first and the last well that gets targets."""
    mix_at_room_minutes: float = Field(default=MIX_AT_ROOM_MINUTES, gt=0)
    """Longest time a mix of stocks that are kept cold stands at room temperature before it is used or stored."""
    light_minutes: float = Field(default=LIGHT_MINUTES, gt=0)
    """Longest time a light-sensitive liquid stands open before it is used or put away in the dark."""
    thawed_minutes: float | None = Field(default=None, gt=0)
    """Longest time between the thaw of a lot and its arrival at cells; None asks for no bound."""
    settling_minutes: float | None = Field(default=None, gt=0)
    """Shortest rest of a closed vessel before medium is drained off its cells; None asks for no time."""
    cv_percent: float | None = Field(default=None, gt=0)
    """Largest predicted CV of a component with a target; None asks for no bound."""
    bias_percent: float | None = Field(default=None, gt=0)


class PlannedOn(FrozenModel):
    """Wells that a worklist gives into and that runs had changed when it was planned."""

    barcode: str
    """Of their labware."""
    run: str
    """The last of these runs: the plan counts on what it left."""
    wells: tuple[str, ...]


class Worklist(FrozenModel):
    """Everything one robot run does. `csv_text` is what the robot gets; the model is what is saved and hashed."""

    name: str
    procedure: Procedure | Literal["plate_reading"]
    pipettes: dict[Literal["left", "right"], str]
    """Opentrons load names; `channels_of` tells the channels by the name (`flex_1channel_1000`, `p300_multi_gen2`)."""
    deck: tuple[DeckItem, ...]
    fillings: tuple[Filling, ...]
    steps: tuple[Step, ...] = Field(min_length=1)
    targets: tuple[Target, ...] = ()
    ends: tuple[EndVolume, ...] = ()
    """End volumes as planned, of vessels with a barcode; empty when the worklist was read from a CSV."""
    lots: tuple[LotFacts, ...] = ()
    """Lots of the inventory on the deck; empty when the worklist was read from a CSV."""
    use_until: date | None = None
    """Last day what is made may be used; the lots must be valid to then."""
    limits: Limits = Limits()
    prepared: tuple[PreparedErrors, ...] = ()
    """Predicted errors of liquids that were prepared before; empty when the worklist was read from a CSV."""
    recipe_revision: str | None = None
    unverified: tuple[str, ...] = ()
    """Published values that nobody has verified: amounts of the recipe by their components, settings of an assay."""
    seed: int | None = None
    vessels: tuple[Vessel, ...] = ()
    """Closed vessels that people work at during the run."""
    planned_on: tuple[PlannedOn, ...] = ()
    """What it gives into besides new wells; empty when the worklist was read from a CSV."""
    trash_slot: str = Field(default="", pattern=r"^([A-D][1-4])?$")
    """Slot of the trash bin of a Flex; empty for its usual place (A3) and for an OT-2, whose trash is fixed."""

    @property
    def robot(self) -> Robot:
        """The robot it is made for.

        Told by the names of its pipettes on a Hamilton (`star_…`) and a Tecan (`evo_…`), else by its slots: letters on
        a Flex, numbers on an OT-2.
        """
        makers: tuple[Robot, ...] = ("star", "evo")
        for maker in makers:
            if any(name.startswith(f"{maker}_") for name in self.pipettes.values()):
                return maker
        return "ot2" if any(item.slot[0].isdigit() for item in self.deck) else "flex"

    @property
    def content_hash(self) -> str:
        """SHA-256 of all that is done and with what; when it was planned makes no other work of it."""
        return content_hash(self.model_dump(mode="json", exclude={"planned_on"}))

    def item(self, nickname: str) -> DeckItem:
        """Look a deck item up.

        Raises:
            KeyError: nothing on the deck has this nickname.
        """
        return {item.nickname: item for item in self.deck}[nickname]

    def mount_of(self, step: Step) -> Literal["left", "right"] | None:
        """Mount of the pipette that carries a step out, or None when no pipette of the worklist can."""
        if step.mount:
            return step.mount if step.mount in self.pipettes else None
        wanted = 1 if step.channels == 1 else 8
        return next((mount for mount, name in self.pipettes.items() if channels_of(name) == wanted), None)

    @property
    def n_transfers(self) -> int:
        """Number of well-to-well transfers, each channel counted."""
        return sum(step.channels for step in self.steps if step.action == "transfer")


class CheckResult(FrozenModel):
    """What one independent check says of a worklist."""

    check: Literal["ledger", "opentrons analysis", "device simulation", "pylabrobot tracking", "geometry", "schema"]
    passed: bool
    seconds: float = Field(ge=0)
    problems: tuple[dict[str, str], ...] = ()
    """What refuses the worklist, each with `message`, `where`, `remedy` and the id of its `rule`."""
    warnings: tuple[dict[str, str], ...] = ()
    """The same for rules that only warn."""

    @classmethod
    def of(cls, check: str, seconds: float, problems: tuple[Problem, ...]) -> CheckResult:
        """Build from problems; passed when none of them breaks a rule that refuses."""
        refusing = tuple(asdict(p) for p in problems if refuses(p.rule))
        warning = tuple(asdict(p) for p in problems if not refuses(p.rule))
        fields = {"check": check, "passed": not refusing, "seconds": seconds}
        return cls.model_validate({**fields, "problems": refusing, "warnings": warning})


class Verdict(FrozenModel):
    """The independent checks of one worklist together."""

    worklist: str
    worklist_hash: str
    checks: tuple[CheckResult, ...]
    protocol: str = ""
    """Protocol file it was verified with, below `protocols/`."""
    protocol_sha256: str = ""
    """Hash of that file's content."""

    @property
    def passed(self) -> bool:
        """True when at least one check ran and all passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)
