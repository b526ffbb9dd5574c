"""The options of `nkloop plan dosing`: how each is typed, and all of them as they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nkloop.recipes.models import Stage
    from nkloop.worklists.constants import Constants
    from nkloop.worklists.plans import Aim
    from nkloop.worklists.positions import OuterWells

RecipeOption = Annotated[str, typer.Option("--recipe", help="File name in recipes/ without .yaml.")]
StageOption = Annotated[str, typer.Option("--stage", help="Stage of the recipe, for example expansion_i.")]
VesselOption = Annotated[
    str,
    typer.Option(
        "--vessel",
        help="plate-6 to plate-96, the load name of a plate, bag, bioreactor, or a vessel of labware/bags.yaml.",
    ),
]
DonorsOption = Annotated[str, typer.Option("--donors", help="Cord units, separated by commas: U1,U2.")]
ArmsOption = Annotated[Path | None, typer.Option("--arms", help="Arm table, CSV or XLSX.")]
FactorialOption = Annotated[
    str | None, typer.Option("--factorial", help="Levels of a factorial: SCF=x0.5,x2;IL-7=x0.5,x2.")
]
GeneratorOption = Annotated[
    list[str] | None,
    typer.Option("--generator", help="Makes a fraction of it: IL-7=SCF*TPO; may be given several times."),
]
CampaignOption = Annotated[
    str | None, typer.Option("--campaign", help="Campaign in the records; its last round gives the arms.")
]
DayOption = Annotated[float | None, typer.Option("--day", help="Day of the culture; the stage's first by default.")]
ActionOption = Annotated[
    str | None,
    typer.Option("--action", help="seed, exchange, top-up, dilute, split or transfer; else by what is there."),
]
StepOption = Annotated[
    str | None,
    typer.Option("--step", help="Process step that adds something, such as vector, instead of a dose."),
]
VolumeOption = Annotated[str | None, typer.Option("--volume", help='Volume of a vessel afterwards: "1.5 mL".')]
PresentOption = Annotated[Path | None, typer.Option("--present", help="Table of what the vessels hold.")]
PresentAsToldOption = Annotated[
    str | None,
    typer.Option(
        "--present-as-told",
        help="Why the wells hold what --present says, though by the records that cannot be; for example fed by hand.",
    ),
]
ConstantOption = Annotated[
    str,
    typer.Option(
        "--constant",
        help="What all arms have alike: base (the base medium brings it), dose, or auto (base where every vessel stays "
        "on target).",
    ),
]
AimOption = Annotated[
    str,
    typer.Option(
        "--aim",
        help="What is on target: vessel (what is in it and the cell suspension counted), or medium (the fresh medium "
        "of a plate).",
    ),
]
FromStageOption = Annotated[
    str | None,
    typer.Option("--from-stage", help="Stage whose medium the vessels hold; on a stage's first day the one before."),
]
SuspendedOption = Annotated[
    str | None,
    typer.Option(
        "--suspended-in",
        help="What the cells of new vessels come in: base (the prepared base medium; bags), none (the base liquid "
        "alone; plates), or a stage.",
    ),
]
HoursOption = Annotated[float, typer.Option("--hours", min=0, help="Hours since what is present was measured.")]
ReplicatesOption = Annotated[int, typer.Option("--replicates", min=1, help="Wells of each arm and donor.")]
OuterOption = Annotated[str, typer.Option("--outer", help="Wells at the edge: use, medium or avoid.")]
CellsOutOption = Annotated[
    float | None,
    typer.Option("--cells-out", min=1, help="Longest time of cells outside the incubator, in minutes; else 60."),
]
ThawedOption = Annotated[
    float | None,
    typer.Option(
        "--thawed", min=1, help="Longest time of a vector from the freezer to the last culture, in minutes; else 60."
    ),
]
PlateOption = Annotated[str, typer.Option("--plate", help="Barcode of the culture plate.")]
DoseOption = Annotated[str, typer.Option("--dose", help="Volume a dose tube brings into a bag.")]
FromVesselOption = Annotated[
    str, typer.Option("--from-vessel", help="What a transfer takes cultures out of: bag, or a vessel by name.")
]
TubeOption = Annotated[str, typer.Option("--tube", help="Dose tube of labware/bags.yaml.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the positions; the same gives the same.")]
BatchOption = Annotated[
    str, typer.Option("--batch", help="Batch of cells it is for: bags of one name in two batches are told apart by it.")
]
PositionMapOption = Annotated[Path | None, typer.Option("--map", help="Write which well holds what to this CSV.")]


@dataclass(frozen=True)
class Asked:
    """The options as they were typed."""

    recipe: str
    stage: str
    vessel: str
    donors: tuple[str, ...]
    arms: Path | None
    factorial: str | None
    generators: tuple[str, ...]
    campaign: str | None
    day: float | None
    action: str | None
    step: str | None
    volume: str | None
    present: Path | None
    present_as_told: str | None
    hours: float
    replicates: int
    outer: str
    cells_out: float | None
    thawed: float | None
    plate: str
    dose: str
    from_vessel: str
    from_stage: str | None
    constant: str
    aim: str
    suspended_in: str | None
    tube: str
    seed: int
    max_cv: float | None
    max_bias: float | None
    lots: Path | None
    bench: str

    @property
    def outer_wells(self) -> OuterWells:
        """What is done with the wells at the edge.

        Raises:
            PlanError: there is no such policy.
        """
        from typing import cast, get_args

        from nkloop.errors import PlanError
        from nkloop.worklists.positions import OuterWells

        if self.outer not in get_args(OuterWells):
            raise PlanError(
                f"'{self.outer}' is no policy for outer wells", where="outer", remedy="use use, medium or avoid"
            )
        return cast("OuterWells", self.outer)

    @property
    def constants(self) -> Constants:
        """Where components that all arms have alike come from.

        Raises:
            PlanError: there is no such way.
        """
        from typing import cast, get_args

        from nkloop.errors import PlanError
        from nkloop.worklists.constants import Constants

        if self.constant not in get_args(Constants):
            raise PlanError(f"'{self.constant}' is no way", where="constant", remedy="use auto, base or dose")
        return cast("Constants", self.constant)

    @property
    def aimed_at(self) -> Aim:
        """What shall be on target.

        Raises:
            PlanError: there is no such aim.
        """
        from typing import cast, get_args

        from nkloop.errors import PlanError
        from nkloop.worklists.plans import Aim

        if self.aim not in get_args(Aim):
            raise PlanError(f"'{self.aim}' is no aim", where="aim", remedy="use vessel or medium")
        return cast("Aim", self.aim)

    @property
    def volume_ul(self) -> float | None:
        """Volume of a vessel afterwards; None when none is asked for.

        Raises:
            PlanError: it is not a volume above 0.
        """
        return None if self.volume is None else _microlitres(self.volume)

    @property
    def dose_ul(self) -> float:
        """Volume a dose tube brings.

        Raises:
            PlanError: it is not a volume above 0.
        """
        return _microlitres(self.dose)

    @property
    def cells_out_minutes(self) -> float:
        """Longest time of cells outside the incubator."""
        from nkloop.worklists.models import CELLS_OUT_MINUTES

        return CELLS_OUT_MINUTES if self.cells_out is None else self.cells_out

    @property
    def thawed_minutes(self) -> float:
        """Longest time from the freezer to the last culture."""
        from nkloop.worklists.models import THAWED_MINUTES

        return THAWED_MINUTES if self.thawed is None else self.thawed

    def day_in(self, stage: Stage) -> float:
        """Day of the culture: the stage's first when none is asked for."""
        return stage.start_day if self.day is None else self.day


def _microlitres(text: str) -> float:
    from nkloop.errors import PlanError
    from nkloop.quantities import Amount, Kind

    amount = Amount.parse(text)
    if amount.kind is not Kind.VOLUME or amount.canonical <= 0:
        raise PlanError(f"'{text}' is not a volume above 0", where="volume", remedy='write it like "1.5 mL"')
    return amount.canonical
