"""What a person says of steps of unknown outcome, as fields of the forms in which it is asked."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Happened = Annotated[
    str, Field(title="Steps that happened", description="Unknown steps you saw to have happened: 3, 5-7")
]
NotHappened = Annotated[
    str,
    Field(title="Steps that did not happen", description="Unknown steps of which nothing was drawn and nothing given"),
]
Drawn = Annotated[
    str, Field(title="Steps whose liquid is lost", description="Unknown steps that drew it and lost it with the tip")
]
CutInFirstMix = Annotated[
    str,
    Field(
        title="Steps cut in the mix before their draw",
        description="Unknown steps with liquid of that mix in the tip, lost for the source; nothing was given",
    ),
]
Given = Annotated[
    str,
    Field(title="Steps that were not mixed", description="Unknown steps that gave their liquid; tip without liquid"),
]
CutInMix = Annotated[
    str,
    Field(title="Steps cut in their mix", description="The same with liquid of that mix in the tip, lost for the well"),
]
Moved = Annotated[
    str, Field(title="Steps done in part", description="Unknown steps of people, and what they moved: 12=10 mL")
]
SkippedAtScreen = Annotated[
    str,
    Field(
        title="Steps skipped at the screen",
        description="Of those that did not happen: skipped at the robot's own screen, so later ones may have happened",
    ),
]
Wells = Annotated[str, Field(title="Wells to discard", description="As plate:B3, plate:A5-H5; empty for all in doubt")]
OtherVessels = Annotated[
    str,
    Field(title="Runs on other vessels", description="Whose bags only have the names of these, as of another batch"),
]
